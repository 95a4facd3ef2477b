"""The parts of a node manager, as protocols: what they use of the manager, and of each other through it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct
from thespian.actors import ActorAddress

from fleet.actors.client.router import Router
from fleet.actors.messages.local import NodeBegan, NodeEnds, StartNode
from fleet.actors.messages.operator import AwaitMembers, MemberInfo, NodeRequest
from fleet.actors.messages.peer import NodeHello
from fleet.actors.messages.values import GroupSpec, NodeInfo
from fleet.actors.node.hosted_member import Coming, Created, HostedMember
from fleet.actors.node.known_nodes import KnownNodes
from fleet.cluster import reconciliation_events, repairs
from fleet.cluster.automatic_upgrades import AutomaticUpgrades
from fleet.cluster.membership import NodeMembership
from fleet.cluster.state import NodeRecord
from fleet.cluster.view import ClusterView
from fleet.errors import FleetError
from fleet.interfaces import Chore, ChoreDone, Durable
from fleet.raft.ids import MemberId, Millis, NodeName


class LostMembers(Protocol):
    def awaited(self) -> set[str]: ...


class HostedParts(Protocol):
    """The members of this node."""

    by_number: dict[int, HostedMember]
    by_name: dict[str, HostedMember]
    by_member: dict[MemberId, HostedMember]
    coming: dict[str, Coming]
    left: set[int]

    @property
    def lost(self) -> LostMembers: ...

    def create(
        self, specs: Sequence[GroupSpec], done: Created | None = None, meta: dict[str, bytes] | None = None
    ) -> None: ...

    def drop(self, hosted: HostedMember) -> None: ...

    def start_held(self) -> None: ...

    def forget_left(self, uids: set[int]) -> None: ...

    def infos(self) -> tuple[MemberInfo, ...]: ...

    def give_up_all(self, why: str) -> dict[str, bytes]: ...


class ClusterMembership(Protocol):
    """This node's membership in the cluster."""

    router: Router
    membership: NodeMembership

    def own(self) -> HostedMember | None: ...

    def cluster_uid(self) -> int: ...

    def pin(self, uid: int) -> dict[str, bytes]: ...

    def command(self, about: str, method: str, *args: Any) -> None:
        """Send a command to the cluster group, unless one about the same thing is under way."""

    def on_change(self) -> None: ...

    def on_renewed(self) -> None: ...

    def belong(self, uid: int) -> None: ...

    def found(self, founders: Sequence[tuple[NodeName, str, str]]) -> None: ...

    def was_removed(self, spec: GroupSpec) -> bool: ...

    def on_dropped(self, hosted: HostedMember) -> None: ...


class Greetings(Protocol):
    version: int
    """The newest version of the fleet that is in force as far as this node knows."""

    def say_to_everyone(self) -> None: ...

    def on_cluster_nodes(self, records: Mapping[NodeName, NodeRecord]) -> None: ...

    def recent_clones(self) -> dict[NodeName, str]:
        """Nodes whose directory ran in two processes recently, and the address of the second."""


class HeldStart(Protocol):
    def on_answer(self, node: NodeInfo) -> None: ...

    @property
    def is_on(self) -> bool:
        """Whether members found on the disk wait until other nodes have confirmed that it is current."""


class Founding(Protocol):
    @property
    def is_open(self) -> bool: ...

    def on_renewed(self) -> None: ...


class Admission(Protocol):
    def may_register(self) -> bool: ...

    def meet_namesake(self, m: NodeHello) -> None: ...

    def look_for_namesake(self, m: NodeHello) -> None: ...

    def is_taken(self, m: NodeHello) -> bool: ...

    def on_foreign(self) -> None: ...


class Arrivals(Protocol):
    def look(self) -> None: ...

    def take(self, m: NodeRequest, op: AwaitMembers, reply_to: ActorAddress) -> None: ...


class Node(Protocol):
    myAddress: ActorAddress
    start: StartNode
    store: Durable
    nodes: KnownNodes
    registry: ActorAddress
    disk: ActorAddress | None
    executors: ActorAddress | None
    started_at: Millis

    @property
    def hosted_members(self) -> HostedParts: ...

    @property
    def cluster(self) -> ClusterMembership: ...

    @property
    def greetings(self) -> Greetings: ...

    @property
    def held(self) -> HeldStart: ...

    @property
    def founding(self) -> Founding: ...

    @property
    def admission(self) -> Admission: ...

    @property
    def arrivals(self) -> Arrivals: ...

    @property
    def view(self) -> ClusterView: ...

    @property
    def router(self) -> Router:
        """This node as a client of the cluster group."""

    @property
    def upgrades(self) -> AutomaticUpgrades: ...

    @property
    def is_renewing(self) -> bool:
        """Whether its directory is an older copy that is being given a new incarnation."""

    def now(self) -> Millis: ...

    def createActor(self, actorClass: Any) -> ActorAddress: ...

    def send(self, target: Any, message: Any) -> None: ...

    def wake_in(self, delay: Millis, timer: Struct) -> None:
        """Handle one of `fleet.actors.node.timers` after `delay` milliseconds."""

    def carry_out(self, chore: Chore, done: Callable[[ChoreDone], None] | None = None) -> None:
        """Have the disk do it, off the loop; `done` is called with the result."""

    def say(self, about: str, text: str, *args: Any) -> None:
        """Log a warning, once a minute for the same `about`."""

    def tell_supervisor(self, m: NodeBegan | NodeEnds) -> None: ...

    def end(self, error: FleetError) -> None:
        """Stop this node, for an error that waiting cannot resolve."""

    def is_reachable(self, node: NodeName) -> bool: ...

    def say_hello(self, manager: ActorAddress, answer: bool, answers: Millis = 0) -> None: ...

    def try_class(self, data_class: bytes, then: Callable[[FleetError | None], None]) -> None:
        """Tell `then` whether the class can be loaded here, and an object of it be made and encoded."""

    def decide(self, decider: Any, event: Any) -> None:
        """Step one of the deciders of `fleet.cluster` and carry out the effects."""

    def reconcile(self, event: reconciliation_events.Event) -> None: ...

    def repair(self, event: repairs.Event) -> None: ...

    def look_at_damaged(self) -> None: ...

    def note_stopped_leaders(self) -> None: ...
