"""What is asked about nodes and members, and the answers: status, membership, settings; across hosts."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from thespian.actors import ActorAddress

from fleet.actors.base.wire import register
from fleet.actors.messages.values import Count, GroupSpec, Name, NodeInfo, Where
from fleet.cluster.state import View
from fleet.objects.payload import ErrorRecord
from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, MemberId, Millis, NodeName, Term


class PeerStatus(Struct, frozen=True, array_like=True):
    """A peer as its leader sees it."""

    member: MemberId
    votes: bool
    match: Index
    responsive: bool
    """Whether it answered this leader, and lately: a new leader has not been answered yet."""


class MemberStatus(Struct, frozen=True, array_like=True, tag=1):
    group: str
    member: MemberId
    role: str
    term: Term
    leader: MemberId | None
    last_index: Index
    commit: Index
    applied: Index
    snapshot_index: Index
    voters: tuple[MemberId, ...]
    learners: tuple[MemberId, ...]
    peers: tuple[PeerStatus, ...]
    """Known to the leader only."""
    changed_at: Index
    """The log index of the newest membership change: a step of healing holds only if it stands."""
    data_class: str
    config: GroupConfig
    removed: tuple[MemberId, ...]


class ListNodes(Struct, frozen=True, array_like=True, tag=1):
    pass


class CheckClass(Struct, frozen=True, array_like=True, tag=2):
    """Can this data class be hosted on this node?"""

    data_class: bytes


class HostMember(Struct, frozen=True, array_like=True, tag=3):
    """Make room for a member of the group; repeated, the same one."""

    spec: GroupSpec
    removed: tuple[MemberId, ...]
    """Members that left: one of these is not meant."""


class ListMembers(Struct, frozen=True, array_like=True, tag=4):
    """Which groups have a member on this node?"""


class GetStatus(Struct, frozen=True, array_like=True, tag=5):
    pass


class AddMember(Struct, frozen=True, array_like=True, tag=6):
    member: Annotated[MemberId, Meta(max_length=1024)]
    address: Where
    uid: int = 0
    """Of the group that is meant, where another one might have the name by now."""


class PromoteMember(Struct, frozen=True, array_like=True, tag=7):
    member: MemberId


class RemoveMember(Struct, frozen=True, array_like=True, tag=8):
    member: MemberId


class DemoteMember(Struct, frozen=True, array_like=True, tag=12):
    member: MemberId


class ChangeConfig(Struct, frozen=True, array_like=True, tag=9):
    config: GroupConfig


class TransferLeader(Struct, frozen=True, array_like=True, tag=10):
    member: MemberId | None


class GetCluster(Struct, frozen=True, array_like=True, tag=11):
    """What this node knows of the cluster."""


class AwaitMembers(Struct, frozen=True, array_like=True, tag=13):
    """Status of a new group, as soon as its leader hears all of its members. Asked of the node that is to
    lead it, which may not have heard of the group yet."""

    group: str
    uid: Index


NodeOp: TypeAlias = ListNodes | CheckClass | HostMember | ListMembers | GetCluster | AwaitMembers
GroupOp: TypeAlias = (
    GetStatus
    | AddMember
    | PromoteMember
    | DemoteMember
    | RemoveMember
    | ChangeConfig
    | TransferLeader
    | AwaitMembers
)


class NodeRequest(Struct, frozen=True, array_like=True, tag=5):
    """Asked of a node manager. No `reply_to`: the sender is no actor, and is answered itself."""

    token: int
    reply_to: ActorAddress | None
    op: NodeOp
    cluster: Count = 0
    """As in ClientRequest."""


class GroupRequest(Struct, frozen=True, array_like=True, tag=6):
    """Asked of the group's leader, by way of a registry."""

    token: int
    reply_to: ActorAddress
    group: Name
    op: GroupOp
    cluster: Count = 0
    """As in ClientRequest."""


class Nodes(Struct, frozen=True, array_like=True, tag=2):
    nodes: tuple[NodeInfo, ...]


DAMAGED = "damaged"
"""What was read is not what was written: the member is replaced by a new one, from the quorum."""
CONFLICT = "conflict"
"""Committed data conflicts: an operator has to choose."""
DISK_FULL = "disk full"
"""How the state of a member begins whose node has no space, and what callers are told."""


class MemberInfo(Struct, frozen=True, array_like=True):
    group: str
    member: MemberId
    state: str
    """running, waiting (for its next start), or why it cannot start."""
    leads: bool = False
    ill: str = ""
    """DAMAGED or CONFLICT: it will not run again as it is."""


class MemberList(Struct, frozen=True, array_like=True, tag=3):
    node: NodeInfo
    members: tuple[MemberInfo, ...]


class Hosted(Struct, frozen=True, array_like=True, tag=4):
    member: MemberId


class Done(Struct, frozen=True, array_like=True, tag=5):
    revision: Index


class ClusterSeen(Struct, frozen=True, array_like=True, tag=6):
    """The cluster as one node sees it; `view` is whole, None before it has one."""

    node: NodeInfo
    view: View | None
    unreachable_ms: dict[NodeName, Millis]
    """For how long which nodes have not been heard."""
    clones: dict[NodeName, str] = {}
    """Nodes whose directory ran twice lately, and where the second was."""


OpValue: TypeAlias = MemberStatus | Nodes | MemberList | Hosted | Done | ClusterSeen


class OpReply(Struct, frozen=True, array_like=True, tag=7):
    """Exactly one of `value` and `error`; with an error perhaps whom to ask instead."""

    token: int
    value: OpValue | None
    error: ErrorRecord | None = None
    leader: str = ""
    leader_address: str = ""
    cluster: Count = 0
    """The uid of the answering node's cluster; 0 where it has none, or a member answers."""


register(NodeRequest, GroupRequest, OpReply)
