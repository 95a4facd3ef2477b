"""When a leader proposes to fire reminders: by its clock, by log time, and not twice."""

from types import SimpleNamespace
from typing import Any

from fleet.actors.member.reminding import LOOK_MS, RETRY_MS, Reminding
from fleet.actors.messages.executor import EntriesApplied
from fleet.raft.entries import RemindersDue
from fleet.raft.state import NEVER, Follower, Leader


class Member:
    """A leader of term 4 whose object has executed all of 10 entries."""

    def __init__(self) -> None:
        self.now, self.wall_ms = 1000, 50_000
        self.refuses = False
        self.proposed: list[int] = []
        self.core: Any = SimpleNamespace(
            role=Leader(7, {}, 0, 0, 0), term=4, log=SimpleNamespace(last_index=10)
        )
        self.object: Any = SimpleNamespace(index=10, number=1, run=1, is_behind=lambda: False)
        self.clients: Any = SimpleNamespace(next_token=lambda: 1)
        self.start: Any = SimpleNamespace(clock=SimpleNamespace(now_ms=lambda: self.now))
        self.trouble_is: Any = None
        self.reminding = Reminding(self)

    def step(self, event: Any) -> None:
        (body,) = event.bodies
        assert isinstance(body, RemindersDue)
        if not self.refuses:
            self.proposed.append(body.wall_ms)
            self.core.log.last_index += 1

    def stamp_ms(self) -> int:
        return self.wall_ms

    def trouble(self) -> Any:
        return self.trouble_is

    def told(self, due_ms: int, log_ms: int) -> None:
        self.reminding.told(EntriesApplied(1, 1, self.object.index, 5, (), (), None, (), due_ms, log_ms))

    def passes(self, ms: int) -> int:
        """So much later; when it wants to be called again, from then on."""
        self.now += ms
        self.wall_ms += ms
        again = self.reminding.act(self.now)
        return again if again == NEVER else again - self.now


def test_it_waits_for_the_time_and_proposes_once() -> None:
    member = Member()
    member.told(52_000, 49_000)
    assert member.passes(0) == 2000 and member.passes(1999) == 1
    assert member.passes(1) == NEVER and member.proposed == [52_000]
    assert member.passes(5000) == NEVER, "what it has proposed is not executed yet"
    member.object.index = 11
    member.told(0, 0)
    assert member.passes(1) == NEVER and len(member.proposed) == 1


def test_one_that_is_overdue_is_proposed_at_once() -> None:
    member = Member()
    member.told(48_000, 49_000)
    assert member.passes(0) == NEVER and member.proposed == [50_000]


def test_where_log_time_is_ahead_of_all_clocks_it_counts_on_from_there() -> None:
    """Seed 43: an earlier leader's clock was a day ahead."""
    member = Member()
    day = 86_400_000
    member.told(day + 300, day)
    assert member.passes(0) == 300
    assert member.passes(300) == NEVER and member.proposed == [day + 300]


def test_a_clock_that_was_set_is_noticed_within_a_minute() -> None:
    member = Member()
    member.told(50_000 + 3_600_000, 49_000)
    assert member.passes(0) == LOOK_MS
    member.wall_ms += 3_600_000
    assert member.passes(LOOK_MS) == NEVER and len(member.proposed) == 1


def test_what_is_refused_is_proposed_again() -> None:
    member = Member()
    member.refuses = True
    member.told(50_000, 49_000)
    assert member.passes(0) == RETRY_MS
    member.refuses = False
    assert member.passes(RETRY_MS) == NEVER and len(member.proposed) == 1


def test_who_does_not_lead_or_has_not_executed_what_was_before_proposes_nothing() -> None:
    member = Member()
    member.told(50_000, 49_000)
    member.object.index = 6
    assert member.passes(0) == NEVER
    member.object.index, member.core.role = 10, Follower()
    assert member.passes(0) == NEVER
    member.core.role, member.trouble_is = Leader(7, {}, 0, 0, 0), RuntimeError()
    assert member.passes(0) == RETRY_MS
    assert member.proposed == []


def test_a_proposal_of_an_earlier_term_is_not_waited_for() -> None:
    member = Member()
    member.told(50_000, 49_000)
    member.passes(0)
    member.core.log.last_index, member.core.term = 10, 6  # it was overwritten
    assert member.passes(1) == NEVER and len(member.proposed) == 2
