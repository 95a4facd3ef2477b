"""A member's object across executors that are lost, and commands at which it halts."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.object_halts import TRY_MS
from fleet.actors.member.sending_window import SENT_MAX, WAITING_MAX
from fleet.actors.messages.executor import (
    EntriesApplied,
    ObjectMessage,
    ObjectOpened,
    OpenObject,
)
from fleet.actors.messages.local import ExecutorLost
from fleet.errors import Unavailable
from fleet.objects.payload import ErrorRecord
from fleet.raft.entries import Commands
from fleet.raft.events import ExecutionHalted, ExecutionResumed, ExecutorAway
from fleet.raft.state import NEVER
from tests.actors.member.requested import SPEC, start_of
from tests.raft.cores import N1, leading, settled
from tests.support.clocks import HandClock

WHY = ErrorRecord.of(Unavailable("it was ended"))


class Hosted:
    """A member's object that is open, and what it sends and says."""

    def __init__(self) -> None:
        self.core = settled(terms=(1, 1, 1))
        self.spec = SPEC
        self.clock = HandClock(0)
        self.start = start_of(N1, self.clock)
        self.sent: list[ObjectMessage] = []
        self.events: list[Any] = []
        nothing = SimpleNamespace(
            on_opened=lambda: None,
            on_applied=lambda m: None,
            newest_meta=lambda: None,
            newest_snapshot=lambda: None,
            on_question_failed=lambda token, error: None,
        )
        self.object = MemberObject(self, nothing, self.sent.append, run=7)
        self.object.open()
        self.opened()
        self.object.apply(self.core.log.slice(1, self.core.log.commit))

    def step(self, event: Any) -> None:
        self.events.append(event)
        self.core.step(self.core.now, event)

    def opened(self) -> None:
        self.object.take(ObjectOpened(self.object.number, self.object.run, ("add",)))

    def applied(self, index: int) -> None:
        self.object.take(EntriesApplied(self.object.number, self.object.run, index, 0, (), (), None))

    def lost(self, index: int = 0) -> None:
        self.object.on_lost(ExecutorLost(self.object.number, self.object.run, WHY, index, method=1))

    @property
    def openings(self) -> list[int]:
        return [m.run for m in self.sent if isinstance(m, OpenObject)]


def test_an_object_whose_executor_is_lost_is_opened_again() -> None:
    hosted = Hosted()
    hosted.lost()
    assert hosted.openings == [7, 8]


def test_the_member_says_while_it_has_no_executor() -> None:
    hosted = Hosted()
    assert hosted.events == []
    hosted.lost()
    assert hosted.events == [ExecutorAway(True)]
    hosted.opened()
    assert hosted.events == [ExecutorAway(True), ExecutorAway(False)]


def test_an_object_that_hangs_where_a_snapshot_has_overtaken_it_goes_on_from_that() -> None:
    """Seed 1200125: it waited for ever for a command that no member executes any more."""
    hosted = Hosted()
    hosted.core.snapshot = SimpleNamespace(index=3)  # type: ignore[assignment]
    hosted.lost(index=2)
    assert hosted.object.halt is None and hosted.openings == [7, 8]


def test_an_object_in_the_members_own_process_is_not_away_once_it_is_open_again() -> None:
    """It is open before `open` returns."""
    hosted = Hosted()
    send = hosted.object.port

    def answer_at_once(message: ObjectMessage) -> None:
        send(message)
        if isinstance(message, OpenObject):
            hosted.opened()

    hosted.object.port = answer_at_once
    hosted.lost()
    assert hosted.object.is_open and hosted.core.away_since == NEVER


def test_only_what_its_leader_proposed_makes_an_object_behind() -> None:
    """What is executed again after a restart is refused to nobody: callers cannot make it less."""
    hosted = Hosted()
    for seq in range(1, 30):
        hosted.core.append(Commands(1, seq, 0, 0, (b"x",) * SENT_MAX))
    entries = hosted.core.log.slice(hosted.core.log.commit + 1, hosted.core.log.last_index)
    for place, entry in enumerate(entries):
        assert hosted.object.is_behind() is (place > WAITING_MAX)
        hosted.object.apply([entry])
    leading(hosted.core).first_index = entries[-WAITING_MAX].index + 1
    assert not hosted.object.is_behind()
    leading(hosted.core).first_index -= 1
    assert hosted.object.is_behind()


def test_an_object_that_is_lost_while_it_is_opened_after_a_halt_is_opened_again() -> None:
    hosted = Hosted()
    hosted.lost(index=2)
    hosted.clock.now = TRY_MS[0]
    hosted.object.try_again(TRY_MS[0])
    assert hosted.openings == [7, 8]
    hosted.lost()
    assert hosted.openings == [7, 8, 9]


def test_an_object_that_has_halted_is_not_opened_before_its_time() -> None:
    hosted = Hosted()
    hosted.lost(index=2)
    hosted.lost()
    hosted.object.try_again(TRY_MS[0] - 1)
    assert hosted.openings == [7]


@pytest.mark.parametrize("executed", [1, 2])
def test_a_command_that_was_executed_before_is_reported_as_such(executed: int) -> None:
    """Its caller may know the outcome, which this member must not agree to replace by another one."""
    hosted = Hosted()
    hosted.applied(executed)
    hosted.lost()
    hosted.opened()
    hosted.lost(index=2)
    (halted,) = [event for event in hosted.events if not isinstance(event, ExecutorAway)]
    assert isinstance(halted, ExecutionHalted) and halted.halt.is_repeated == (executed == 2)


def test_a_halt_ends_when_the_object_comes_past_that_command_again() -> None:
    hosted = Hosted()
    hosted.applied(3)
    hosted.lost()
    hosted.opened()
    hosted.lost(index=2)
    hosted.object.try_again(TRY_MS[0])
    hosted.opened()
    hosted.applied(1)
    assert hosted.object.halt is not None
    hosted.applied(2)
    assert hosted.object.halt is None and isinstance(hosted.events[-1], ExecutionResumed)
