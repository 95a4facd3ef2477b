"""Messages between the actors of a node; never on a link."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from thespian.actors import ActorAddress

from fleet.actors.base.keyring import Keyring
from fleet.actors.runtime.forked_dump import ForkedDump
from fleet.errors import FleetError
from fleet.interfaces import Clock, Durable, Fork, GroupRecord, StoreWriter
from fleet.objects.hooks import HookRunner
from fleet.objects.payload import ErrorRecord
from fleet.raft.entries import Halt
from fleet.raft.ids import Index, MemberId, Millis, NodeName, Revision
from fleet.versions import THIS_BUILD, Build


class StartNode(Struct, frozen=True):
    name: NodeName
    address: str
    zone: str
    cluster: str
    clock: Clock
    seed: int
    join: tuple[str, ...]
    """Addresses of nodes of the cluster. None, and no founders, and an empty disk: found one."""
    founders: tuple[str, ...]
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
    """Whether a node with an empty disk, no `join` and no `founders` founds a cluster by itself."""
    fork_above_bytes: int = 0
    """States bigger than this are encoded in a forked child; 0: never."""
    fork: Fork = ForkedDump
    supervisor: ActorAddress | None = None
    """Who is told by `NodeBegan` and `NodeEnds` what a callback cannot tell in another process, and ends the
    actor system; None: the node manager does."""
    peers: tuple[ActorAddress, ...] = ()
    """Other nodes' managers, on a base where no address can be told in advance."""
    executors: int = 0
    """How many executors hold the objects; 0: the node's process does."""
    open_executor: Callable[[], Any] | None = None
    """`fleet.actors.executor.channel.OpenChannel`."""
    keyring: Keyring | None = None
    """The secrets of this process; None: its links have none."""
    hooks: HookRunner | None = None
    """Runs the leader hooks of all members. None beside a `store`: no hooks are run; without a store,
    a member runs its own."""
    build: Build = THIS_BUILD


class NodeBegan(Struct, frozen=True):
    """The node manager to its supervisor."""

    registry: ActorAddress


class NodeEnds(Struct, frozen=True):
    """The node manager to its supervisor. `error`: why; None: it was drained and has left its cluster."""

    error: FleetError | None


class AskHealth(Struct, frozen=True):
    """To the node manager; answered by `Health`."""

    token: int


class Health(Struct, frozen=True):
    token: int
    why_not_ready: tuple[str, ...]
    """Why the node cannot serve now; (): it can."""


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
    clock: Clock
    run: int
    """Of the node's process; another one each time."""
    address: str = ""
    given_up: frozenset[str] = frozenset()
    """`node@incarnation` of nodes that a recovery gave up: no mail goes there."""


class Belongs(Struct, frozen=True):
    """The uid of the cluster that the node belongs to from now on."""

    cluster: int


class MemberStarts(Struct, frozen=True):
    """A member of the group is on this node: `MemberHere` or `MemberGone` follows."""

    group: str
    member: MemberId


class MemberHere(Struct, frozen=True):
    group: str
    member: MemberId
    address: ActorAddress


class AskConfirmed(Struct, frozen=True):
    """A leader that sleeps asks its registry for `SleepConfirmed`."""

    member: MemberId


class MemberGone(Struct, frozen=True):
    group: str
    member: MemberId
    is_full: bool = False
    """Whether it stopped for lack of space; it will be started again."""


class MemberLost(Struct, frozen=True):
    """The member here of the group, which is in memory only, was lost with a restart of the node."""

    group: str
    member: MemberId


class Routes(Struct, frozen=True):
    """Where the registries of other nodes are. An address is a host:port or, on other bases, an actor."""

    routes: dict[NodeName, ActorAddress]


class PeerAddresses(Struct, frozen=True):
    """The addresses of members' nodes in a group's log: a hint for nodes not heard yet."""

    addresses: dict[NodeName, str]


class Whereabouts(Struct, frozen=True):
    """Where to find groups that may have no member here, for clients that ask here."""

    addresses: dict[str, str]
    """Group to the address of its desired leader's node; "" for a group that is gone."""


class Leading(Struct, frozen=True):
    """A member began or ceased to lead, or the group that it leads changed: its members, its settings, or one
    of its peers fell silent."""

    member: MemberId
    leads: bool


class MemberVotes(Struct, frozen=True):
    """Whether a member votes, by what its group has committed as far as it knows."""

    member: MemberId
    votes: bool


class ClassInForce(Struct, frozen=True):
    """The class that executes a member's commands by now is not that of its record."""

    member: MemberId
    data_class: bytes


class MemberHalted(Struct, frozen=True):
    """A member cannot execute this command, or anything, for it has other code; None and "": it executes."""

    member: MemberId
    halt: Halt | None
    other_code: str = ""
    comparison: str = ""
    """As `MemberStatus.comparison`."""
    offer: bytes = b""
    """As `ObjectOpened.offer`."""
    own_snapshot: Index = 0
    """The newest that it has, or is taking."""


class Applied(Struct, frozen=True):
    """The cluster group's state changed here. After a restart it may first be as old as `snapshot`."""

    index: Index
    revision: Revision
    snapshot: Revision


class LocalRead(Struct, frozen=True):
    """Execute a query on this member's own state, however old."""

    payload: bytes


class LocalAnswer(Struct, frozen=True):
    value: bytes
    revision: Revision


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
    """Runs the hooks of an object in the member's own process; None: they are not run."""
    executors: ActorAddress | None = None
    """Takes messages to the executor of the object; None: the object lives in the member's own process."""
    run: int = 0
    """Of the object; a later start of the member has a much higher one."""
    is_full: bool = False
    """Whether the disk had no space lately: callers are told so until a write succeeds."""
    diverged: Index = 0
    """Its state was found to differ, and a snapshot from this entry on is its leader's; 0: it was not."""


class ExecutorLost(Struct, frozen=True, gc=False):
    """The executor that held a member's object, in this run, has ended, or the object is to move to another
    one. With an `index`, executing the command at `place` of that entry ended it; with a `token`, those
    queries did."""

    number: int
    run: int
    error: ErrorRecord
    index: Index = 0
    place: int = 0
    method: int = 0
    """The place of its name, or of the query's, in `ObjectOpened.methods`, from 1 on; 0: not known."""
    token: int = 0
    is_final: bool = False
    """Opening it again would end another executor: the class or the state cannot be loaded here."""


class StartExecutors(Struct, frozen=True):
    count: int
    open: Callable[[], Any]
    """`fleet.actors.executor.channel.OpenChannel`."""
    clock: Clock


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
