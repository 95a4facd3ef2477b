"""Events that wait for `on_effect`, as replicated state (S51)."""

import pytest

import fleet
from fleet.errors import EffectsFull
from fleet.objects import applier as applier_module
from fleet.objects.fingerprint import fingerprint_of
from fleet.objects.payload import decode_result, encode_call
from fleet.raft.entries import EffectsDone
from fleet.raft.group_events import EventLog
from tests.objects.test_reminders import Group
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
