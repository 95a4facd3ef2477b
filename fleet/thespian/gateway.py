"""The two actors behind the addresses of groups: one for each name, and one a system that has the client."""

from functools import partial
from typing import Any

from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ActorSystem,
    ActorSystemConventionUpdate,
    ActorSystemMessage,
    WakeupMessage,
    WatchMessage,
)

from fleet.actors.base.cell import Cell
from fleet.actors.base.transport import LinkRefused
from fleet.actors.messages.client import ClientReply
from fleet.actors.messages.operator import OpReply
from fleet.actors.runtime.actor import GuardedActor
from fleet.actors.runtime.turn import EndTurn
from fleet.errors import BadArguments, ClientClosed, FleetError, Unavailable
from fleet.objects.messages import NO_TAG, Call, Result
from fleet.thespian.loop_client import LoopClient
from fleet.thespian.messages import AddressHere, Asked, Connect, Connected, GatewayEnded
from fleet.thespian.thread_client import ThreadClient


class Gateway(GuardedActor):
    """The client of one cluster in an actor system. It answers each call to whoever sent it.

    It never waits: calls are submitted, and each outcome is passed on when it arrives.
    """

    def __init__(self, capabilities: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.may_watch = bool((capabilities or {}).get("Thespian Watch Supported"))
        self.client: LoopClient | ThreadClient | None = None
        self.addresses: list[ActorAddress] = []
        """Of groups, which send calls here."""

    def on_connect(self, m: Connect, sender: Any) -> None:
        tell = partial(self._tell_connected, sender)
        try:
            if self.client is None:
                self.client = self._open(m)
            self.client.check(m)
            self.client.ask_first(m, tell)
        except FleetError as error:
            tell(error)
        except OSError as error:
            tell(Unavailable(f"the client cannot be opened: {error}"))

    def _open(self, m: Connect) -> LoopClient | ThreadClient:
        if isinstance(self._myRef, Cell):
            return LoopClient(self, m, self.tell)
        return ThreadClient(self, m, self.tell, self.may_watch)

    def _tell_connected(self, asker: ActorAddress, error: FleetError | None) -> None:
        self.send(asker, Connected(error))

    def on_address_here(self, m: AddressHere, sender: Any) -> None:
        self.addresses.append(sender)

    def on_asked(self, m: Asked, sender: Any) -> None:
        tag = getattr(m.call, "lazy_tag", NO_TAG)
        try:
            m.call.check()
            if self.client is None:
                raise ClientClosed("this actor system has no client of a cluster yet", group=m.group)
            self.client.submit(m)
        except FleetError as error:
            self.tell(m, Result(m.group, tag, failure=error))
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            failure = BadArguments(f"not a call that fleet.thespian.Call makes: {error}")
            self.tell(m, Result(m.group, tag, failure=failure))

    def tell(self, asked: Asked, result: Result) -> None:
        self.send(asked.asker, result)

    def pass_on(self, m: Any, sender: Any) -> None:
        if self.client is not None:
            self.client.handle(m)

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self._close()

    def on_failure(self, why: str) -> None:
        self._close()

    def _close(self) -> None:
        self.watching = None
        client, self.client = self.client, None
        if client is not None:
            client.close()
        for address in self.addresses:
            self.send(address, GatewayEnded())

    outside = frozenset((Connect, AddressHere, Asked, ClientReply, OpReply))
    handlers = dict.fromkeys(
        (
            ClientReply,
            OpReply,
            EndTurn,
            WakeupMessage,
            WatchMessage,
            ActorSystemConventionUpdate,
            LinkRefused,
        ),
        pass_on,
    ) | {
        Connect: on_connect,
        AddressHere: on_address_here,
        Asked: on_asked,
        ActorExitRequest: on_exit,
    }


class GroupAddress(Actor):
    """A group's name as an actor: passes calls to the gateway, and refuses anything else."""

    def __init__(self, requirements: dict[str, str] | None = None) -> None:
        wanted = requirements or {}
        self.group = wanted["group"]
        self.cluster = wanted["cluster"]
        self.gateway: ActorAddress | None = None

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:
        if isinstance(message, Call):
            if self.gateway is None:
                self.gateway = gateway_of(self, self.cluster)
                self.send(self.gateway, AddressHere())
            self.send(self.gateway, Asked(self.group, message, sender))
        elif isinstance(message, GatewayEnded):
            self.gateway = None
        elif not isinstance(message, (ActorSystemMessage, Result)):
            what = f"a group takes a fleet.thespian.Call, not a {type(message).__name__}"
            self.send(sender, Result(self.group, failure=BadArguments(what, group=self.group)))


def gateway_of(where: Any, cluster: str) -> ActorAddress:
    return primary(where, Gateway, None, f"fleet gateway to {cluster!r}")


def group_address_of(where: Any, group: str, cluster: str) -> ActorAddress:
    wanted = {"group": group, "cluster": cluster}
    return primary(where, GroupAddress, wanted, f"fleet group {group!r} of {cluster!r}")


def primary(where: Any, cls: type, requirements: Any, name: str) -> ActorAddress:
    """The actor of that global name, which belongs to the system and not to the actor that asks for it."""
    if isinstance(where, ActorSystem):
        return where.createActor(cls, requirements, name)
    cell = where._myRef
    if isinstance(cell, Cell):
        return cell.kernel.create_primary(cls, requirements, name)
    system = getattr(cell, "_system", None)  # of simpleSystemBase, where it would be a child of `where`
    return (system or where).createActor(cls, requirements, name)
