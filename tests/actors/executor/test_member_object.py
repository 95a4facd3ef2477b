"""A member's object as its member sees it, when its executor is lost, halts or is made again."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.object_halts import TRY_MS
from fleet.actors.messages.executor import (
    ApplyEntries,
    AskQueries,
    EntriesApplied,
    LeadsNow,
    LoadState,
    ObjectFailed,
    ObjectMessage,
    ObjectOpened,
    OpenObject,
    QueriesAnswered,
)
from fleet.actors.messages.local import ExecutorLost
from fleet.errors import CommandFailed, FleetError, OtherCode, Unavailable
from fleet.objects.payload import ErrorRecord
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, Skipped, SkipProposed
from fleet.raft.events import ExecutionHalted, ExecutionResumed, ExecutorAway
from fleet.raft.messages import REPAIRING
from tests.support.clocks import HandClock

RUN = 1 << 32
HANGS = ErrorRecord.of(CommandFailed("hangs"))
GONE = ErrorRecord.of(Unavailable("gone"))


class Log:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    @property
    def commit(self) -> int:
        return len(self.entries)

    def slice(self, first: int, last: int) -> list[Entry]:
        return self.entries[first - 1 : last]

    def term_at(self, index: int) -> int | None:
        return self.entries[index - 1].term if 0 < index <= len(self.entries) else None


class Bench:
    """The member, who is told, and the other end of the port."""

    def __init__(self) -> None:
        self.sent: list[ObjectMessage] = []
        self.steps: list[Any] = []
        self.failed: list[FleetError] = []
        self.questions_failed: list[tuple[int, str]] = []
        self.answered: list[QueriesAnswered] = []
        self.snapshot: tuple[Any, bytes] | None = None
        self.clock = HandClock()
        self.log = Log()
        self.core: Any = SimpleNamespace(
            log=self.log, skips=[], snapshot=None, halt=None, term=1, config=GroupConfig()
        )
        record = SimpleNamespace(number=7)
        self.start: Any = SimpleNamespace(record=record, member="n1@a.1", clock=self.clock)
        self.spec: Any = SimpleNamespace(name="g", data_class=b"class", config=GroupConfig())
        self.object = MemberObject(self, self, self.sent.append, RUN)
        self.object.open()
        self.opened()

    def step(self, event: Any) -> None:
        if isinstance(event, ExecutorAway):
            return
        self.steps.append(event)
        self.core.halt = event.halt if isinstance(event, ExecutionHalted) else None

    # -- told --------------------------------------------------------------------------------------

    def on_opened(self) -> None: ...

    def on_failed(self, error: FleetError, retry: bool) -> None:
        self.failed.append(error)

    def on_applied(self, m: Any) -> None: ...

    def on_loaded(self, m: Any) -> None: ...

    def on_answered(self, m: QueriesAnswered) -> None:
        self.answered.append(m)

    def on_question_answered(self, m: Any) -> None: ...

    def on_dumped(self, m: Any) -> None: ...

    def on_point(self, m: Any) -> None: ...

    def on_shown(self, m: Any) -> None: ...

    def on_question_failed(self, token: int, error: FleetError) -> None:
        self.questions_failed.append((token, type(error).__name__))

    def newest_meta(self) -> Any:
        return self.snapshot[0] if self.snapshot is not None else None

    def newest_snapshot(self) -> tuple[Any, bytes] | None:
        return self.snapshot

    # -- what happens ------------------------------------------------------------------------------

    def opened(self) -> list[ObjectMessage]:
        """Its newest run is open; what it is sent then."""
        before = len(self.sent)
        self.object.take(ObjectOpened(7, self.object.run, ("add",)))
        return self.sent[before:]

    def commit(self, *bodies: Any) -> None:
        first = self.log.commit + 1
        entries = [Entry(1, index, body) for index, body in enumerate(bodies, first)]
        self.log.entries += entries
        self.core.skips += [one for one in entries if isinstance(one.body, Skipped | SkipProposed)]
        self.object.apply(entries)

    def executed(self, index: int) -> None:
        self.object.take(EntriesApplied(7, self.object.run, index, index, (), ()))

    def lost(self, index: int = 0, place: int = 0, error: ErrorRecord = GONE, token: int = 0) -> None:
        self.object.on_lost(ExecutorLost(7, self.object.run, error, index, place, 1, token))


def add(first: int) -> Commands:
    return Commands(5, first, 0, 0, (b"add",))


def indexes(messages: Sequence[ObjectMessage]) -> list[tuple[int, int]]:
    """Of the entries that are to be applied: each index, and up to where they are known."""
    return [(entry.index, m.known) for m in messages if isinstance(m, ApplyEntries) for entry in m.entries]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.commit(add(1), add(2), add(3))
    bench.executed(2)
    return bench


def test_a_lost_object_is_made_from_the_log_and_executes_on(bench: Bench) -> None:
    bench.lost()
    assert isinstance(bench.sent[-1], OpenObject) and bench.sent[-1].run == RUN + 1
    assert indexes(bench.opened()) == [(1, 2), (2, 2), (3, 2)]
    bench.commit(add(4))
    assert indexes(bench.sent[-1:]) == [(4, 0)]


def test_a_lost_object_is_made_from_its_newest_snapshot_and_the_log_behind(bench: Bench) -> None:
    bench.snapshot = SimpleNamespace(index=1, skipped=()), b"state"
    bench.lost()
    messages = bench.opened()
    assert messages[0] == LoadState(7, RUN + 1, b"state")
    assert indexes(messages) == [(2, 2), (3, 2)]


def test_a_new_object_of_a_leader_is_told_so_between_what_is_known_and_what_is_not(bench: Bench) -> None:
    bench.object.lead(1)
    bench.lost()
    kinds = [type(m) for m in bench.opened()]
    assert kinds == [ApplyEntries, LeadsNow, ApplyEntries]
    assert [m for m in bench.sent if isinstance(m, LeadsNow)][-1].has_led


def test_what_is_committed_while_it_is_opened_is_applied_once(bench: Bench) -> None:
    bench.lost()
    bench.commit(add(4))
    assert [index for index, _ in indexes(bench.opened())] == [1, 2, 3, 4]


def test_answers_of_an_earlier_run_are_ignored(bench: Bench) -> None:
    bench.lost()
    bench.object.take(EntriesApplied(7, RUN, 3, 3, (), ()))
    assert bench.object.index == 2
    bench.object.on_lost(ExecutorLost(7, RUN, GONE))
    assert bench.object.run == RUN + 1


def test_questions_are_asked_again_but_the_one_that_ended_the_executor(bench: Bench) -> None:
    bench.object.ask(8, (b"a", b"b"))
    bench.object.ask(9, (b"c",))
    bench.object.take(QueriesAnswered(7, RUN, 8, (b"A",)))
    bench.lost(token=9)
    asked = [(m.token, m.payloads) for m in bench.opened() if isinstance(m, AskQueries)]
    assert asked == [(8, (b"b",))]
    assert [token for token, _ in bench.questions_failed] == [9]


def test_a_halt_is_reported_and_fails_what_is_asked(bench: Bench) -> None:
    bench.object.ask(8, (b"a",))
    bench.lost(3, 0, HANGS)
    assert [type(event) for event in bench.steps] == [ExecutionHalted]
    bench.object.ask(9, (b"a",))
    assert bench.questions_failed == [(8, "GroupHalted"), (9, "GroupHalted")]
    assert bench.object.run == RUN


def test_a_halted_object_goes_on_when_its_command_is_passed(bench: Bench) -> None:
    bench.lost(3, 0, HANGS)
    bench.lost()
    assert bench.object.run == RUN  # it waits
    bench.commit(Skipped(3, 0, "hangs"))
    assert bench.object.run == RUN + 1
    messages = bench.opened()
    assert [m.skipped for m in messages if isinstance(m, ApplyEntries)] == [((3, 0, "hangs"),), ()]
    bench.executed(4)
    assert isinstance(bench.steps[-1], ExecutionResumed) and bench.object.halt is None
    bench.lost()
    assert [m.skipped for m in bench.opened() if isinstance(m, ApplyEntries)] == [((3, 0, "hangs"),)]


def test_a_halt_that_a_failed_object_reports_is_one_too(bench: Bench) -> None:
    bench.object.take(ObjectFailed(7, RUN, HANGS, False, 3, 0))
    assert bench.object.halt is not None and bench.object.halt.index == 3
    bench.object.take(ObjectFailed(7, RUN, GONE, True))
    assert len(bench.failed) == 1


@pytest.mark.parametrize("executed", [2, 3])
def test_a_command_that_it_executed_and_an_operator_skips_is_undone(bench: Bench, executed: int) -> None:
    """Or one that is on its way to the executor, without a word of it (seed 842414)."""
    bench.executed(executed)
    bench.commit(Skipped(3, 0, "an operator"))
    assert bench.object.run == RUN + 1
    assert [m.skipped for m in bench.opened() if isinstance(m, ApplyEntries)][0] == ((3, 0, "an operator"),)


def test_one_that_is_in_its_snapshot_cannot_be_undone(bench: Bench) -> None:
    """The member goes on, and waits for its leader's state."""
    bench.executed(3)
    bench.core.snapshot = SimpleNamespace(index=3)
    bench.object.diverge(3, "its state differs")
    bench.commit(Skipped(3, 0, "an operator"))
    halt = bench.object.halt
    assert halt is not None and (halt.index, halt.place) == (bench.log.commit, REPAIRING)
    bench.object.diverge(3, "its state differs")
    assert bench.object.halt == halt and bench.failed == []
    assert bench.object.run == RUN and not bench.object.is_open


def test_a_halted_object_tries_again_after_a_while_unless_its_command_may_be_skipped(bench: Bench) -> None:
    bench.lost(3, 0, HANGS)
    bench.object.try_again(bench.clock.now + TRY_MS[0] - 1)
    assert bench.object.run == RUN
    bench.core.skips = [Entry(1, 4, SkipProposed(3, 0, "hangs"))]
    bench.object.try_again(bench.clock.now + TRY_MS[0])
    assert bench.object.run == RUN
    bench.core.skips = []
    bench.object.try_again(bench.clock.now + TRY_MS[0])
    assert bench.object.run == RUN + 1
    bench.opened()
    bench.lost(3, 0, HANGS)
    bench.object.try_again(bench.clock.now + TRY_MS[0])
    assert bench.object.run == RUN + 1  # the next pause is longer


def test_a_command_that_its_snapshot_has_passed_was_not_executed(bench: Bench) -> None:
    """The `Skipped` may be behind the snapshot: it was committed before that was taken."""
    meta = SimpleNamespace(index=bench.log.commit, skipped=((2, 0),), data_class=b"")
    bench.object.load(meta, b"state")  # type: ignore[arg-type]
    bench.snapshot, bench.core.snapshot = (meta, b"state"), meta
    bench.object.on_lost(ExecutorLost(7, bench.object.run, GONE))
    bench.commit(Skipped(2, 0, "hangs"))
    assert bench.object.halt is None
    bench.commit(Skipped(1, 0, "hangs"))  # which the snapshot has executed
    assert bench.object.halt is not None and bench.object.halt.place == REPAIRING


def test_an_object_with_other_code_looks_for_the_right_one_once_at_a_time(bench: Bench) -> None:
    """Seed 2301020: it was opened again with each turn, until it was open."""
    other = ErrorRecord.of(OtherCode("of version 2"))

    def opened_with_other_code() -> None:
        bench.object.take(ObjectOpened(7, bench.object.run, (), other))

    bench.object.on_lost(ExecutorLost(7, bench.object.run, GONE))
    opened_with_other_code()  # and once more in a fresh executor
    assert bench.object.run == RUN + 2
    opened_with_other_code()
    bench.clock.now += TRY_MS[0]
    for _ in range(3):
        bench.object.try_again(bench.clock.now)
    assert bench.object.run == RUN + 3
    opened_with_other_code()
    bench.object.try_again(bench.clock.now + TRY_MS[0])
    assert bench.object.run == RUN + 3
    bench.object.try_again(bench.clock.now + 2 * TRY_MS[0])
    assert bench.object.run == RUN + 4
