"""Base of actors that act as a client of groups and nodes: passes replies to the router."""

from typing import Any

from thespian.actors import ActorSystemConventionUpdate, WakeupMessage

from fleet.actors.base.transport import LinkRefused
from fleet.actors.client.router import Router
from fleet.actors.messages.client import ClientReply
from fleet.actors.messages.operator import OpReply
from fleet.actors.runtime.actor import GuardedActor
from fleet.actors.runtime.turn import EndTurn
from fleet.interfaces import Clock


class Requester(GuardedActor):
    router: Router

    def begin(self, clock: Clock, name: str, seed: int, addresses: tuple[str, ...]) -> None:
        """`name` must be unique among clients: it identifies its sessions."""
        self.router = Router(self, clock, name, seed, list(addresses))
        self.notifyOnSystemRegistrationChanges(True)
        self.router.refresh_nodes()

    def on_reply(self, m: ClientReply, sender: Any) -> None:
        self.router.on_reply(m)

    def on_op_reply(self, m: OpReply, sender: Any) -> None:
        self.router.on_op_reply(m)

    def on_end_turn(self, m: EndTurn, sender: Any) -> None:
        self.router.on_end_turn()

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        self.router.on_wakeup(m)

    def on_link(self, m: ActorSystemConventionUpdate, sender: Any) -> None:
        self.router.on_link(m)

    def on_link_refused(self, m: LinkRefused, sender: Any) -> None:
        self.router.on_link_refused(m)

    outside = frozenset((ClientReply, OpReply))
    handlers = {
        ClientReply: on_reply,
        OpReply: on_op_reply,
        EndTurn: on_end_turn,
        WakeupMessage: on_wakeup,
        ActorSystemConventionUpdate: on_link,
        LinkRefused: on_link_refused,
    }
