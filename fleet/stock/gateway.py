"""The way between a node on Thespian's own base and everybody who knows it by "host:port".

Its actor listens there with a link listener of the fleet base, TLS, gates for roles and all, in a thread of
its process. What clients send reaches the node manager and the registry, and what is sent to a client, or to
a node that is known by name only, comes back through here (`SealedTransport.scheduleTransmit`). So clients
and commands need to know nothing of this base, and nodes introduce themselves to each other; what they say
afterwards goes straight from process to process, sealed.
"""

import os
import pickle
import time
from typing import Any, ClassVar, Final

from msgspec import Struct
from msgspec.structs import replace
from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ActorSystemConventionUpdate,
    ChildActorExited,
    ThespianWatch,
    WatchMessage,
)

from fleet.actors.base.base import start_system
from fleet.actors.base.rare_log import RareLog
from fleet.actors.base.transport import LinkRefused
from fleet.actors.client.inbox import Inbox
from fleet.actors.messages.client import ClientRequest, KeepWatch, WatchGroup
from fleet.actors.messages.local import AskHealth, Health, NodeBegan, NodeEnds
from fleet.actors.messages.operator import GroupRequest, NodeRequest
from fleet.actors.messages.peer import NodeHello, StockMail
from fleet.actors.messages.well_known import MANAGER, REGISTRY
from fleet.actors.node.gate import Gates
from fleet.actors.node.manager import NodeManager
from fleet.actors.runtime.actor import GuardedActor, log
from fleet.errors import FleetError, Unavailable
from fleet.health import NodeHealth
from fleet.stock.messages import GatewayOpened, NodeEnded, OpenGateway, Outward
from fleet.stock.transport import SealedTransport

OF_CLIENTS: Final = frozenset((ClientRequest, WatchGroup, KeepWatch, NodeRequest, GroupRequest))
OF_LINKS: Final = frozenset((ActorSystemConventionUpdate, LinkRefused))


class StartProxy(Struct, frozen=True):
    inbox: Inbox
    name: str
    """The well-known actor for which it takes messages."""


class Inward(Struct, frozen=True):
    name: str
    message: Any


class Proxy(Actor):  # type: ignore[misc]
    """On the fleet base, in the place of a node manager or a registry: what is for that waits in the
    gateway's inbox. Other messages are dropped; a node on the fleet base cannot belong to this cluster."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        kind = type(message)
        if kind is StartProxy:
            self.inbox, self.name, self.rare_log = message.inbox, message.name, RareLog(log)
            if self.name == MANAGER:
                self.notifyOnSystemRegistrationChanges(True)
        elif kind in OF_CLIENTS:
            if message.reply_to is None:
                message = replace(message, reply_to=sender)
            self.inbox.put(Inward(self.name, message))
        elif kind is StockMail or kind is AskHealth or kind in OF_LINKS:
            self.inbox.put(Inward(self.name, message))
        elif kind is NodeHello:
            what = "node %s at %s is on the fleet base and cannot join nodes on multiprocTCPBase"
            self.rare_log(
                time.monotonic(), "base", message.me.name, what, message.me.name, message.me.address
            )


class NodeGateway(GuardedActor):
    """The first actor of a node, and the parent of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.inbox = Inbox()
        self.opener: ActorAddress | None = None
        self.system: Any = None
        self.health: NodeHealth | None = None
        self.actors: dict[str, ActorAddress] = {}
        """The node manager and the registry, by their well-known names."""

    def on_open(self, m: OpenGateway, sender: Any) -> None:
        self.opener = sender
        SealedTransport.gateway = self.myAddress
        manager = self.actors[MANAGER] = self.createActor(NodeManager)  # a fork, before there is a thread
        try:
            self._listen(m)
        except (FleetError, OSError) as error:
            self.send(sender, GatewayOpened("", None, os.getpid(), error))
            return
        self.watching = ThespianWatch([self.inbox.wakeup.fd])
        endpoint = self.system.base.endpoint
        self.send(manager, replace(m.start, address=endpoint, supervisor=self.myAddress))
        self.send(sender, GatewayOpened(endpoint, manager, os.getpid()))

    def _listen(self, m: OpenGateway) -> None:
        self.system = start_system(
            listen=m.listen,
            advertise=m.advertise,
            cluster=m.start.cluster,
            secret=m.keyring,
            admit=Gates(m.data_modules).admit,
        )
        for name in (MANAGER, REGISTRY):
            proxy = self.system.createActor(Proxy, globalName=name)
            self.system.tell(proxy, StartProxy(self.inbox, name))
            if name == MANAGER:
                self.health = NodeHealth(self.system.base, m.start.name)
                self.health.manager = proxy
        if m.health is not None and self.health is not None:
            self.health.serve(m.health)

    # -- in and out --------------------------------------------------------------------------------

    def on_watch(self, m: WatchMessage, sender: Any) -> None:
        for inward in self.inbox.take():
            to = self.actors.get(inward.name)
            if to is None:
                continue  # the registry does not run yet; senders repeat
            message = inward.message
            if type(message) is StockMail:
                try:
                    message = pickle.loads(message.pickled)
                except Exception as error:
                    self.log_rarely("mail", "the gateway drops a message of another node: %.200s", error)
                    continue
            self.send(to, message)

    def on_outward(self, m: Outward, sender: Any) -> None:
        """A name is one of another node's actors, a number is a client."""
        is_node = isinstance(m.target.ident.local, str)
        message = StockMail(pickle.dumps(m.message)) if is_node else m.message
        self.system.tell(m.target, message)

    def on_health(self, m: Health, sender: Any) -> None:
        if self.health is not None:
            self.health.take(m)

    # -- the end -----------------------------------------------------------------------------------

    def on_began(self, m: NodeBegan, sender: Any) -> None:
        self.actors[REGISTRY] = m.registry

    def on_ends(self, m: NodeEnds, sender: Any) -> None:
        self._tell_ended(m.error)

    def on_child_exited(self, m: ChildActorExited, sender: Any) -> None:
        self._tell_ended(Unavailable("its node manager ended; its log says why"))

    def _tell_ended(self, error: FleetError | None) -> None:
        opener, self.opener = self.opener, None
        if opener is not None:
            self.send(opener, NodeEnded(error))

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self.watching = None
        self.opener = None
        if self.health is not None:
            self.health.close()
        if self.system is not None:
            self.system.shutdown()

    def on_failure(self, why: str) -> None:
        log.critical("the node cannot go on without its gateway: %s", why)
        self._tell_ended(Unavailable(f"its gateway failed: {why}"))

    outside: ClassVar[frozenset[type]] = frozenset((WatchMessage, Outward))
    handlers = {
        OpenGateway: on_open,
        WatchMessage: on_watch,
        Outward: on_outward,
        Health: on_health,
        NodeBegan: on_began,
        NodeEnds: on_ends,
        ChildActorExited: on_child_exited,
        ActorExitRequest: on_exit,
    }
