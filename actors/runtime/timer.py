"""One wakeup at a time on top of Thespian's, which cannot be cancelled: each carries an epoch."""

from datetime import timedelta
from typing import Any

from fleet.raft.ids import Millis


class Timer:
    """Asks `actor` to be woken at the earliest moment it was armed for.

    A deadline that moves away costs nothing: the wakeup comes at the old moment, and the actor arms
    again. One that moves nearer makes the earlier wakeup stale, and `is_due` refuses it (S63).
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
        self.actor.wakeupAfter(timedelta(milliseconds=max(0, at - now)), payload=self.epoch)

    def is_due(self, epoch: Any) -> bool:
        """Whether this wakeup is the newest one asked for; it is used up."""
        if epoch != self.epoch:
            return False
        self.at = None
        return True
