"""The reminders of a group: which are set, replaced, taken back, due, and kept in a snapshot (S52)."""

import pytest

from fleet.raft import reminders
from fleet.raft.reminders import Forget, Remind, ReminderTable

WEIGHT = 100


def remind(name: str, due_ms: int, key: str = "", every_ms: int = 0) -> Remind:
    return Remind(name, key, due_ms, every_ms, b"call", WEIGHT)


def table(*asked: Remind | Forget) -> ReminderTable:
    made = ReminderTable()
    assert made.settle(asked)
    return made


def due(found: ReminderTable, log_ms: int) -> list[tuple[str, int]]:
    """What an entry at that time fires."""
    fired, newest = [], found.newest
    while (one := found.take_due(log_ms, newest)) is not None:
        fired.append((one.name, one.number))
    return fired


def test_they_are_due_in_the_order_of_their_times_and_then_in_that_in_which_they_were_set() -> None:
    found = table(remind("c", 30), remind("a", 10), remind("b", 10))
    assert found.next_due() is not None and due(found, 9) == []
    assert due(found, 10) == [("a", 2), ("b", 3)]
    assert due(found, 100) == [("c", 1)] and found.next_due() is None
    assert (found.reminders, found.by_key, found.weight) == ({}, {}, 0)


def test_one_of_the_same_name_and_key_replaces_the_former_and_another_name_does_not() -> None:
    found = table(remind("a", 10, "k"), remind("b", 10, "k"))
    assert found.settle([remind("a", 50, "k")])
    assert due(found, 20) == [("b", 2)] and due(found, 50) == [("a", 3)]
    assert found.settle([remind("a", 60, "k"), remind("a", 70, "k")])  # in one command, too
    assert due(found, 100) == [("a", 5)]


def test_what_is_taken_back_is_not_due_by_key_by_name_or_in_the_same_command() -> None:
    found = table(remind("a", 10, "k"), remind("a", 10, "l"), remind("a", 10), remind("b", 10))
    assert found.settle([Forget("a", "k"), Forget("a", "unknown")])
    assert [one.key for one in found.reminders.values()] == ["l", "", ""]
    assert found.settle([Forget("a", None)])
    assert due(found, 10) == [("b", 4)]
    assert found.settle([remind("c", 10, "k"), Forget("c", None)]) and found.next_due() is None
    assert found.newest == 5  # its number is used up


def test_one_that_repeats_goes_on_along_its_times_and_one_call_stands_for_those_that_were_missed() -> None:
    found = table(remind("tick", 100, "k", every_ms=10))
    assert due(found, 100) == [("tick", 1)] and due(found, 109) == []
    assert due(found, 147) == [("tick", 1)]
    one = found.next_due()
    assert one is not None and one.due_ms == 150
    assert found.settle([Forget("tick", "k")]) and found.next_due() is None


def test_what_these_set_is_left_for_the_next_entry() -> None:
    found = table(remind("a", 10))
    newest = found.newest
    assert found.settle([remind("b", 0)])
    assert found.take_due(10, newest) is None  # the earliest is newer than the entry
    assert due(found, 10) == [("b", 2), ("a", 1)]


def test_too_many_are_refused_as_a_whole_and_what_makes_it_no_fuller_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = table(remind("a", 10, "k"), remind("b", 10))
    found.count_max = 2
    assert not found.settle([Forget("b", "none"), remind("c", 10)])
    assert [one.name for one in found.reminders.values()] == ["a", "b"] and found.newest == 2
    assert found.settle([remind("a", 20, "k")]) and found.settle([Forget("b", None), remind("c", 10)])
    monkeypatch.setattr(reminders, "WEIGHT_MAX", found.weight + WEIGHT - 1)
    found.count_max = 10
    assert not found.settle([remind("d", 10)]) and len(found.reminders) == 2
    assert found.settle([Forget("a", None)]) and found.settle([remind("d", 10)])


def test_a_snapshot_has_them_with_their_numbers_and_times() -> None:
    found = table(remind("a", 30, "k"), remind("b", 10, every_ms=5), remind("c", 20))
    assert due(found, 10) == [("b", 2)]
    copy = ReminderTable()
    copy.load(found.kept())
    assert (copy.newest, copy.weight, copy.by_key) == (found.newest, found.weight, found.by_key)
    assert due(copy, 30) == due(found, 30) == [("b", 2), ("c", 3), ("a", 1)]
    assert copy.settle([Forget("b", None)]) and copy.next_due() is None


def test_weights_are_kept_by_those_that_repeat_and_are_theirs_alone_whatever_was_encoded() -> None:
    found = table(Remind("tick", "k", 100, 10, b"as one member has encoded it", 70))
    other = table(Remind("tick", "k", 100, 10, b"", 70))
    for one in (found, other):
        assert due(one, 100) == [("tick", 1)] and one.weight == 70
        assert [kept.weight for kept in one.kept().reminders] == [70]
        assert one.settle([Forget("tick", None)]) and one.weight == 0


def test_times_that_are_no_more_do_not_pile_up() -> None:
    found = table(remind("a", 10, "k"))
    for due_ms in range(1000):
        assert found.settle([remind("a", due_ms, "k")])
    assert len(found.by_time) < 200 and due(found, 998) == [] and due(found, 999) == [("a", 1001)]
