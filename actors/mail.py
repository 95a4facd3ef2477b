"""What actors say to each other.

The first half crosses hosts: tagged, registered with the wire, no pickle, user payloads as opaque bytes;
a new field goes last, with a default. The second half stays within a node.
"""

from collections.abc import Callable
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from thespian.actors import ActorAddress

import fleet.errors
from fleet.actors.base.addresses import ENDPOINT_BYTES_MAX
from fleet.actors.base.wire import register
from fleet.actors.member.forked_dump import ForkedDump
from fleet.cluster.state import View
from fleet.errors import FleetError
from fleet.interfaces import Clock, Durable, Fork, GroupRecord, StoreWriter
from fleet.objects.hooks import HookRunner
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import Index, MemberId, Millis, NodeName, SessionId, Term

Name: TypeAlias = Annotated[str, Meta(max_length=1024)]
"""Of a node, a group, a member, a client."""
Where: TypeAlias = Annotated[str, Meta(max_length=ENDPOINT_BYTES_MAX)]
"""host:port where a node listens, or ""."""
Count: TypeAlias = Annotated[int, Meta(ge=0)]
KNOWN_MAX = 10_000
"""Nodes that one message tells of."""
CALLS_MAX = 65_536
"""Commands or queries of one message."""

# -- values inside of messages ---------------------------------------------------------------------


class NodeInfo(Struct, frozen=True, array_like=True):
    """A node as another one knows it."""

    name: Annotated[NodeName, Meta(max_length=1024)]
    address: Where
    """host:port where it listens, or "" on a base without such addresses."""
    zone: Name
    incarnation: Name
    started_ms: Millis
    """Wall clock of its start: the newest says where it is now."""
    boot: int = 0
    """How often this disk was started, this time included: an older copy of it counts less (S83)."""


class GroupSpec(Struct, frozen=True, array_like=True):
    """What a node must know to host a member."""

    name: Name
    data_class: bytes
    """As `fleet.objects.payload.encode_class` wrote it."""
    config: GroupConfig
    uid: Count
    """Tells this group from every other one of the name."""
    member: MemberId = MemberId("")
    """This member, where it was named in advance; else its name is made from its number in the store."""
    founded: Founded | None = None
    """Not None: it is one of the members that the group begins with."""
    cluster: Count = 0
    """The uid of the cluster group that knows this one: no other cluster may say that it was removed."""


class ErrorRecord(Struct, frozen=True, array_like=True):
    """A FleetError on its way to the caller."""

    kind: str
    what: str
    facts: dict[str, str]

    @classmethod
    def of(cls, error: FleetError) -> "ErrorRecord":
        facts = {key: _text(value) for key, value in error.facts.items()}
        return cls(type(error).__name__, _text(error.what), facts)

    def to_error(self) -> FleetError:
        kind = getattr(fleet.errors, self.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, FleetError)):
            kind = FleetError
        return kind(self.what, **self.facts)


def _text(value: object) -> str:
    """As it can travel: half a surrogate pair, say of a file's name, has no UTF-8."""
    return str(value).encode(errors="replace").decode()


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


# -- between hosts ---------------------------------------------------------------------------------


class PeerMail(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Messages of one member to another, by way of the registries of their nodes."""

    dst: Annotated[MemberId, Meta(max_length=1024)]
    body: bytes
    """`fleet.raft.codec.encode_messages`."""


class ClientRequest(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """What a client wants of a group, all that its turn gathered, in order."""

    group: Name
    client: Name
    reply_to: ActorAddress
    session: SessionId
    acked: Count
    opens: bool
    """Open a session; no commands yet."""
    commands: Annotated[tuple[tuple[Count, bytes], ...], Meta(max_length=CALLS_MAX)]
    """(seq, payload), ascending."""
    queries: Annotated[tuple[tuple[int, bytes], ...], Meta(max_length=CALLS_MAX)]
    """(query id, payload); the id is the client's own."""
    number: int
    """Of this client's requests to the group: a command that is sent again comes in another request."""
    closes: bool = False
    """The client leaves: forget its session. Any reply says that this arrived."""
    cluster: Count = 0
    """The uid of the cluster that the client has pinned; 0 before its first answer."""


class Refusal(Struct, frozen=True, array_like=True, gc=False):
    """These were not executed for request `number`. When `lost`, they may be by another member.

    A command may also have come in other requests: it was not executed only if each one was refused.
    """

    error: ErrorRecord
    lost: bool
    leader: str
    """Node whose member leads, as far as known, and its address; "" where not."""
    leader_address: str
    opens: bool
    session: SessionId
    seqs: tuple[int, ...]
    queries: tuple[int, ...]
    number: int


class ClientReply(Struct, frozen=True, array_like=True, tag=3, gc=False):
    group: str
    session: SessionId
    """Not 0: the session that was opened."""
    results: tuple[tuple[SessionId, int, str, Index, bytes], ...]
    """(session, seq, status, revision, value); status as in `fleet.raft.sessions`."""
    answers: tuple[tuple[int, bytes], ...]
    refusals: tuple[Refusal, ...]
    cluster: Count = 0
    """Set where the request was for another cluster, or for none yet: the uid of this one."""


class Hello(Struct, frozen=True, array_like=True, tag=4):
    """Node managers introduce themselves, and everybody whom they know."""

    me: NodeInfo
    manager: ActorAddress
    registry: ActorAddress
    known: Annotated[tuple[NodeInfo, ...], Meta(max_length=KNOWN_MAX)]
    answer: bool
    """Say hello back."""
    cluster: Count = 0
    """The uid of the cluster group; 0 for a node that belongs to none yet."""


class OlderCopy(Struct, frozen=True, array_like=True, tag=22):
    """Your disk is an older copy of one that was started more often: I remember it."""

    incarnation: str
    boot: int
    """What you said of yourself: another life of yours is not meant."""
    remembered: int
    witness: NodeName


class Clone(Struct, frozen=True, array_like=True, tag=23):
    """Your disk runs twice, and you are the second: the first answers at `address`."""

    started_ms: Millis
    address: str
    witness: NodeName


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


register(PeerMail, ClientRequest, ClientReply, Hello, OlderCopy, Clone, NodeRequest, GroupRequest, OpReply)


# -- within a node ---------------------------------------------------------------------------------


class EndTurn(Struct, frozen=True):
    """To oneself: everything that was queued before has been handled."""


class StartNode(Struct, frozen=True):
    name: NodeName
    address: str
    zone: str
    cluster: str
    clock: Clock
    seed: int
    join: tuple[str, ...]
    """Addresses of nodes of the cluster. None, and no seeds, and an empty disk: found one."""
    seeds: tuple[str, ...]
    """Addresses of the nodes that found a cluster together, the same on each."""
    active: bool
    """Whether to host members once it has joined."""
    weight: float
    purge_after_ms: Millis
    """For a cluster that this node founds."""
    store: Durable | None
    """The node's store and what writes to it off the loop; None: every actor opens its own under
    `directory`, as it must where an actor is a process."""
    writer: StoreWriter | None
    directory: str = ""
    on_end: Callable[[FleetError], None] | None = None
    """Told, in the loop, why the node ends by itself."""
    on_left: Callable[[], None] | None = None
    """Told, in the loop, that the node was drained and has left its cluster."""
    may_found: bool = True
    """Whether a node with an empty disk, no `join` and no `seeds` founds a cluster by itself."""
    fork_above_bytes: int = 0
    """States bigger than this are encoded in a forked child; 0: never."""
    fork: Fork = ForkedDump
    peers: tuple[ActorAddress, ...] = ()
    """Other nodes' managers, on a base where no address can be told in advance."""
    hooks: HookRunner | None = None
    """Runs the leader hooks of all members. None beside a `store`: no hooks are run; without a store,
    a member runs its own."""


class StartDisk(Struct, frozen=True):
    writer: StoreWriter


class WriteFailed(Struct, frozen=True):
    group: int
    error: str
    is_full: bool = False
    """There is no space: it works again as soon as there is."""


class AwaitWrites(Struct, frozen=True):
    """Answered when nothing is under way to the disk for the group of this number."""

    group: int


class WritesDone(Struct, frozen=True):
    group: int


class StartRegistry(Struct, frozen=True):
    node: NodeName
    address: str = ""


class Belongs(Struct, frozen=True):
    """The node belongs to this cluster from now on."""

    cluster: int


class MemberHere(Struct, frozen=True):
    group: str
    member: MemberId
    address: ActorAddress


class MemberGone(Struct, frozen=True):
    group: str
    member: MemberId
    is_full: bool = False
    """It stopped for want of space, and will be back."""


class Routes(Struct, frozen=True):
    """Where the registries of other nodes are. An address is a host:port or, on other bases, an actor."""

    routes: dict[NodeName, ActorAddress]


class PeerAddresses(Struct, frozen=True):
    """What a group's log says of where its members' nodes listen: a hint for nodes not heard of."""

    addresses: dict[NodeName, str]


class Whereabouts(Struct, frozen=True):
    """Where groups live that may have no member here: for clients that ask here."""

    addresses: dict[str, str]
    """Group to the address of its desired leader's node; "" for a group that is gone."""


class Leading(Struct, frozen=True):
    """A member began or ceased to lead, or the members of the group that it leads changed."""

    member: MemberId
    leads: bool


class Applied(Struct, frozen=True):
    """The cluster group's state changed here. After a restart it may first be as old as `snapshot`."""

    index: Index
    snapshot: Index


class LocalRead(Struct, frozen=True):
    """Execute a query on this member's own state, as old as it is."""

    payload: bytes


class LocalAnswer(Struct, frozen=True):
    value: bytes
    index: Index


class StartMember(Struct, frozen=True):
    record: GroupRecord
    member: MemberId
    registry: ActorAddress
    manager: ActorAddress
    clock: Clock
    seed: int
    store: Durable | None
    """The node's store, with `disk` the actor that writes to it; None: the member opens `directory`."""
    disk: ActorAddress | None
    directory: str = ""
    fork_above_bytes: int = 0
    fork: Fork = ForkedDump
    hooks: HookRunner | None = None
    is_full: bool = False
    """There was no space lately: callers are told so until it has written."""


class MemberStopped(Struct, frozen=True):
    """A member ended itself: `removed` from its group, or because of `error`."""

    member: MemberId
    removed: bool
    error: str
    restart: bool
    """Whether starting it again may help."""
    ill: str = ""
    """As `MemberInfo.ill`."""
    is_full: bool = False
    """As `MemberGone.is_full`."""
