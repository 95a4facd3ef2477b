"""One wakeup at a time on top of Thespian's, which cannot be cancelled: each carries an epoch."""

from datetime import timedelta
from typing import Any

from msgspec import Struct

from fleet.raft.ids import Millis


class Due(Struct, frozen=True, gc=False):
    """The payload of a timer's wakeup. `epoch` counts the wakeups that the timer has asked for."""

    epoch: int


class Timer:
    """Wakes `actor` with a `Due`, at the earliest moment that it was armed for.

    A deadline that moves away costs nothing: the wakeup comes at the old moment, and the actor arms the timer
    again. A deadline that moves nearer makes the earlier wakeup stale, and `is_due` refuses it (S63).
    """

    __slots__ = ("actor", "at", "epoch")

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.at: Millis | None = None
        self.epoch = 0

    def arm(self, now: Millis, at: Millis) -> None:
        if self.at is not None and self.at <= at:
            return
        self.at = at
        self.epoch += 1
        self.actor.wakeupAfter(timedelta(milliseconds=max(0, at - now)), payload=Due(self.epoch))

    def is_due(self, payload: object) -> bool:
        """Whether the wakeup with this payload is the newest one. True only once for each."""
        if type(payload) is not Due or payload.epoch != self.epoch:
            return False
        self.at = None
        return True
