"""What every actor here shares: a table from message type to handler, and an end to whatever goes wrong."""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from thespian.actors import Actor, ActorExitRequest, ThespianWatch

log = logging.getLogger("fleet.actors")


class GuardedActor(Actor):
    """Handles what its `handlers` name and ignores the rest.

    A handler that raises has met a bug: the actor does nothing any more, so that no broken state makes
    a promise, calls `on_failure` and leaves. Thespian would deliver the message to it again.
    """

    handlers: ClassVar[dict[type, Callable[[Any, Any, Any], None]]] = {}
    watching: ThespianWatch | None = None
    """Descriptors that are watched for it; by Thespian's rule this is the answer to every message."""
    outside: ClassVar[frozenset[type]] = frozenset()
    """Messages of other processes, for an actor that promises nothing: a handler that raises on one of these
    has met nonsense, and the actor goes on."""

    def __init__(self) -> None:
        self.failed = False
        self.counted: dict[str, int] = {}

    def receiveMessage(self, message: Any, sender: Any) -> Any:
        handler = self.handlers.get(type(message))
        if handler is not None and not (self.failed and type(message) is not ActorExitRequest):
            try:
                handler(self, message, sender)
            except Exception as error:
                self.fail(error, message)
        return self.watching

    def send(self, target: Any, message: Any) -> None:
        """Thespian's own looks at the address once more."""
        self._myRef.actor_send(target, message)

    def log_rarely(self, about: str, text: str, *args: Any) -> None:
        """The first, second, fourth, eighth... time: another process may cause it endlessly."""
        count = self.counted[about] = self.counted.get(about, 0) + 1
        if count & (count - 1) == 0:
            log.error(f"{text} (%d times)", *args, count)

    def fail(self, error: Exception, message: Any) -> None:
        why = f"{type(error).__name__}: {error}"
        if type(message) in self.outside:
            what = type(message).__name__
            self.log_rarely(what, "%s cannot take a %s of another process: %.200s", self, what, why)
            log.debug("the last of these", exc_info=error)
            return
        log.critical("%s stops, on %s: %s", self, type(message).__name__, why, exc_info=True)
        self.failed = True
        self.watching = None
        try:
            self.on_failure(why)
        finally:
            self.send(self.myAddress, ActorExitRequest())

    def on_failure(self, why: str) -> None:
        """Tell whoever should know."""
