"""The load of reminders and effects: in some of the seeds, a group of its own, and a client.

Everything about it is drawn from a generator of its own, so that other seeds are what they were without.
"""

import random
from functools import partial
from typing import Any

from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError, OutcomeUnknown
from fleet.objects.applier import Applier
from fleet.raft.config import GroupConfig
from fleet.sim.checks.alarms import CANCELLED, SET, lost, objection, reminders_skipped
from fleet.sim.checks.appliers import applier_of
from fleet.sim.search.workload import Groups
from fleet.sim.world.alarms import ALARMS, journal_of
from fleet.sim.world.client import SimClient
from fleet.sim.world.timeline import MS, S
from fleet.sim.world.world import World

GROUP = "alarms"
SHARE = 0.25
"""Of the seeds."""
WAIT_US = 60 * S
"""In which all that is due must have been called, without faults."""
REPEATING_MAX = 3


class AlarmLoad:
    def __init__(self, world: World, groups: Groups, config: GroupConfig, rng: random.Random) -> None:
        self.world = world
        self.groups = groups
        self.config = config
        self.rng = rng
        self.number = 0
        self.repeating: list[int] = []
        self.done: list[tuple[int, int]] = []
        """What the client was told to be done: what, and of which alarm, as in the journal."""
        self.unknown: list[int] = []
        """Alarms that repeat, if they were set at all."""
        self.open = 0
        self.is_stopping = False
        self.has_stopped = False
        self.client: SimClient

    # -- the group ---------------------------------------------------------------------------------

    def add(self, admin: SimClient) -> None:
        told: list[FleetError | None] = []
        args = (GROUP, 3, ALARMS, self.config, ())
        call = self.groups.operators.asks("add_group", args, self.world.now)

        def add() -> None:
            admin.call(
                CLUSTER_GROUP, "add_group", args, False, 10_000, lambda value, error: told.append(error)
            )

        admin.in_turn(add)
        self.world.run(15 * S, lambda: bool(told))
        self.world.need(told == [None], f"group {GROUP} was not added: {told}")
        self.groups.operators.answered(call, None, self.world.now)

    def begin(self) -> None:
        self.client = self.world.add_client("alarm")
        self.client.on_time = self.next
        self.client.in_turn(self._pause)

    def _pause(self) -> None:
        if self.is_stopping:
            self._end_all(self.repeating)
        else:
            self.client.wake_in(1 + int(self.rng.random() * 400 * MS))

    # -- calls -------------------------------------------------------------------------------------

    def next(self) -> None:
        if self.is_stopping:
            self._end_all(self.repeating)
            return
        for _ in range(self.rng.choice((1, 1, 2, 5))):
            self._call(*self._draw())

    def _draw(self) -> tuple[str, tuple[Any, ...]]:
        rng, drawn = self.rng, self.rng.random()
        if self.number and drawn < 0.25:
            return "cancel", (rng.randint(max(1, self.number - 5), self.number),)
        self.number += 1
        after_ms = rng.choice((0, 50, 300, 300, 1000, 3000))
        if drawn < 0.35:
            return "set_and_fail", (self.number,)
        if drawn < 0.4 and len(self.repeating) < REPEATING_MAX:
            self.repeating.append(self.number)
            return "set", (self.number, after_ms, rng.choice((200, 1000)))
        return "set", (self.number, after_ms, 0, rng.random() < 0.8)

    def _call(self, method: str, args: tuple[Any, ...]) -> None:
        self.open += 1

        def told(value: Any, error: FleetError | None) -> None:
            self.open -= 1
            self._note(method, args[0], error)
            if not self.open:
                self._pause()

        self.client.call(GROUP, method, args, False, 4000, told)

    def _note(self, method: str, number: int, error: FleetError | None) -> None:
        if error is None:
            self.done.append((CANCELLED if method == "cancel" else SET, number))
        elif isinstance(error, OutcomeUnknown) and method == "set" and number in self.repeating:
            self.unknown.append(number)

    # -- the end -----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Set nothing more, and end what repeats: a group that has always something to do settles never.

        One that is being set now is ended when that call is over: the cancel might be executed before it."""
        self.is_stopping = True

    def _end_all(self, numbers: list[int]) -> None:
        self.has_stopped = True
        self.open += len(numbers)
        for number in numbers:
            self._end(number)

    def _end(self, number: int) -> None:
        def told(value: Any, error: FleetError | None) -> None:
            if error is not None:
                self.world.after(500 * MS, self.client.in_turn, partial(self._end, number))
            else:
                self.open -= 1
                self.done.append((CANCELLED, number))

        self.client.call(GROUP, "cancel", (number,), False, 4000, told)

    def judge(self) -> None:
        """Everything has settled: what is set must be called.

        What was set is ended once, after the last call. Where nobody knows whether it was, the group may hear
        of it after that: it is ended again."""
        self.world.run(WAIT_US, lambda: self.has_stopped, 100 * MS)
        self.client.in_turn(partial(self._end_all, self.unknown))
        is_over = self.world.run(WAIT_US, self._is_over, 100 * MS)
        members = self.world.members_of(GROUP)
        appliers = [applier_of(member) for member in members if member.core.log.last_index]
        known = [applier for applier in appliers if applier is not None]
        (past,) = (one for one in self.world.invariants.groups.values() if one.name == GROUP)
        for applier in known:
            self._judge_journal(applier, reminders_skipped(past.committed))
        self.world.need(is_over, f"reminders are not called: {[one and one.due() for one in appliers]}")
        dumps = {applier and applier.dump() for applier in appliers}
        self.world.need(len(dumps) == 1, f"members of {GROUP} differ in the end")
        for applier in known:
            undone = lost(journal_of(getattr(applier.executor, "_object")), self.done)
            self.world.need(not undone, f"{GROUP}: what was told to be done is not in the journal: {undone}")
            emitted = [event.position for event in applier.events.events]
            told = self.world.hooks.effects.get(GROUP, [])
            differ = set(emitted) ^ set(told)
            self.world.need(not differ, f"{GROUP}: effects were lost, or are none: {sorted(differ)[:5]}")

    def _judge_journal(self, applier: Applier, passed: int) -> None:
        """One that was executed halfway is right, too. `passed`: reminders that were recorded as failed."""
        journal = journal_of(getattr(applier.executor, "_object"))
        why = objection(journal, len(applier.reminders.reminders) + passed)
        self.world.need(not why, f"{GROUP}: {why}")

    def _is_over(self) -> bool:
        if self.open or not self.has_stopped:
            return False
        members = [one for one in self.world.members_of(GROUP) if one.core.log.last_index]
        appliers = [applier_of(member) for member in members]
        if not appliers or any(one is None or one.due()[0] or one.events.pending for one in appliers):
            return False
        return len({one and one.index for one in appliers}) == 1
