"""Reminders on one member: what commands set, and what an entry fires (S52)."""

from typing import Any

import pytest

import fleet
from fleet.errors import CommandFailed, RemindersFull
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.declare import Data
from fleet.objects.due_reminders import Fired, failure_of
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_result, encode_call
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, KeyedCommands, RemindersDue, SessionOpened
from fleet.raft.reminders import FIRED_MAX
from tests.support.stock import HOLD_S, Stock

START_MS = 1_700_000_000_000


class Group:
    """An applier and one client."""

    def __init__(self, config: GroupConfig = GroupConfig(), cls: type[Data] = Stock) -> None:
        self.applier = Applier(ObjectExecutor(cls), config)
        self.now_ms = START_MS
        self.fired: list[Fired] = []
        self.applier.tell_fired = self.fired.append
        opened = self.applier.apply(Entry(1, 1, SessionOpened("c", self.now_ms)))
        assert opened is not None
        self.session, self.seq = opened.session, 0

    def feed(self, body: Any) -> list[Outcomes]:
        told: list[Outcomes] = []
        self.applier.apply(Entry(1, self.applier.index + 1, body), lambda one, is_new: told.append(one))
        return told

    def send(self, *payloads: bytes, keyed: bool = False) -> list[bytes]:
        first = self.seq + 1
        self.seq += len(payloads)
        kind = KeyedCommands if keyed else Commands
        told = self.feed(kind(self.session, first, 0, self.now_ms, payloads))
        return [value for one in told for value in one.values]

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        (value,) = self.send(encode_call(method, args, kwargs))
        return decode_result(value)

    def fire(self, after: float = 0.0) -> list[Any]:
        """What was called by an entry that comes so many seconds later."""
        self.now_ms += round(after * 1000)
        before = len(self.object.called)
        self.fired.clear()
        self.feed(RemindersDue(self.now_ms))
        return [what for what, _ in self.object.called[before:]]

    @property
    def object(self) -> Any:
        return self.applier.executor._object  # type: ignore[attr-defined]

    @property
    def due_in(self) -> Any:
        due_ms, log_ms = self.applier.due()
        return max(0.0, (due_ms - log_ms) / 1000) if due_ms else None

    def reborn(self) -> "Group":
        """Another member, which goes on from this one's snapshot."""
        other = Group()
        other.applier.restore(self.applier.dump())
        other.now_ms, other.session, other.seq = self.now_ms, self.session, self.seq
        return other


# -- firing ----------------------------------------------------------------------------------------


def test_a_reminder_is_called_once_when_it_is_due_and_not_before() -> None:
    group = Group()
    group.call("reserve", "ann")
    assert group.due_in == HOLD_S
    assert group.fire(HOLD_S - 0.001) == []
    assert group.fire(0.001) == ["ann"]
    assert (group.object.free, group.object.held, group.due_in) == (10, [], None)
    assert group.fire(10 * HOLD_S) == []


def test_it_counts_a_revision_of_its_own_and_sees_the_time_of_the_log() -> None:
    group = Group()
    group.call("reserve", "ann")
    revision = group.applier.revision
    group.fire(HOLD_S + 5)
    assert [fired.revision for fired in group.fired] == [revision + 1] == [group.applier.revision]
    assert group.object.called == [("ann", START_MS / 1000 + HOLD_S + 5)]


def test_time_that_commands_bring_makes_it_overdue_and_does_not_call_it() -> None:
    group = Group()
    group.call("reserve", "ann")
    group.now_ms += HOLD_S * 1000
    group.call("reserve", "bob")
    assert group.object.called == [] and group.due_in == 0
    group.now_ms -= 60_000  # the next leader's clock is behind
    assert group.fire() == ["ann"]


def test_a_reminder_that_was_taken_back_is_not_called_however_late_that_was() -> None:
    group = Group()
    group.call("reserve", "ann")
    group.now_ms += 2 * HOLD_S * 1000
    assert group.call("buy", "ann")
    assert group.due_in is None and group.fire() == []


def test_a_reminder_may_take_back_another_one_that_is_due_with_it() -> None:
    group = Group()
    group.call("note", "forgets", 1)
    group.call("reserve", "ann", 2)
    group.call("note", "other", 3, key="other")
    group.call("note", "stays", 4)
    assert group.fire(10) == ["forgets", "stays"]


def test_a_key_names_one_reminder_and_the_later_one_counts() -> None:
    group = Group()
    group.call("note", "first", 1, key="k")
    group.call("note", "second", 5, key="k")
    group.call("note", "without", 1)
    group.call("note", "without", 1)
    assert group.fire(1) == ["without", "without"]
    assert group.fire(4) == ["second"]


def test_without_a_key_all_of_a_name_are_taken_back() -> None:
    group = Group()
    group.call("note", "one", 1, key="k")
    group.call("note", "two", 1)
    group.call("reserve", "ann", 1)
    group.call("forget", "noted")
    group.call("forget", "noted", "never was")
    assert group.fire(1) == ["ann"]


def test_they_are_called_in_the_order_of_their_times_and_then_of_their_setting() -> None:
    group = Group()
    for what, after in (("c", 2), ("a", 1), ("d", 2), ("b", 1)):
        group.call("note", what, after)
    assert group.fire(2) == ["a", "b", "c", "d"]


def test_what_a_reminder_sets_for_at_once_is_left_for_the_next_entry() -> None:
    group = Group()
    group.call("note", "again", 1)
    assert group.fire(1) == ["again"] and group.due_in == 0
    assert group.fire() == ["and again"]


def test_an_entry_fires_no_more_than_so_many() -> None:
    group = Group()
    for number in range(FIRED_MAX + 3):
        group.call("note", f"n{number}", 1)
    assert len(group.fire(1)) == FIRED_MAX and group.due_in == 0
    assert group.fire() == [f"n{FIRED_MAX + number}" for number in range(3)]


def test_one_that_repeats_goes_on_and_what_was_missed_is_called_once() -> None:
    group = Group(GroupConfig(session_ttl_ms=100_000_000))
    group.call("note", "tick", 5, 10, key="t")
    assert (group.fire(5), group.due_in) == (["tick"], 10)
    assert (group.fire(10.25), group.due_in) == (["tick"], 9.75), "the times stay on their grid"
    assert (group.fire(8 * 3600), group.due_in) == (["tick"], 9.75), "an outage of 8 hours"
    group.call("forget", "noted", "t")
    assert group.due_in is None


def test_it_can_begin_at_a_time_of_day_that_has_passed() -> None:
    group = Group()
    group.call("remind", "noted", "late", when={"at": START_MS / 1000 - 3600})
    group.call("remind", "noted", "on time", when={"at": START_MS / 1000 + 1})
    group.call("remind", "noted", "period", when={"every": 2})
    assert (group.fire(), group.fire(1), group.fire(1)) == (["late"], ["on time"], ["period"])


# -- failures --------------------------------------------------------------------------------------


def test_a_command_that_fails_or_refuses_sets_and_takes_back_nothing() -> None:
    group = Group()
    group.call("reserve", "ann")
    with pytest.raises(CommandFailed):
        group.call("fail", "x")
    with pytest.raises(fleet.Rejected):
        group.call("refuse", "x")
    group.call("note", "y", HOLD_S)
    assert group.fire(HOLD_S) == ["ann", "y"]


def test_a_reminder_that_fails_changes_nothing_and_is_gone() -> None:
    group = Group()
    group.call("note", "fails", 1)
    group.call("note", "next", 1)
    assert group.fire(1) == ["next"]
    assert [type(failure_of(fired.value)) for fired in group.fired] == [CommandFailed, type(None)]
    assert group.fire(1) == [] and group.due_in is None


def test_one_that_repeats_and_fails_is_called_again_at_its_next_time() -> None:
    group = Group()
    group.call("note", "fails", 1, 5)
    assert (group.fire(1), group.due_in) == ([], 5)
    assert (group.fire(5), len(group.fired)) == ([], 1)


def test_a_group_keeps_so_many_reminders_and_the_command_that_would_set_more_is_undone() -> None:
    group = Group(GroupConfig(reminders_max=2))
    group.call("reserve", "ann")
    group.call("reserve", "bob")
    with pytest.raises(RemindersFull) as told:
        group.call("reserve", "cid")
    assert told.value.facts["reminders"] == "2"
    assert (group.object.held, group.object.free) == (["ann", "bob"], 8)
    group.call("buy", "bob")
    group.call("reserve", "bob2")
    with pytest.raises(RemindersFull):
        group.call("note", "x")
    assert group.fire(HOLD_S) == ["ann", "bob2"]


def test_a_command_that_is_to_be_skipped_by_its_place_is_a_reminder_too() -> None:
    group = Group()
    for what in ("a", "b", "c"):
        group.call("note", what, 1)
    group.applier.skipped[group.applier.index + 1, 1] = "it hung"
    assert group.fire(1) == ["a", "c"]
    error = failure_of(group.fired[1].value)
    assert isinstance(error, CommandFailed) and error.error == "Skipped" and "it hung" in str(error)


def test_what_is_restored_after_a_failure_has_what_reminders_did() -> None:
    group = Group()
    group.call("note", "a", 1)
    group.fire(1)
    group.call("note", "b", 1)
    with pytest.raises(CommandFailed):
        group.call("fail", "x")
    assert [what for what, _ in group.object.called] == ["a"]
    assert group.fire(1) == ["b"]


# -- snapshots -------------------------------------------------------------------------------------


def test_reminders_travel_in_snapshots() -> None:
    group = Group()
    group.call("reserve", "ann")
    group.call("note", "tick", 5, 10, key="t")
    group.fire(7)
    other = group.reborn()
    assert other.applier.dump() == group.applier.dump() and other.due_in == group.due_in
    for member in (group, other):
        member.call("note", "later", 1, key="t")
        assert member.fire(HOLD_S) == ["later", "ann"]
    assert other.applier.dump() == group.applier.dump()
