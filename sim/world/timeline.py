"""Virtual time, seeded chance and the record of events: what the parts of a world use of it."""

import heapq
import random
from collections.abc import Callable
from typing import Any, NoReturn

from fleet.sim.checks.marks import Marks
from fleet.sim.world.trace import Event, Trace

MS = 1000
S = 1_000_000


class Broken(AssertionError):
    """A violated invariant. The message has the seed and the moment to reproduce it."""


class Timeline:
    """Time is in microseconds. `tracing`: keep every message, fault and commit as an event."""

    def __init__(self, seed: int, tracing: bool) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now = 0
        self.events: Trace | None = Trace() if tracing else None
        self.marks = Marks()
        self._heap: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: int, action: Callable[..., object], *args: Any) -> None:
        """Actions of the same microsecond run in the order in which they were scheduled."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, action, args))

    def after(self, delay: int, action: Callable[..., object], *args: Any) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, action, args))

    def trace(self, kind: str, node: str = "", say: str = "", until: int | None = None) -> None:
        if self.events is not None:
            self.events.events.append(Event(self.now, kind, node, say=say, until=until))

    def mark(self, name: str) -> None:
        self.marks.passes(name, self.now)

    def violated(self, sentence: str) -> NoReturn:
        raise Broken(f"seed {self.seed}, t={self.now / S:.6f}: {sentence}")

    def need(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.violated(sentence)
