"""Base of all actors: a table from message type to handler, and a stop when a handler raises."""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from thespian.actors import Actor, ActorExitRequest, ThespianWatch

log = logging.getLogger("fleet.actors")


class GuardedActor(Actor):
    """Handles the message types in `handlers` and ignores others.

    A handler that raises is a bug: the actor handles no further messages, so that a broken state makes no
    promises, calls `on_failure` and exits. Thespian's own bases would deliver the message again.
    """

    handlers: dict[type, Callable[[Any, Any, Any], None]] = {}
    """An actor with several stages has a table for each and assigns the current one to itself."""
    watching: ThespianWatch | None = None
    """The descriptors it watches; Thespian requires them as the return value for every message."""
    outside: ClassVar[frozenset[type]] = frozenset()
    """Messages from other processes, for actors that make no promises. If a handler raises on one of these,
    the message was invalid, and the actor continues."""

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
        """As Thespian's, without checking the address a second time."""
        self._myRef.actor_send(target, message)

    def log_rarely(self, about: str, text: str, *args: Any) -> None:
        """Log the first, second, fourth, eighth... occurrence: other processes may cause any number."""
        count = self.counted[about] = self.counted.get(about, 0) + 1
        if count & (count - 1) == 0:
            log.error(f"{text} (%d times)", *args, count)

    def fail(self, error: Exception, message: Any) -> None:
        why = f"{type(error).__name__}: {error}"
        if type(message) in self.outside:
            what = type(message).__name__
            self.log_rarely(what, "%s cannot handle a %s of another process: %.200s", self, what, why)
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
        """Report the failure, where a subclass has someone to tell."""
