"""The way from threads to the client actor."""

import os
import threading
from collections import deque
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from fleet.system.wakeup import Wakeup

_INBOXES: "WeakSet[Inbox]" = WeakSet()


def _be_deaf() -> None:
    """A fork has no thread that reads an inbox."""
    for inbox in _INBOXES:
        inbox.is_deaf = True
        inbox._lock = threading.Lock()  # another thread may have held it


os.register_at_fork(after_in_child=_be_deaf)


class Inbox:
    """Messages from any thread for the client actor, with one wake-up for all that wait."""

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()
        self.is_deaf = False
        """Whether the actor has stopped reading it."""
        self.wakeup = Wakeup()
        self.is_rung = False
        self._lock = threading.Lock()
        _INBOXES.add(self)

    def put(self, message: Any) -> bool:
        """False: nobody reads `message`. True: it is taken, at the latest when the actor ends."""
        self.waiting.append(message)
        if self.is_rung and not self.is_deaf:
            return True
        with self._lock:
            if self.is_deaf:
                return not self._withdraw(message)
            self.is_rung = True
            self.wakeup.set()
        return True

    def _withdraw(self, message: Any) -> bool:
        """False: it was taken."""
        try:
            self.waiting.remove(message)
        except ValueError:
            return False
        return True

    def take(self) -> list[Any]:
        """Everything that waits; perhaps nothing, since the descriptor may be reported twice."""
        with suppress(BlockingIOError):
            self.wakeup.clear()  # before the messages: what comes after them rings again
        self.is_rung = False
        take = self.waiting.popleft
        return [take() for _ in range(len(self.waiting))]

    def close(self) -> None:
        self.is_deaf = True
        with self._lock:
            self.wakeup.close()
