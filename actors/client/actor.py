"""The client actor: sends the requests of threads as messages, and settles their futures with the replies."""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import Struct
from thespian.actors import ActorExitRequest, ThespianWatch, WatchMessage

from fleet.actors.client.requester import Requester
from fleet.actors.client.router import Router
from fleet.errors import ClientClosed, FleetError
from fleet.interfaces import Clock


class Inbox:
    """Work from any thread for the client actor, with one wake-up for all of it."""

    def __init__(self) -> None:
        self.work: deque[Callable[[Router], None]] = deque()
        self.is_deaf = False
        """Whether the actor has stopped reading it."""
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.is_rung = False
        self._lock = threading.Lock()

    def put(self, action: Callable[[Router], None]) -> bool:
        """False: the inbox is closed, and `action` will not run."""
        self.work.append(action)
        if self.is_rung:
            return self.fd >= 0 and not self.is_deaf
        with self._lock:
            if self.fd < 0 or self.is_deaf:
                return False
            self.is_rung = True
            os.eventfd_write(self.fd, 1)
        return True

    def take(self) -> list[Callable[[Router], None]]:
        """Everything that waits; perhaps nothing, since the descriptor may be reported twice."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        self.is_rung = False
        taken = []
        while self.work:
            taken.append(self.work.popleft())
        return taken

    def close(self) -> None:
        with self._lock:
            fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class StartClient(Struct, frozen=True):
    inbox: Inbox
    clock: Clock
    name: str
    seed: int
    addresses: tuple[str, ...]


class Client(Requester):
    inbox: Inbox

    def on_start(self, m: StartClient, sender: Any) -> None:
        self.inbox = m.inbox
        self.watching = ThespianWatch([m.inbox.fd])
        self.begin(m.clock, m.name, m.seed, m.addresses)

    def on_watch(self, m: WatchMessage, sender: Any) -> None:
        for action in self.inbox.take():
            action(self.router)

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self.watching = None
        self.inbox.is_deaf = True
        self._fail_all(ClientClosed("the client was closed"))

    def on_failure(self, why: str) -> None:
        """Refuse calls from now on."""
        self.inbox.is_deaf = True
        self._fail_all(ClientClosed(f"the client failed: {why}"))

    def _fail_all(self, error: FleetError) -> None:
        if hasattr(self, "router"):
            for session in self.router.sessions.values():
                session.fail_all(error)
            for question in self.router.questions.values():
                question.finish(None, error)

    handlers = Requester.handlers | {
        StartClient: on_start,
        WatchMessage: on_watch,
        ActorExitRequest: on_exit,
    }
