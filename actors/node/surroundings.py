"""What the parts of a node manager may use of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from thespian.actors import ActorAddress

from fleet.actors.client.router import Router
from fleet.actors.messages.local import StartNode
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_members import Hosting
from fleet.actors.node.known_nodes import KnownNodes
from fleet.cluster.reconciliation import Event
from fleet.cluster.state import NodeRecord
from fleet.cluster.view import ClusterView
from fleet.raft.ids import Millis, NodeName


class Node(Protocol):
    myAddress: ActorAddress
    start: StartNode
    nodes: KnownNodes
    registry: ActorAddress

    @property
    def view(self) -> ClusterView: ...

    @property
    def requests(self) -> Router:
        """This node as a client of the cluster."""

    def now(self) -> Millis: ...

    def send(self, target: Any, message: Any) -> None: ...

    def wake_in(self, delay: Millis, payload: Any) -> None: ...

    def hosted(self, number: int) -> Hosting | None:
        """The member with that number in this node's store."""

    def hosted_of(self, group: str) -> Hosting | None:
        """The member of that group on this node, unless it is dropped."""

    def create_members(self, specs: Sequence[GroupSpec]) -> None: ...

    def drop_member(self, hosting: Hosting) -> None: ...

    def forget_left(self, uids: Collection[int]) -> None: ...

    def is_reachable(self, node: NodeName) -> bool: ...

    def command(self, about: str, method: str, *args: Any) -> None:
        """Ask the cluster group, unless that is under way."""

    def say(self, about: str, text: str, *args: Any) -> None:
        """A warning, once a minute for the same thing."""

    def reconcile(self, event: Event) -> None: ...

    def meet_nodes(self, records: Mapping[NodeName, NodeRecord]) -> None:
        """The cluster's state names its nodes."""

    def look_for_arrivals(self) -> None:
        """Somebody may wait for a group that is seen only now."""
