"""The client actor: takes the messages of threads to its router."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from thespian.actors import ActorExitRequest, ThespianWatch, WatchMessage

from fleet.actors.client.calls import ClientCall
from fleet.actors.client.inbox import Inbox
from fleet.actors.client.questions import Question
from fleet.actors.client.requester import Requester
from fleet.errors import ClientClosed, FleetError
from fleet.interfaces import Clock
from fleet.objects.outcomes import Failed


class StartClient(Struct, frozen=True):
    inbox: Inbox
    clock: Clock
    name: str
    seed: int
    addresses: tuple[str, ...]
    release: Callable[[int, int], None]
    """Called with how many calls, and bytes of arguments, have come to their end."""
    zone: str = ""


class Client(Requester):
    inbox: Inbox

    def on_start(self, m: StartClient, sender: Any) -> None:
        self.inbox = m.inbox
        self.watching = ThespianWatch([m.inbox.wakeup.fd])
        self.begin(m.clock, m.name, m.seed, m.addresses, m.zone)
        self.router.release = m.release

    def on_watch(self, m: WatchMessage, sender: Any) -> None:
        self.router.handle_all(self.inbox.take())

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self.watching = None
        self._refuse(ClientClosed("the client was closed"))

    def on_failure(self, why: str) -> None:
        """Refuse calls from now on."""
        self._refuse(ClientClosed(f"the client failed: {why}"))

    def _refuse(self, error: FleetError) -> None:
        self.inbox.is_deaf = True
        left = self.inbox.take()
        if hasattr(self, "router"):
            self.router.abandon(error)
        for message in left:
            match message:
                case ClientCall():
                    message.receiver.settle(Failed(error))
                case Question():
                    message.tell(error)

    handlers = Requester.handlers | {
        StartClient: on_start,
        WatchMessage: on_watch,
        ActorExitRequest: on_exit,
    }
