"""`ctx` for a command that runs on a plain instance."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from fleet.interfaces import Context
from fleet.objects.context import Collected
from fleet.objects.context import executing as lent
from fleet.objects.context import strict as strictly
from fleet.objects.event import Event, received
from fleet.objects.payload import decode_call
from fleet.raft.reminders import PendingReminder, ReminderTable


class Reminded(NamedTuple):
    """A reminder that a command has set."""

    name: str
    args: tuple[Any, ...]
    key: str | None
    at: float
    """Seconds since the epoch."""
    every: float
    """Seconds; 0: once."""


class Execution:
    """What `executing` yields."""

    def __init__(self, collected: Collected) -> None:
        self._collected = collected

    @property
    def events(self) -> list[Event]:
        """What commands have emitted so far that returned, in their order."""
        return [received(event) for event in self._collected.emitted]

    @property
    def reminders(self) -> list[Reminded]:
        """What commands have set so far and not taken back: the reminders that a group would still call, the
        earliest first. Nobody calls them here: call the method."""
        table = ReminderTable()
        table.settle(self._collected.asks.asked)
        pending = sorted(table.reminders.values(), key=lambda one: (one.due_ms, one.number))
        return [_reminded(one) for one in pending]


def _reminded(one: PendingReminder) -> Reminded:
    args = decode_call(one.payload)[1]
    return Reminded(one.name, args, one.key or None, one.due_ms / 1000, one.every_ms / 1000)


@contextmanager
def executing(
    *, now: float = 0.0, index: int = 1, client: str = "test", strict: bool = True
) -> Iterator[Execution]:
    """Give `fleet.ctx` a context, to call commands of a plain instance that use it. It yields an object whose
    `events` are those that they emit, and whose `reminders` those that they set.

    `now`: seconds since the epoch. `index`: what `ctx.index` says; random numbers follow from it too.
    `strict`: whether these commands raise ImpureCommand when they read time, chance, the environment, files
    or sockets.
    """
    context = Context(revision=index, now_ms=round(now * 1000), session=1, seq=index, client=client)
    with strictly(strict), lent(context) as collected:
        yield Execution(collected)
