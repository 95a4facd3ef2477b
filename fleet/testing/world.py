"""`ctx` for a command that runs on a plain instance."""

from collections.abc import Iterator
from contextlib import contextmanager

from fleet.interfaces import Context
from fleet.objects.context import executing as lent
from fleet.objects.context import strict as strictly
from fleet.objects.event import Event, received
from fleet.raft.group_events import GroupEvent


class Execution:
    """What `executing` yields."""

    def __init__(self, emitted: list[GroupEvent]) -> None:
        self._emitted = emitted

    @property
    def events(self) -> list[Event]:
        """What commands have emitted so far that returned, in their order."""
        return [received(event) for event in self._emitted]


@contextmanager
def executing(
    *, now: float = 0.0, index: int = 1, client: str = "test", strict: bool = True
) -> Iterator[Execution]:
    """Give `fleet.ctx` a context, to call commands of a plain instance that use it. It yields an object whose
    `events` are those that they emit.

    `now`: seconds since the epoch. `index`: what `ctx.index` says; random numbers follow from it too.
    `strict`: whether these commands raise ImpureCommand when they read time, chance, the environment, files
    or sockets.
    """
    context = Context(revision=index, now_ms=round(now * 1000), session=1, seq=index, client=client)
    with strictly(strict), lent(context) as emitted:
        yield Execution(emitted)
