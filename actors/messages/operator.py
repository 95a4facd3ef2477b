"""Requests about nodes and members, and the replies, across hosts: status, membership, settings."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from thespian.actors import ActorAddress

from fleet.actors.base.wire import register
from fleet.actors.messages.group_states import (
    CopyPart,
    CopyTaken,
    ForgetCopy,
    GetHistory,
    GiveState,
    History,
    HistoryPart,
    PartsHeld,
    ReadBase,
    ReadCopy,
    ReadLog,
    TakeCopy,
)
from fleet.actors.messages.values import Count, GroupSpec, Name, NodeInfo, Where
from fleet.cluster.state import View
from fleet.objects.payload import ErrorRecord
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Halt
from fleet.raft.ids import Index, MemberId, Millis, NodeName, Revision, Term


class PeerStatus(Struct, frozen=True, array_like=True):
    """A peer as its leader sees it."""

    member: MemberId
    votes: bool
    match: Index
    responsive: bool
    """Whether it answered this leader lately; a new leader has no answers yet."""


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
    """Empty unless this member leads."""
    changed_at: Index
    """The log index of the newest membership change, on which a step of healing is conditional."""
    data_class: str
    config: GroupConfig
    removed: tuple[MemberId, ...]
    halt: Halt | None = None
    """The command that this member cannot execute; None: it executes."""
    version: int = 0
    """Of the class in force."""
    fingerprint: str = ""
    """Of its code; "": one of the library's own."""
    other_code: str = ""
    """Why this member executes nothing: it has other code, or loads it; "": it has that."""
    comparison: str = ""
    """Why its state cannot be compared with others', or that states differ and none has a majority."""


class ListNodes(Struct, frozen=True, array_like=True, tag=1):
    pass


class CheckClass(Struct, frozen=True, array_like=True, tag=2):
    """Can this data class be hosted on this node?"""

    data_class: bytes


class HostMember(Struct, frozen=True, array_like=True, tag=3):
    """Create a member of the group; repeated, it finds the same one."""

    spec: GroupSpec
    removed: tuple[MemberId, ...]
    """Ids already removed; never reuse them."""


class ListMembers(Struct, frozen=True, array_like=True, tag=4):
    """Which groups have a member on this node?"""


class GetStatus(Struct, frozen=True, array_like=True, tag=5):
    pass


class AddMember(Struct, frozen=True, array_like=True, tag=6):
    member: Annotated[MemberId, Meta(max_length=1024)]
    address: Where
    uid: int = 0
    """The group's uid, since another group may have the name by now."""


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


class SkipCommand(Struct, frozen=True, array_like=True, tag=14):
    """Record the command at which the group has halted as failed, on all members."""

    index: Index
    """The log index of the command's entry."""


class RehearseClass(Struct, frozen=True, array_like=True, tag=15):
    """Try whether this member could go on with that class. Answered by each member for itself."""

    data_class: bytes
    with_state: bool = True
    """False: the class alone, which costs no copy of the state."""


class SwitchClass(Struct, frozen=True, array_like=True, tag=16):
    """Have that class execute the group's commands from now on."""

    data_class: bytes
    former: Name
    """The fingerprint of the class in force, as who asks knows it."""


class ShowState(Struct, frozen=True, array_like=True, tag=17):
    """What that member's state holds. Answered by the member itself."""

    member: Annotated[MemberId, Meta(max_length=1024)]
    index: Index = 0
    """After this log entry, where that is kept; 0: as it is now."""
    path: tuple[str, ...] = ()
    """The labels of parts, from the object to the one whose parts are asked for."""


class RepairMember(Struct, frozen=True, array_like=True, tag=18):
    """That member, which has halted since its state differs, is to take its leader's. Answered by the member
    itself, before that is done."""

    member: Annotated[MemberId, Meta(max_length=1024)]


class GetCluster(Struct, frozen=True, array_like=True, tag=11):
    """What this node knows of the cluster."""


class AwaitMembers(Struct, frozen=True, array_like=True, tag=13):
    """Status of a new group, as soon as its leader hears all its members. Sent to the node of its desired
    leader, which may not know the group yet."""

    group: str
    uid: Index


SECRET_BYTES_MAX = 4096
SECRETS_MAX = 8
"""That a node accepts at a time."""
Secret: TypeAlias = Annotated[bytes, Meta(max_length=SECRET_BYTES_MAX)]


class GetSecrets(Struct, frozen=True, array_like=True, tag=17):
    """Which secrets does this node's process show and accept?"""


class SetSecrets(Struct, frozen=True, array_like=True, tag=18):
    """Show the first of these secrets, and accept all of them: where this node's secrets come from, too."""

    accepted: Annotated[tuple[Secret, ...], Meta(min_length=1, max_length=SECRETS_MAX)]
    former: tuple[Name, ...]
    """The fingerprints of those that it accepts until now, as who asks knows them."""

    def __repr__(self) -> str:
        """Without the secrets, since reprs end up in logs."""
        return f"SetSecrets({len(self.accepted)})"


NodeOp: TypeAlias = (
    ListNodes | CheckClass | HostMember | ListMembers | GetCluster | AwaitMembers | GetSecrets | SetSecrets
)
GroupOp: TypeAlias = (
    GetStatus
    | AddMember
    | PromoteMember
    | DemoteMember
    | RemoveMember
    | ChangeConfig
    | TransferLeader
    | AwaitMembers
    | SkipCommand
    | RehearseClass
    | SwitchClass
    | TakeCopy
    | ReadCopy
    | ForgetCopy
    | GiveState
    | GetHistory
    | ReadBase
    | ReadLog
    | ShowState
    | RepairMember
)


class NodeRequest(Struct, frozen=True, array_like=True, tag=5):
    """A request to a node manager. Without `reply_to` the reply goes to the sender."""

    token: int
    reply_to: ActorAddress | None
    op: NodeOp
    cluster: Count = 0
    """As in ClientRequest."""


class GroupRequest(Struct, frozen=True, array_like=True, tag=6):
    """A request to the group's leader, through a registry."""

    token: int
    reply_to: ActorAddress
    group: Name
    op: GroupOp
    cluster: Count = 0
    """As in ClientRequest."""


class Nodes(Struct, frozen=True, array_like=True, tag=2):
    nodes: tuple[NodeInfo, ...]


DAMAGED = "damaged"
"""Its records are damaged: a new member, restored from the quorum, replaces it."""
CONFLICT = "conflict"
"""Committed data conflicts: an operator must choose."""
LOST = "lost"
"""It was in memory only, and its node has restarted: a new member replaces it while a majority lives."""
DISK_FULL = "disk full"
"""The beginning of the state of a member whose node has no space, and of the error for callers."""
MEMBER_LOST = (
    "its member here was in memory only and was lost when the node restarted; if a majority of its members "
    "was, so is the group: `fleet doctor` tells; then remove it and create it again, or restore a backup"
)
"""The error for callers that no other member answers."""


class MemberInfo(Struct, frozen=True, array_like=True):
    group: str
    member: MemberId
    state: str
    """running, waiting (for its next start), or why it cannot start."""
    leads: bool = False
    ill: str = ""
    """DAMAGED, CONFLICT or LOST: it cannot be started again; "" otherwise."""
    halt: Halt | None = None
    """As in MemberStatus."""
    other_code: str = ""
    comparison: str = ""
    """As in MemberStatus."""
    votes: bool = True
    """Whether it runs and knows that it is a voter; a learner is not."""


class MemberList(Struct, frozen=True, array_like=True, tag=3):
    node: NodeInfo
    members: tuple[MemberInfo, ...]


class Hosted(Struct, frozen=True, array_like=True, tag=4):
    member: MemberId


class Rehearsed(Struct, frozen=True, array_like=True, tag=8):
    """The member could go on with that class."""

    member: MemberId
    with_state: bool = False
    """It has tried it with the state as it is now."""


class ShownPart(Struct, frozen=True, array_like=True):
    """A part of a state: a field, an element."""

    label: str
    digest: bytes
    """Equal on members where the part is."""
    text: str
    has_parts: bool


class StateShown(Struct, frozen=True, array_like=True, tag=12):
    member: MemberId
    index: Index
    """The parts are those of the state after this log entry."""
    revision: Revision
    parts: tuple[ShownPart, ...]
    kept: tuple[Index, ...]
    """After which entries the member can show its state."""


class Done(Struct, frozen=True, array_like=True, tag=5):
    """In force. At a group's member: since the log index, and not later than the revision."""

    index: Index
    revision: Revision


class ClusterSeen(Struct, frozen=True, array_like=True, tag=6):
    """The cluster as one node sees it. `view` is complete, or None before the node has one."""

    node: NodeInfo
    view: View | None
    unreachable_ms: dict[NodeName, Millis]
    """Nodes that this node does not hear, and for how many milliseconds."""
    clones: dict[NodeName, str] = {}
    """Nodes whose directory recently ran in two processes, and the address of the second."""


class SecretsSeen(Struct, frozen=True, array_like=True, tag=9):
    """The fingerprints of a node's secrets."""

    accepted: tuple[Name, ...]
    """The first is shown."""
    source: str
    """Where they come from, in words."""


OpValue: TypeAlias = (
    MemberStatus
    | Nodes
    | MemberList
    | Hosted
    | Done
    | ClusterSeen
    | Rehearsed
    | SecretsSeen
    | CopyTaken
    | CopyPart
    | PartsHeld
    | History
    | HistoryPart
    | StateShown
)


class OpReply(Struct, frozen=True, array_like=True, tag=7):
    """Either `value` or `error`; with an error perhaps the node to ask instead."""

    token: int
    value: OpValue | None
    error: ErrorRecord | None = None
    leader: str = ""
    leader_address: str = ""
    cluster: Count = 0
    """The uid of the answering node's cluster; 0: it has none, or a member answered."""


register(NodeRequest, GroupRequest, OpReply)
