"""Base of actors that act as a client of groups and nodes: passes to the router what arrives."""

from typing import Any

from thespian.actors import ActorSystemConventionUpdate, WakeupMessage

from fleet.actors.base.transport import LinkRefused
from fleet.actors.client.router import Router
from fleet.actors.messages.client import ClientReply, WatchReply
from fleet.actors.messages.operator import OpReply
from fleet.actors.runtime.actor import GuardedActor
from fleet.actors.runtime.turn import EndTurn
from fleet.interfaces import Clock


class Requester(GuardedActor):
    router: Router

    def begin(self, clock: Clock, name: str, seed: int, addresses: tuple[str, ...], zone: str = "") -> None:
        """`name` must be unique among clients: it identifies its sessions."""
        self.router = Router(self, clock, name, seed, addresses, zone)
        self.notifyOnSystemRegistrationChanges(True)
        self.router.refresh_nodes()

    def pass_on(self, m: Any, sender: Any) -> None:
        self.router.handle(m)

    outside = frozenset((ClientReply, OpReply, WatchReply))
    handlers = dict.fromkeys(
        (ClientReply, OpReply, WatchReply, EndTurn, WakeupMessage, ActorSystemConventionUpdate, LinkRefused),
        pass_on,
    )
