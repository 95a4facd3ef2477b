"""Watches of a simulated fleet: asking for an event lets virtual time pass."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from fleet.actors.client.watching import CloseWatch, OpenWatch, ResumeWatch, Watching
from fleet.objects.watch import EventQueue, LoopWakes, Since, Watch
from fleet.sim.world.client import SimClient

NEVER_S = 3600.0
Advance = Callable[[float, Callable[[], bool]], bool]
"""Lets so many virtual seconds pass, until the condition holds; returns whether it does."""


class SimQueue(EventQueue):
    advance: Advance

    def wait(self, until: Callable[[], bool], timeout: float | None) -> bool:
        return until() or self.advance(NEVER_S if timeout is None else timeout, until)


class SimSource:
    """A `fleet.objects.watch.EventSource`."""

    def __init__(self, client: SimClient, group: str, timeout: float) -> None:
        self.client = client
        self.group = group
        self.timeout = timeout

    def open(self, queue: EventQueue) -> None:
        deadline = self.client.router.clock.now_ms() + round(self.timeout * 1000)
        queue.watching = Watching(self.group, queue, queue.kinds, queue.since, deadline)
        self._tell(OpenWatch(queue.watching))

    def resume(self, queue: EventQueue) -> None:
        self._tell(ResumeWatch(queue.watching))

    def close(self, queue: EventQueue) -> None:
        self._tell(CloseWatch(queue.watching))

    def _tell(self, message: Any) -> None:
        self.client.in_turn(partial(self.client.router.handle, message))


class SimWatch(Watch):
    """One that nobody refers to stays open: when it is collected must not show in a simulation."""

    def __init__(
        self, source: SimSource, since: Since, kinds: Iterable[str] | None, advance: Advance
    ) -> None:
        super().__init__(source, source.group, since, kinds)
        self._queue = SimQueue(self._queue.since, self._queue.kinds, LoopWakes())
        self._queue.advance = advance

    def begin(self) -> None:
        """Without waiting for it: what it is told comes while time passes."""
        self._open()

    def __del__(self) -> None:
        pass
