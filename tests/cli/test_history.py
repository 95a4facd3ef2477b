"""What `fleet group log` and `debug` say of a recorded past, without a cluster."""

import io

import pytest

import fleet
from fleet.cli.history import record_of, step_through, words_on
from fleet.errors import BadArguments
from fleet.objects.recording import Recording
from fleet.objects.replay import Replay
from fleet.objects.watchers import Before, PastCalls
from fleet.raft.entries import Entry, RemindersDue
from tests.support.pasts import call, entries, recording


class Alarm(fleet.Data):
    rung: list[str] = []

    @fleet.command
    def put(self, n: int) -> int:
        fleet.ctx.remind("ring", str(n), after=1)
        return n

    @fleet.reminder("ring")
    def _ring(self, what: str) -> None:
        self.rung.append(what)
        fleet.ctx.remind("ring", what, after=1)


def past() -> Recording:
    taken = entries(call(1), call(2), cls=Alarm)
    return recording(*taken, Entry(1, 4, RemindersDue(5000)), cls=Alarm)


def debug(revision: int, typed: str, monkeypatch: pytest.MonkeyPatch) -> Replay:
    before = Before(revision)
    replay = Replay(past(), before)
    replay.run()
    assert before.command is not None
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    step_through(replay, before.command)
    return replay


def test_reminders_are_listed_as_what_nobody_called() -> None:
    calls = [*(all_of := PastCalls(0, None)).run(Replay(past(), all_of))]
    assert [words_on(one).split("  ", 2)[2] for one in calls] == [
        "host/1  put(1)",
        "host/1  put(2)",
        "(reminder)  ring('1')",
        "(reminder)  ring('2')",
    ]
    assert [record_of(one)["is_reminder"] for one in calls] == [False, False, True, True]


def test_a_reminder_is_stepped_through(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replay = debug(4, "p self.rung, what\nc\n", monkeypatch)
    told = capsys.readouterr().out
    assert "_ring()" in told and "(['1'], '2')" in told and "it returns None" in told
    assert replay.object.rung == ["1", "2"]


@pytest.mark.parametrize("typed", ["q\n", "n\nq\n", ""], ids=["at once", "within", "end of input"])
def test_the_debugger_is_left_quietly(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    debug(2, typed, monkeypatch)
    told = capsys.readouterr()
    assert "put()" in told.out and "it r" not in told.out and told.err == ""


def test_a_method_that_the_class_does_not_have_is_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Before(1)
    replay = Replay(recording(*entries(call(method="ring"), cls=Alarm), cls=Alarm), before)
    replay.run()
    assert before.command is not None
    with pytest.raises(BadArguments, match="Alarm has no command 'ring': it was refused"):
        step_through(replay, before.command)
