"""What is called of groups before their fleet is lost: commands, some of them under keys, that set reminders
and emit events; reads, also of members that do not lead; and a watch.
"""

import random
from concurrent.futures import Future
from typing import Any, cast

import fleet
from fleet.errors import FleetError, WaitTimeout
from fleet.objects.watch import Watch
from fleet.sim.world.user_code import is_told
from fleet.testing import Sim
from fleet.testing.watches import SimWatch

APPENDED, RANG = "appended", "rang"
REMINDED = 3
"""Every so many values, a reminder is set."""
KEYED = 2
"""Every so many values are appended under a key."""

Noted = tuple[str, int]


class JournalHooks(fleet.LeaderHooks["Journal"]):
    def on_effect(self, effect: fleet.Event) -> None:
        is_told(self, "effect", effect)


class Journal(fleet.Data, hooks=JournalHooks):
    noted: list[Noted] = []

    def _note(self, what: str, value: int) -> None:
        fleet.ctx.emit(what, value)
        self.noted.append((what, value))

    @fleet.command
    def append(self, value: int) -> int:
        """Returns its place."""
        self._note(APPENDED, value)
        if value % REMINDED == 0:
            fleet.ctx.remind("ring", value, after=0.5 + value % 4)
        return len(self.noted)

    @fleet.reminder("ring")
    def ring(self, value: int) -> None:
        self._note(RANG, value)

    @fleet.query
    def all(self) -> tuple[Noted, ...]:
        return tuple(self.noted)


def key_of(value: int) -> str | None:
    return f"value-{value}" if value % KEYED == 0 else None


def unrung(noted: tuple[Noted, ...]) -> set[int]:
    """Of which a reminder was set, and has not been called."""
    reminded = {value for what, value in noted if what == APPENDED and value % REMINDED == 0}
    return reminded - {value for what, value in noted if what == RANG}


class RecoveredLoad:
    """Of one group, by clients of the fleet that is lost."""

    def __init__(self, sim: Sim, rng: random.Random, group: str, **created: Any) -> None:
        self.sim, self.rng, self.group = sim, rng, group
        self.handles = [
            sim.group(group, Journal, client="c1", **created),
            sim.group(group, Journal, client="c2", **created),
        ]
        self.reads: list[Future[tuple[Noted, ...]]] = []
        self.watch = cast(SimWatch, self.handles[1].watch(since=0))
        self.watch.begin()

    def act(self, value: int) -> None:
        self._append(self.rng.choice(self.handles), value)
        if key_of(value) and self.rng.random() < 0.5:
            for handle in self.handles:
                self._append(handle, value)
        if self.rng.random() < 0.3:
            query = self.rng.choice(self.handles).all
            chosen = self.rng.choice([query, query.stale(max_age=None), query.stale(max_age=1.0)])
            self.reads.append(chosen.options(timeout=5.0).submit())

    def _append(self, handle: Journal, value: int) -> None:
        handle.append.options(timeout=5.0, key=key_of(value)).submit(value)

    def judge(self) -> None:
        """What the lost fleet told is of one history."""
        seen = [reply.result(0) for reply in self.reads if reply.done() and reply.exception() is None]
        seen.append(told_by(self.watch, 0.0, until=FleetError))
        longest = max(seen, key=len)
        for one in seen:
            self.sim.world.need(longest[: len(one)] == one, f"{self.group} told of {one}, and of {longest}")


def told_by(watch: Watch, timeout: float, until: type[FleetError] = WaitTimeout) -> tuple[Noted, ...]:
    """All that it tells until it is quiet for so many seconds."""
    found: list[Noted] = []
    while True:
        try:
            event = watch.next(timeout)
        except until:
            return tuple(found)
        found.append((event.kind, event.value))
