"""What the parts of a node manager may use of it."""

from typing import Any, Protocol

from thespian.actors import ActorAddress

from fleet.actors.client.router import Router
from fleet.actors.messages.local import StartNode
from fleet.actors.node.hosted_members import Hosting
from fleet.actors.node.known_nodes import KnownNodes
from fleet.cluster.view import ClusterView
from fleet.raft.ids import Millis, NodeName


class Node(Protocol):
    myAddress: ActorAddress
    start: StartNode
    nodes: KnownNodes

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

    def is_reachable(self, node: NodeName) -> bool: ...

    def command(self, about: str, method: str, *args: Any) -> None:
        """Ask the cluster group, unless that is under way."""
