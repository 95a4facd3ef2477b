"""Events that wait for `on_effect`, as replicated state (S51)."""

import pytest

import fleet
from fleet.errors import EffectsFull
from fleet.objects import applier as applier_module
from fleet.objects.due_reminders import PUT_OFF_MS
from fleet.objects.fingerprint import fingerprint_of
from fleet.objects.payload import decode_result, encode_call
from fleet.raft.entries import EffectsDone, RemindersDue
from fleet.raft.group_events import EventLog
from fleet.raft.reminders import Forget, Remind, ReminderTable
from tests.objects.test_reminders import Group
from tests.support import orders
from tests.support.orders import Orders


def names_kept(group: Group) -> int:
    return len(group.applier.events.events)


def test_what_is_not_acknowledged_is_kept_beyond_the_bound() -> None:
    group = Group(cls=Orders)
    for number in range(20):
        group.call("order", f"n{number}", "and")
    log = group.applier.events
    assert (len(log.events), log.pending) == (40, 40)
    done = log.events[24].position
    group.feed(EffectsDone(*done))
    assert log.pending == 15 and len(log.events) == 16, "both of a command are forgotten together"
    later = log.events[3].position
    group.feed(EffectsDone(*later))
    group.feed(EffectsDone(*done))
    assert (log.pending, log.done) == (12, later), "an acknowledgement that is late takes nothing back"


def test_acknowledgements_travel_in_snapshots() -> None:
    group = Group(cls=Orders)
    group.call("order", "a", "b", "c")
    group.feed(EffectsDone(*group.applier.events.events[0].position))
    kept = group.applier.events.kept()
    again = EventLog.of(kept)
    assert (again.done, again.pending, again.pending_weight) == (
        group.applier.events.done,
        2,
        group.applier.events.pending_weight,
    )


def test_without_on_effect_nothing_is_kept_for_it() -> None:
    class Plain(fleet.Data, events_kept=2):
        @fleet.command
        def order(self, name: str) -> None:
            fleet.ctx.emit("ordered", name)

    group = Group(cls=Plain)
    for number in range(5):
        group.call("order", f"n{number}")
    assert (names_kept(group), group.applier.events.pending) == (2, 0)


def test_when_too_many_wait_the_command_that_would_emit_more_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(applier_module, "EFFECTS_MAX", 3)
    group = Group(cls=Orders)
    values = group.send(
        *(encode_call("order", names, {}) for names in (("a", "b"), ("c", "d"), ("e",), ("f",)))
    )
    assert [decode_result(values[0]), decode_result(values[2])] == [1, 2]
    for value in (values[1], values[3]):
        with pytest.raises(EffectsFull):
            decode_result(value)
    assert group.object.count == 2 and group.applier.events.pending == 3
    group.feed(EffectsDone(*group.applier.events.events[1].position))
    assert group.call("order", "g", "h") == 3


def test_the_fingerprint_says_whether_effects_are_kept() -> None:
    class Hooks(fleet.LeaderHooks["One"]):
        def on_elected(self, state: "One", term: int) -> None: ...

    class One(fleet.Data, hooks=Hooks):
        pass

    before = fingerprint_of(One)
    Hooks.on_effect = lambda self, effect: None  # type: ignore[method-assign]
    assert fingerprint_of(One) != before


class Late(fleet.Data, hooks=orders.OrdersHooks, events_kept=5):
    told: list[str] = []

    @fleet.command
    def plan(self, name: str, after: float, every: float | None = None) -> None:
        fleet.ctx.remind("tell", name, after=after, every=every)

    @fleet.command
    def order(self, *names: str) -> None:
        for name in names:
            fleet.ctx.emit("ordered", name)

    @fleet.reminder("tell")
    def _tell(self, name: str) -> None:
        self.told.append(name)
        for _ in range(5 if name == "many" else 1):
            fleet.ctx.emit("told", name)


def late(monkeypatch: pytest.MonkeyPatch) -> Group:
    """A group of which two more events may wait."""
    monkeypatch.setattr(applier_module, "EFFECTS_MAX", 4)
    group = Group(cls=Late)
    group.call("order", "a", "b")
    return group


def due(group: Group, after: float) -> list[str]:
    before = len(group.object.told)
    group.now_ms += round(after * 1000)
    group.feed(RemindersDue(group.now_ms))
    told: list[str] = group.object.told[before:]
    return told


def test_a_reminder_that_may_not_emit_since_too_much_waits_is_put_off_and_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = late(monkeypatch)
    group.call("order", "c", "d")
    group.call("plan", "x", 1)
    group.call("plan", "y", 1)
    assert due(group, 1) == [] and group.due_in == PUT_OFF_MS / 1000
    again = Group(cls=Late)
    again.applier.restore(group.applier.dump())
    assert again.due_in == group.due_in and again.applier.reminders.weight == group.applier.reminders.weight
    assert due(group, PUT_OFF_MS / 1000) == [], "it is tried with pauses, for as long as it takes"
    group.feed(EffectsDone(*group.applier.events.events[0].position))
    assert due(group, PUT_OFF_MS / 1000) == ["x"], "y goes on waiting"
    group.feed(EffectsDone(*group.applier.events.events[-1].position))
    assert due(group, PUT_OFF_MS / 1000) == ["y"]
    assert due(group, PUT_OFF_MS / 1000) == [] and group.due_in is None


def test_one_that_was_put_off_can_be_taken_back_and_replaced() -> None:
    table = ReminderTable()
    assert table.settle([Remind("a", "k", 10, 0, b"", 7)])
    taken = table.take_due(10, 1)
    assert taken is not None and table.weight == 0
    table.put_off(taken, 20)
    assert table.weight == 7 and table.take_due(19, 1) is None
    assert table.settle([Remind("a", "k", 50, 0, b"", 7)]) and table.take_due(20, 9) is None
    assert len(table.reminders) == 1 and table.settle([Forget("a", "k")]) and table.next_due() is None


def test_one_that_would_never_fit_and_one_that_repeats_are_not_put_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = late(monkeypatch)
    group.call("plan", "many", 1)
    group.feed(EffectsDone(*group.applier.events.events[-1].position))
    assert due(group, 1) == [] and group.due_in is None
    group.call("order", "a", "b")
    group.call("order", "c", "d")
    group.call("plan", "x", 1, 100)
    assert due(group, 1) == [] and group.due_in == 100
