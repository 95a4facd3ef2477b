"""Who is told what when executors are slow, hang or end, on executors of plain lists."""

from datetime import timedelta
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from fleet.actors.executor.actor import LOOK_MS, Executors
from fleet.actors.executor.channel import ExecutorEnded
from fleet.actors.executor.slots import BACK_OFF_MS, QUIET_MS, STABLE_MS
from fleet.actors.executor.watchdog import LOAD_LIMIT_MS, SLOW_MS
from fleet.actors.messages.executor import (
    AskQueries,
    ClassTried,
    CloseObject,
    FromExecutor,
    ObjectMessage,
    ObjectOpened,
    OpenObject,
    SetLimit,
    TryClass,
)
from fleet.actors.messages.local import ExecutorLost, StartExecutors
from fleet.actors.runtime.turn import EndTurn
from fleet.objects.progress import COMMAND, IDLE, OTHER, QUERY, Doing
from fleet.raft.config import GroupConfig
from tests.support.clocks import HandClock

LIMIT_MS = 10_000
RUN = 1 << 32


class Line:
    """A `Channel` whose other end is the test."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.messages: list[ObjectMessage] = []
        self.now_doing = Doing(IDLE, 0, 0, 0, 0, 0, 0, 0)
        self.is_ended = False
        self.answers: list[FromExecutor] = []
        self.death = ""
        self.is_finishing = False

    @property
    def sent(self) -> int:
        return len(self.messages)

    def send(self, message: ObjectMessage) -> None:
        assert not self.is_ended
        self.messages.append(message)

    def flush(self) -> None: ...

    def fileno(self) -> int:
        return self.number

    def receive(self) -> list[FromExecutor]:
        if self.death:
            raise ExecutorEnded(self.death)
        answers, self.answers = self.answers, []
        return answers

    def doing(self) -> Doing:
        return self.now_doing

    def finish(self) -> None:
        self.is_finishing = True

    def end(self, patience_s: float = 0.0) -> None:
        self.is_ended = True

    def works(self, kind: int, number: int, run: int = RUN, index: int = 0, place: int = 0) -> None:
        self.now_doing = Doing(kind, number, run, index, place, 1, self.now_doing.steps + 1, self.sent)

    def rests(self) -> None:
        self.works(IDLE, 0)


class Bench(Executors):
    """The actor outside of a system: what it sends is kept."""

    myAddress = "itself"

    def __init__(self, count: int = 1) -> None:
        super().__init__()
        self.told: list[tuple[Any, Any]] = []
        self.lines: list[Line] = []
        self.clock = HandClock()
        self.broken = False
        self.receiveMessage(StartExecutors(count, self._open_line, self.clock), "manager")

    def _open_line(self) -> Line:
        if self.broken:
            raise OSError("no process")
        self.lines.append(Line(len(self.lines)))
        return self.lines[-1]

    def send(self, target: Any, message: Any) -> None:
        if isinstance(message, EndTurn):
            self.turn_end.reached()
        else:
            self.told.append((target, message))

    def wakeupAfter(self, *args: Any, **kwargs: Any) -> None:
        assert isinstance(args[0], timedelta)

    def open(self, number: int, run: int = RUN) -> Line:
        """The line that it is on."""
        opening = OpenObject(number, run, f"g{number}", "m", b"", GroupConfig(), LIMIT_MS)
        self.receiveMessage(opening, f"member {number}")
        return next(line for line in reversed(self.lines) if opening in line.messages)

    def answer(self, line: Line, *answers: FromExecutor) -> None:
        line.answers += answers
        self._of(line)

    def dies(self, line: Line, why: str = "it was ended by SIGSEGV") -> None:
        line.death = why
        self._of(line)

    def _of(self, line: Line) -> None:
        for slot in list(self.slots):
            if slot.channel is line:
                self._receive(slot, line)

    def look(self, after_ms: int = LOOK_MS) -> None:
        self.clock.now += after_ms
        self.is_looking = True
        self.on_look()

    def lost(self, number: int) -> list[ExecutorLost]:
        """What that member was told since the last question."""
        mine = [m for _, m in self.told if isinstance(m, ExecutorLost) and m.number == number]
        self.told = [
            (to, m) for to, m in self.told if not (isinstance(m, ExecutorLost) and m.number == number)
        ]
        return mine


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_objects_are_spread_over_executors_and_keep_to_theirs() -> None:
    bench = Bench(count=2)
    assert [bench.open(number).number for number in (1, 2, 3, 4)] == [1, 0, 1, 0]
    question = AskQueries(3, RUN, 5, (b"",))
    bench.receiveMessage(question, "member 3")
    assert question in bench.lines[1].messages


def test_the_others_of_a_slow_object_move_and_it_stays(bench: Bench) -> None:
    line = bench.open(1)
    bench.open(2)
    line.works(COMMAND, 1, index=5)
    bench.look()
    bench.look(SLOW_MS // 2)
    assert len(bench.lines) == 2  # a spare one
    bench.look(SLOW_MS // 2)
    assert len(bench.lines) == 2
    (moved,) = bench.lost(2)
    assert (moved.index, moved.error.kind, bench.lost(1)) == (0, "Unavailable", [])
    assert CloseObject(2, RUN) in line.messages
    assert bench.open(2, RUN + 1) is bench.lines[1]
    assert not line.is_ended


def test_a_slow_object_that_was_quick_for_long_joins_the_others_and_its_executor_ends(bench: Bench) -> None:
    slow = bench.open(1)
    bench.open(2)
    slow.works(COMMAND, 1, index=5)
    for _ in range(3):
        bench.look(SLOW_MS // 2)
    slow.rests()
    bench.look(QUIET_MS - 1)
    assert bench.lost(1) == [] and not slow.is_ended
    bench.look()
    assert len(bench.lost(1)) == 1 and slow.is_ended
    assert bench.open(1, RUN + 1) is bench.lines[1]


def test_a_command_that_hangs_halts_its_member_at_once(bench: Bench) -> None:
    line = bench.open(1)
    line.works(COMMAND, 1, index=5, place=2)
    bench.look()
    bench.look(LIMIT_MS)
    (lost,) = bench.lost(1)
    assert (lost.index, lost.place, lost.error.kind) == (5, 2, "CommandFailed")
    assert line.is_ended


def test_a_command_in_which_an_executor_ends_is_tried_once_more(bench: Bench) -> None:
    line = bench.open(1)
    line.works(COMMAND, 1, index=5, place=2)
    bench.dies(line)
    assert [lost.index for lost in bench.lost(1)] == [0]
    bench.clock.now += BACK_OFF_MS[0]
    again = bench.open(1, RUN + 1)
    again.works(COMMAND, 1, RUN + 1, index=5, place=2)
    bench.dies(again)
    assert [(lost.index, lost.place) for lost in bench.lost(1)] == [(5, 2)]


def test_a_death_at_another_command_is_a_first_one(bench: Bench) -> None:
    for run, index in ((RUN, 5), (RUN + 1, 6)):
        line = bench.open(1, run)
        line.works(COMMAND, 1, run, index=index)
        bench.dies(line)
        bench.clock.now += BACK_OFF_MS[1]
        assert [lost.index for lost in bench.lost(1)] == [0]


def test_others_are_only_told_to_open_again(bench: Bench) -> None:
    line = bench.open(1)
    bench.open(2)
    line.works(QUERY, 1, place=77)
    bench.dies(line)
    (query,), (other,) = bench.lost(1), bench.lost(2)
    assert (query.token, query.error.kind) == (77, "QueryFailed")
    assert (other.token, other.index, other.error.kind) == (0, 0, "Unavailable")


def test_an_object_whose_load_ends_executors_is_given_up_and_lives_apart(bench: Bench) -> None:
    shared = bench.open(1)
    bench.open(2)
    shared.works(OTHER, 1)
    bench.dies(shared)
    assert not bench.lost(1)[0].is_final and not bench.lost(2)[0].is_final
    bench.clock.now += BACK_OFF_MS[0]
    apart, fresh = bench.open(1, RUN + 1), bench.open(2, RUN + 1)
    assert apart is not fresh
    apart.works(OTHER, 1, RUN + 1)
    bench.dies(apart)
    (final,) = bench.lost(1)
    assert final.is_final and final.error.kind == "DataClassUnavailable"
    assert bench.lost(2) == []


def test_a_load_that_works_in_the_end_is_under_no_suspicion(bench: Bench) -> None:
    line = bench.open(1)
    line.works(OTHER, 1)
    bench.dies(line)
    apart = bench.open(1, RUN + 1)
    bench.answer(apart, ObjectOpened(1, RUN + 1, ()))
    bench.clock.now += BACK_OFF_MS[0]
    assert bench.open(1, RUN + 2) is not apart


@pytest.mark.parametrize("kind", [COMMAND, QUERY])
def test_an_object_that_ended_an_executor_does_not_take_the_others_along_again(
    bench: Bench, kind: int
) -> None:
    shared = bench.open(1)
    shared.works(kind, 1, index=5)
    bench.dies(shared)
    bench.clock.now += BACK_OFF_MS[0]
    assert bench.open(1, RUN + 1) is not bench.open(2)


def test_an_object_that_is_closed_is_under_no_suspicion(bench: Bench) -> None:
    line = bench.open(1)
    line.works(COMMAND, 1, index=5)
    bench.dies(line)
    bench.receiveMessage(CloseObject(1, RUN), "member 1")
    bench.clock.now += BACK_OFF_MS[0]
    assert bench.open(1, 2 * RUN) is bench.open(2)


def test_an_idle_executor_that_is_killed_is_nobodys_fault(bench: Bench) -> None:
    for run in range(RUN, RUN + 3):
        line = bench.open(1, run)
        line.works(IDLE, 1, run)  # the last that it worked for
        bench.dies(line)
        bench.clock.now += BACK_OFF_MS[1]
        (lost,) = bench.lost(1)
        assert (lost.is_final, lost.error.kind) == (False, "Unavailable")
    assert bench.open(1, 2 * RUN) is bench.open(2)


def moves_after(bench: Bench, kind: int) -> int:
    """How long the newest executor may be slow before its others move, in milliseconds."""
    newest = bench.slots[0].channel
    assert isinstance(newest, Line)
    slow = min(bench.slots[0].numbers)
    newest.works(kind, slow, bench.placed[slow].run, index=5)
    bench.look(0)
    waited, slot = 0, bench.slots[0]
    while bench.slots[0] is slot:
        bench.look(SLOW_MS // 4)
        waited += SLOW_MS // 4
    for number in (1, 2, 3, 4, 5, 6):
        if bench.lost(number):
            bench.open(number, bench.placed[number].run + 1)
    return waited


def test_on_a_busy_host_objects_do_not_move_for_ever() -> None:
    """Each new executor must load their classes, too, and is as slow."""
    bench = Bench()
    for number in (1, 2, 3, 4, 5, 6):
        bench.open(number)
    assert [moves_after(bench, OTHER) for _ in range(3)] == [SLOW_MS, 2 * SLOW_MS, 4 * SLOW_MS]
    assert moves_after(bench, COMMAND) == SLOW_MS
    bench.clock.now += QUIET_MS
    assert moves_after(bench, COMMAND) == SLOW_MS
    assert bench.slots[0].patience_ms == SLOW_MS


def test_an_executor_that_ends_at_once_is_started_again_later_and_later(bench: Bench) -> None:
    pauses = []
    for run in range(RUN, RUN + 4):
        bench.dies(bench.lines[-1])
        count, began = len(bench.lines), bench.clock.now_ms()
        bench.receiveMessage(OpenObject(1, run, "g", "m", b"", GroupConfig(), LIMIT_MS), "member 1")
        while len(bench.lines) == count:
            bench.look(10)
        pauses.append(bench.clock.now_ms() - began)
    assert pauses == [BACK_OFF_MS[0] << number for number in range(4)]
    bench.clock.now += STABLE_MS + 1
    bench.dies(bench.lines[-1])
    assert bench.slots[0].failures == 1


def test_who_tries_a_class_is_told_when_that_ended_the_executor_or_something_else_did(bench: Bench) -> None:
    for token, doing, kind in ((8, 8, "DataClassUnavailable"), (9, 8, "Unavailable")):
        bench.receiveMessage(TryClass(0, token, b"class"), "manager")
        line = bench.lines[-1]
        line.works(OTHER, 0, doing)
        bench.dies(line)
        bench.clock.now += BACK_OFF_MS[1]
        bench.look()
        (answer,) = [m for to, m in bench.told if isinstance(m, ClassTried) and m.run == token]
        assert answer.error is not None and answer.error.kind == kind


def test_a_class_that_is_loaded_for_ever_ends_its_executor(bench: Bench) -> None:
    bench.receiveMessage(TryClass(0, 8, b"class"), "manager")
    bench.lines[0].works(OTHER, 0, 8)
    bench.look()
    bench.look(LOAD_LIMIT_MS)
    ((_, answer),) = bench.told
    assert isinstance(answer, ClassTried) and answer.error is not None
    assert "did not return" in answer.error.what


def test_answers_of_an_earlier_run_and_messages_to_it_are_dropped(bench: Bench) -> None:
    line = bench.open(1)
    bench.open(1, RUN + 1)
    bench.answer(line, ObjectOpened(1, RUN, ()))
    assert bench.told == []
    bench.receiveMessage(AskQueries(1, RUN, 5, (b"",)), "member 1")
    assert not any(isinstance(m, AskQueries) for m in line.messages)
    bench.answer(line, ObjectOpened(1, RUN + 1, ()))
    assert bench.told == [("member 1", ObjectOpened(1, RUN + 1, ()))]


def test_a_host_without_processes_is_asked_again(bench: Bench) -> None:
    bench.dies(bench.lines[0])
    bench.broken = True
    bench.clock.now += BACK_OFF_MS[0]
    bench.receiveMessage(OpenObject(1, RUN, "g", "m", b"", GroupConfig(), LIMIT_MS), "member 1")
    assert len(bench.lines) == 1
    bench.broken = False
    bench.look(BACK_OFF_MS[1])
    assert bench.lines[1].messages[0].number == 1


def test_executors_may_finish_before_they_are_ended() -> None:
    """Their hooks are told that the node stops."""
    bench = Bench(2)
    bench.receiveMessage(ActorExitRequest(), "manager")
    assert [(line.is_finishing, line.is_ended) for line in bench.lines] == [(True, True)] * 2


def test_another_limit_counts_at_once() -> None:
    bench = Bench()
    bench.open(1)
    for run, limit_ms in ((RUN + 1, LIMIT_MS), (RUN, 9)):
        bench.receiveMessage(SetLimit(1, run, limit_ms), "member 1")
        assert bench.placed[1].limit_ms == limit_ms
