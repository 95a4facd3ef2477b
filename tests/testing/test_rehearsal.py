"""The past of a group, executed by two classes, and the first difference."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import cloudpickle
import pytest

import fleet
from fleet.errors import CannotReplay, CannotUpgrade
from fleet.objects.class_refs import encode_class
from fleet.objects.declare import shape_of
from fleet.objects.recording import RecordedBase, Recording, place_in, revision_in
from fleet.objects.rehearsed import PastOutcome, Rehearsal
from fleet.objects.replay import Replay, ReplayWatcher
from fleet.objects.watchers import FirstTime, PastCalls, Until, fields_of
from fleet.raft.entries import (
    ClassSwitched,
    Commands,
    Entry,
    RemindersDue,
    Skipped,
)
from fleet.testing.rehearsal import rehearse
from tests.support import pasts
from tests.support.pasts import SESSION, call


class Tally(fleet.Data):
    total: int = 0
    last: float = 0.0

    @fleet.command
    def put(self, n: int) -> int:
        if n == 13:
            self.total = -1
            raise ValueError("13")
        self.total += n
        self.last = fleet.ctx.random.random() + fleet.ctx.now
        return self.total

    @fleet.command
    def clear(self) -> None:
        self.total = 0


class Rounding(Tally, version=2):
    """Answers alike, until the sum is above 10."""

    @classmethod
    def migrate(cls, version: int, raw: dict[str, Any]) -> dict[str, Any]:
        return raw

    @classmethod
    def migrate_back(cls, version: int, raw: dict[str, Any]) -> dict[str, Any]:
        return raw

    @fleet.command
    def put(self, n: int) -> int:
        answer = Tally.put(self, n)
        if self.total > 10:
            self.total = 10
        return answer


class Renamed(fleet.Data, version=2):
    sum: int = 0
    last: float = 0.0

    @classmethod
    def migrate(cls, version: int, raw: dict[str, Any]) -> dict[str, Any]:
        return {"sum": raw["total"], "last": raw["last"]}

    @fleet.command
    def put(self, n: int) -> int:
        if n == 13:
            raise ValueError("13")
        self.sum += n
        self.last = fleet.ctx.random.random() + fleet.ctx.now
        return self.sum


@pytest.fixture(autouse=True)
def by_value() -> Iterator[None]:
    """As classes of a script."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def entries(*payloads: bytes, cls: type = Tally) -> list[Entry]:
    return pasts.entries(*payloads, cls=cls)


def recording(*taken: Entry, cls: type = Tally) -> Recording:
    return pasts.recording(*taken, cls=cls)


def compared(cls: type, *payloads: bytes, kept: list[PastOutcome] = []) -> Rehearsal:
    made = recording(*entries(*payloads))
    return rehearse(made, encode_class(cls), kept, None, methods_of(cls))


def methods_of(cls: type) -> list[str]:
    shape = shape_of(cls)
    return [*shape.commands, *shape.reminders]


PUTS = [call(n) for n in (1, 2, 13, 4, 5, 6, 7)]


def test_the_same_code_gives_the_same_past() -> None:
    found = compared(Tally, *PUTS)
    assert (found.difference, found.unknown) == (None, "")
    assert (found.commands, found.states, found.last) == (7, 8, 7)


def test_the_first_command_that_leaves_another_state_is_shown_with_both() -> None:
    difference = compared(Rounding, *PUTS).difference
    assert difference is not None
    assert (difference.revision, difference.call, difference.since) == (5, "put(5)", 4)
    assert difference.before.startswith("12, state {'total': 12,")
    assert difference.after.startswith("12, state {'total': 10,")


def test_commands_that_the_new_class_does_not_have_are_left_out() -> None:
    found = compared(Renamed, *PUTS[:4], call(method="clear"), *PUTS[4:])
    assert (found.difference, found.gone, found.commands) == (None, {"clear": 1}, 7)


def test_without_the_former_code_the_states_that_were_kept_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ledger.py").write_text(MODULE)
    with imported(tmp_path) as former:
        made = recording(*entries(call(1), call(2), call(3), cls=former), cls=former)
        replay = Replay(made, ReplayWatcher())
        replay.run()
        kept = [PastOutcome(replay.applier.index, replay.revision, state=replay.executor.dump())]
    (tmp_path / "ledger.py").write_text(MODULE.replace("+= n", "+= n + 1"))
    with imported(tmp_path) as later:
        found = rehearse(made, encode_class(later), kept, None, ["put"])
        assert "was executed by ledger.Ledger of version 1" in found.unknown
        assert found.difference is not None and (found.difference.revision, found.difference.since) == (3, 0)
        assert str(found.difference).startswith("a command after revision 0, up to revision 3, differs: ")
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "ledger.py").write_text(MODULE)
        found = rehearse(made, encode_class(later), kept, str(tmp_path / "old"), ["put"])
        assert found.difference is not None and not found.unknown
        assert (found.difference.call, found.difference.revision) == ("put(1)", 1)
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            assert rehearse(made, encode_class(later), kept, "old", ["put"]).difference == found.difference
            (tmp_path / "old" / "ledger.py").unlink()
            with pytest.raises(CannotUpgrade, match="old has not the code as it was: .* ledger.Ledger"):
                rehearse(made, encode_class(later), kept, "old", ["put"])
        with pytest.raises(CannotReplay, match="ledger.Ledger of version 1"):
            Replay(made, ReplayWatcher()).run()


def begun_with_a_state(cls: type) -> Recording:
    """Of `PUTS`: the first three are in the state that it begins with."""
    taken = entries(*PUTS, cls=cls)
    replay = Replay(recording(*taken[:3], cls=cls), ReplayWatcher())
    replay.run()
    state = replay.applier.dump()
    base = RecordedBase(1, 3, replay.revision, 0, len(state), crc32(state), encode_class(cls))
    made = Recording("g", base, state, encode_class(cls))
    made.append(taken[3:])
    return made


def test_the_way_back_is_rehearsed_with_states_that_the_class_in_force_turns_back() -> None:
    made = begun_with_a_state(Rounding)
    found = rehearse(made, encode_class(Tally), [], None, ["put", "clear"])
    assert found.unknown == "" and found.difference is not None
    assert (found.difference.call, found.difference.since) == ("put(5)", 4)
    assert found.difference.before.startswith("12, state {'total': 10,")
    assert found.difference.after.startswith("12, state {'total': 12,")


def test_the_way_back_of_a_class_that_has_none_is_refused() -> None:
    with pytest.raises(CannotUpgrade, match="Renamed of version 2 has no way back to version 1"):
        rehearse(begun_with_a_state(Renamed), encode_class(Tally), [], None, ["put"])


def test_the_way_back_without_the_code_in_force_says_that_it_is_not_rehearsed(tmp_path: Path) -> None:
    (tmp_path / "ledger.py").write_text(MODULE.replace("Data", "Data, version=2"))
    with imported(tmp_path) as in_force:
        made = begun_with_a_state(in_force)
    (tmp_path / "ledger.py").write_text(MODULE)
    with imported(tmp_path) as former:
        found = rehearse(made, encode_class(former), [], None, ["put"])
    assert found.unknown.endswith("only that class could turn states back for an older version")
    assert found.commands == found.states == 0


def test_a_class_that_cannot_be_executed_says_why() -> None:
    class Ending(fleet.Data):
        @fleet.command
        def put(self, n: int) -> int:
            raise RecursionError

    with pytest.raises(CannotUpgrade, match="a command cannot be executed here"):
        compared(Ending, *PUTS)


MODULE = """
import fleet

class Ledger(fleet.Data):
    total: int = 0

    @fleet.command
    def put(self, n: int) -> int:
        self.total += n
        return self.total
"""


@contextmanager
def imported(home: Path) -> Iterator[Any]:
    sys.path.insert(0, str(home))
    sys.modules.pop("ledger", None)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        importlib.invalidate_caches()
        yield importlib.import_module("ledger").Ledger
    finally:
        sys.path.remove(str(home))
        sys.modules.pop("ledger", None)
        sys.dont_write_bytecode = before


# -- replays --------------------------------------------------------------------------------------


def test_a_replay_stops_within_a_batch_and_undoes_what_failed() -> None:
    for revision, total in ((1, 1), (2, 3), (3, 3), (4, 7), (7, 25)):
        replay = Replay(recording(*entries(*PUTS)), Until(revision))
        assert replay.run() and fields_of(replay.object)["total"] == total


def test_a_skipped_command_counts_and_is_not_executed() -> None:
    taken = [*entries(*PUTS), Entry(1, 6, Skipped(3, 1, "put: it hangs"))]
    replay = Replay(recording(*taken), Until(2))
    assert replay.run() and replay.object.total == 1
    calls = list((all_of := PastCalls(0, None)).run(Replay(recording(*taken), all_of, executes=False)))
    assert [(one.revision, str(one), one.is_skipped) for one in calls[:3]] == [
        (1, "put(1)", False), (2, "put(2)", True), (3, "put(13)", False)
    ]  # fmt: skip
    assert {one.client for one in calls} == {"host/1"} and calls[0].at == 2.0


def test_the_class_in_force_executes_each_stretch() -> None:
    first = entries(*PUTS[:3])
    taken = [
        *first,
        Entry(1, 4, ClassSwitched(encode_class(Rounding))),
        Entry(1, 5, Commands(SESSION, 4, 0, 3000, (call(9), call(9)))),
    ]
    replay = Replay(recording(*taken), ReplayWatcher())
    assert not replay.run()
    assert (replay.object.total, replay.revision, type(replay.object).__name__) == (10, 6, "Rounding")
    found = FirstTime(lambda one: one.total > 5)
    Replay(recording(*taken), found).run()
    assert found.found is not None and found.found.call is not None
    assert (found.found.revision, str(found.found.call)) == (5, "put(9)")


def test_a_recording_is_the_same_in_another_process(tmp_path: Path) -> None:
    made = recording(*entries(*PUTS))
    made.skipped[3, 0] = "why"
    made.save(str(tmp_path / "file"))
    again = Recording.load(str(tmp_path / "file"))
    assert list(again.entries()) == list(made.entries()) == list(again.entries())
    assert (again.base, again.skipped, again.last) == (made.base, made.skipped, made.last)
    again.close()


def test_the_revision_of_a_state_is_read_from_its_first_bytes() -> None:
    made = recording(*entries(*[call(n) for n in range(200)]))
    seen = []

    class Looks(ReplayWatcher):
        def passed(self, replay: Replay) -> None:
            if replay.applier.index > 1:
                seen.append(replay.revision)
                assert revision_in(replay.applier.dump()[:32]) == replay.revision

    Replay(made, Looks()).run()
    assert max(seen) == 200
    assert revision_in(b"") == revision_in(b"\x97") == 0
    assert place_in(b"\x97\x01\xcd\x01\x00\x07") == (256, 7)


class Alarm(fleet.Data):
    rung: list[str] = []

    @fleet.command
    def put(self, n: int) -> None:
        fleet.ctx.remind("ring", str(n), after=1)

    @fleet.reminder("ring")
    def _ring(self, what: str) -> None:
        self.rung.append(what)


def test_reminders_that_were_due_are_commands_of_the_past() -> None:
    """How many an entry fires is known only to who executes: else later revisions would be too low."""
    taken = entries(call(1), call(2), cls=Alarm)
    taken += [
        Entry(1, 4, RemindersDue(5000)),
        Entry(1, 5, Commands(SESSION, 3, 0, 6000, (call(3),))),
    ]
    made = recording(*taken, cls=Alarm)
    assert made.has_reminders
    found = list((calls := PastCalls(0, None)).run(Replay(made, calls, executes=made.has_reminders)))
    assert [(one.revision, one.method) for one in found] == [
        (1, "put"),
        (2, "put"),
        (3, "ring"),
        (4, "ring"),
        (5, "put"),
    ]
    assert [one.at for one in found[2:]] == [5.0, 5.0, 6.0], "the log shows when they were called"
    replay = Replay(made, Until(3))
    assert replay.run() and replay.object.rung == ["1"]


def test_reminders_are_rehearsed_as_commands_are() -> None:
    taken = [*entries(call(1), call(2), cls=Alarm), Entry(1, 4, RemindersDue(5000))]
    made = recording(*taken, cls=Alarm)
    found = rehearse(made, encode_class(Alarm), [], None, methods_of(Alarm))
    assert (found.difference, found.gone, found.commands) == (None, {}, 4)


def test_a_reminder_that_was_skipped_counts_and_is_not_executed() -> None:
    taken = entries(call(1), call(2), call(3), cls=Alarm)
    taken += [Entry(1, 4, RemindersDue(5000)), Entry(1, 5, Skipped(4, 1, "ring: it hangs"))]
    replay = Replay(recording(*taken, cls=Alarm), calls := PastCalls(4, None))
    found = [(one.revision, str(one), one.is_skipped, one.is_reminder) for one in calls.run(replay)]
    assert found == [
        (4, "ring('1')", False, True),
        (5, "ring('2')", True, True),
        (6, "ring('3')", False, True),
    ]
    assert replay.object.rung == ["1", "3"]
