"""Decides what becomes of an executor that does not answer: `step(now, seen)`."""

from collections.abc import Iterator
from typing import Final, TypeAlias

from msgspec import Struct

from fleet.objects.progress import COMMAND, IDLE, OTHER, QUERY, Doing
from fleet.raft.ids import Millis

SLOW_MS: Final[Millis] = 1000
"""The objects beside one whose command takes longer than this move to another executor."""
LOAD_LIMIT_MS: Final[Millis] = 30_000
"""How long importing a class, loading a state or anything else but a command or a query may take."""


class ExecutorSeen(Struct, frozen=True, gc=False):
    """An executor as its node sees it."""

    doing: Doing
    sent: int
    """Messages that it was sent so far."""
    limit_ms: Millis
    """For the object that it works for; 0: none."""
    others: int
    """How many other objects it holds."""


class PrepareSpare(Struct, frozen=True, gc=False):
    """Start a process now: others may soon have to move."""


class MoveOthers(Struct, frozen=True, gc=False):
    """All objects but this one are to live in another executor."""

    number: int
    is_loading: bool = False
    """What is slow is a class or a state that is loaded, as it may be in the other executor."""


class EndIt(Struct, frozen=True, gc=False):
    """What it does has taken longer than it may."""

    why: str


Action: TypeAlias = PrepareSpare | MoveOthers | EndIt


class Watchdog:
    def __init__(self, patience_ms: Millis = SLOW_MS) -> None:
        self.patience_ms = patience_ms
        """How long the others wait while a class or a state is loaded."""
        self.key: tuple[int, int, int, int] | None = None
        """What it works on, None while it works on nothing."""
        self.key_since: Millis = 0
        self.steps: tuple[int, int] = (0, 0)
        self.steps_since: Millis = 0
        self.is_prepared = False

    @property
    def is_busy(self) -> bool:
        """Whether it is to be looked at again soon."""
        return self.key is not None

    def step(self, now: Millis, seen: ExecutorSeen) -> Iterator[Action]:
        doing = seen.doing
        if doing.kind == IDLE and doing.taken >= seen.sent:
            self.key = None
            return
        key = (doing.kind, doing.number, doing.run, doing.index)
        steps = (doing.steps, doing.taken if doing.kind == IDLE else 0)
        if key != self.key:
            self.key, self.key_since, self.is_prepared = key, now, False
        if steps != self.steps or self.steps_since < self.key_since:
            self.steps, self.steps_since = steps, now
        yield from self._slow(now, seen)
        yield from self._stuck(now, seen)

    def _slow(self, now: Millis, seen: ExecutorSeen) -> Iterator[Action]:
        taken_ms = now - self.key_since
        if not seen.others or seen.doing.kind == IDLE:
            return
        is_loading = seen.doing.kind == OTHER
        slow_ms = self.patience_ms if is_loading else SLOW_MS
        if taken_ms >= slow_ms // 2 and not self.is_prepared:
            self.is_prepared = True
            yield PrepareSpare()
        if taken_ms >= slow_ms:
            yield MoveOthers(seen.doing.number, is_loading)

    def _stuck(self, now: Millis, seen: ExecutorSeen) -> Iterator[Action]:
        is_call = seen.doing.kind in (COMMAND, QUERY)
        limit_ms = seen.limit_ms if is_call else LOAD_LIMIT_MS
        if limit_ms and now - self.steps_since >= limit_ms:
            yield EndIt(f"did not return within {limit_ms / 1000:g} s")
