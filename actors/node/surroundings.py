"""What the parts of a node manager may use of it, and of each other through it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from thespian.actors import ActorAddress

from fleet.actors.client.router import Router
from fleet.actors.messages.local import StartNode
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_member import Coming, Created, HostedMember
from fleet.actors.node.known_nodes import KnownNodes
from fleet.cluster import reconciliation, repairs
from fleet.cluster.membership import Membership
from fleet.cluster.state import NodeRecord
from fleet.cluster.view import ClusterView
from fleet.errors import FleetError
from fleet.interfaces import Chore, ChoreDone, Durable
from fleet.raft.ids import Millis, NodeName


class Members(Protocol):
    """The members of this node."""

    by_number: dict[int, HostedMember]
    by_name: dict[str, HostedMember]
    coming: dict[str, Coming]
    left: set[int]

    def create(
        self, specs: Sequence[GroupSpec], done: Created | None = None, facts: dict[str, bytes] | None = None
    ) -> None: ...

    def drop(self, hosted: HostedMember) -> None: ...

    def start_held(self) -> None: ...


class Part(Protocol):
    """This node's part in the cluster."""

    requests: Router
    membership: Membership

    def own(self) -> HostedMember | None: ...

    def cluster_uid(self) -> int: ...

    def belong(self, uid: int) -> None: ...

    def found(self, founders: list[tuple[NodeName, str, str]]) -> None: ...

    def was_removed(self, spec: GroupSpec) -> bool: ...

    def on_dropped(self, hosted: HostedMember) -> None: ...


class HeldStart(Protocol):
    @property
    def is_on(self) -> bool:
        """Members found on the disk wait for what other nodes know of it."""


class Founders(Protocol):
    @property
    def is_open(self) -> bool: ...


class Admission(Protocol):
    def may_register(self) -> bool: ...


class Arrivals(Protocol):
    def look(self) -> None: ...


class Node(Protocol):
    myAddress: ActorAddress
    start: StartNode
    store: Durable
    nodes: KnownNodes
    registry: ActorAddress
    disk: ActorAddress | None

    @property
    def hosted_members(self) -> Members: ...

    @property
    def cluster(self) -> Part: ...

    @property
    def held(self) -> HeldStart: ...

    @property
    def seeding(self) -> Founders: ...

    @property
    def admission(self) -> Admission: ...

    @property
    def arrivals(self) -> Arrivals: ...

    @property
    def view(self) -> ClusterView: ...

    @property
    def requests(self) -> Router:
        """This node as a client of the cluster."""

    @property
    def is_renewing(self) -> bool:
        """Its directory is an older copy, and just becomes another one."""

    def now(self) -> Millis: ...

    def createActor(self, actorClass: Any) -> ActorAddress: ...

    def send(self, target: Any, message: Any) -> None: ...

    def wake_in(self, delay: Millis, payload: Any) -> None: ...

    def carry_out(self, chore: Chore, done: Callable[[ChoreDone], None] | None = None) -> None:
        """Off the loop."""

    def say(self, about: str, text: str, *args: Any) -> None:
        """A warning, once a minute for the same thing."""

    def end(self, error: FleetError) -> None:
        """Stop this node."""

    def hosted(self, number: int) -> HostedMember | None:
        """The member with that number in this node's store."""

    def hosted_of(self, group: str) -> HostedMember | None:
        """The member of that group on this node, unless it is dropped."""

    def create_members(self, specs: Sequence[GroupSpec]) -> None: ...

    def drop_member(self, hosted: HostedMember) -> None: ...

    def forget_left(self, uids: Collection[int]) -> None: ...

    def is_reachable(self, node: NodeName) -> bool: ...

    def say_hello(self, manager: ActorAddress, answer: bool, answers: Millis = 0) -> None: ...

    def command(self, about: str, method: str, *args: Any) -> None:
        """Ask the cluster group, unless that is under way."""

    def decide(self, decider: Any, event: Any) -> None:
        """Carry out what follows from an event."""

    def reconcile(self, event: reconciliation.Event) -> None: ...

    def repair(self, event: repairs.Event) -> None: ...

    def meet_nodes(self, records: Mapping[NodeName, NodeRecord]) -> None:
        """The cluster's state names its nodes."""

    def look_for_arrivals(self) -> None:
        """Somebody may wait for a group that is seen only now."""
