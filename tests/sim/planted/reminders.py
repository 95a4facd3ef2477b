"""Bugs about reminders and effects."""

from contextlib import suppress
from typing import Any
from unittest.mock import patch

from fleet.actors.executor.effect_hooks import EffectHooks
from fleet.actors.executor.hook_events import HookTeller
from fleet.objects.applier import Applier
from fleet.objects.event import received
from fleet.raft.reminders import KeptReminders, PendingReminder, ReminderTable
from tests.sim.planted.patches import Patches


def reminders_not_in_snapshots() -> Patches:
    """S52: whoever restores a snapshot forgets which reminders were set."""
    restore = Applier.restore

    def forget(self: Any, *args: Any, **kwargs: Any) -> None:
        restore(self, *args, **kwargs)
        self.reminders.load(KeptReminders(self.reminders.newest))

    return [patch.object(Applier, "restore", forget)]


def cancel_of_an_overdue_reminder_is_too_late() -> Patches:
    """S52: a reminder that is due cannot be taken back any more, although it was not called."""
    settle = ReminderTable.settle

    def keep_due(self: Any, asked: Any) -> bool:
        due = dict(self.reminders)
        is_done = settle(self, asked)
        for number, one in due.items():
            if number not in self.reminders and one.due_ms <= now[0]:
                self._add(one)
        return is_done

    now = [0]
    advance = Applier._advance

    def note(self: Any, wall_ms: int) -> None:
        advance(self, wall_ms)
        now[0] = self.sessions.log_ms

    return [patch.object(ReminderTable, "settle", keep_due), patch.object(Applier, "_advance", note)]


def reminder_that_repeats_is_never_taken_back() -> Patches:
    """S52: a cancel without effect, though it was told to be done."""
    meant = ReminderTable._meant

    def keep(self: Any, forget: Any) -> Any:
        return (one for one in meant(self, forget) if not one.every_ms)

    return [patch.object(ReminderTable, "_meant", keep)]


def new_leader_leaves_effects_out() -> Patches:
    """S51: what a leader has not told its hooks yet is not told by the next one."""

    def leave_out(self: EffectHooks, events: Any) -> None:
        self.end()
        self.newest = max((event.position for event in events), default=(0, 0))

    return [patch.object(EffectHooks, "begin", leave_out)]


def failed_effect_is_left_out() -> Patches:
    """S51: an effect whose hook raises is not told again."""

    def tell(self: Any, event: Any) -> None:
        with suppress(OSError):
            self.hooks().on_effect(received(event))

    return [patch.object(HookTeller, "effect", tell)]


def reminder_stays_after_its_call() -> Patches:
    """S52: a reminder is called again, by the next entry that calls others."""

    def take(self: Any, log_ms: int, newest: int) -> PendingReminder | None:
        due = [one for one in self.reminders.values() if one.due_ms <= log_ms and one.number <= newest]
        for one in sorted(due, key=lambda one: (one.due_ms, one.number)):
            if one.number not in called:
                called.add(one.number)
                found: PendingReminder | None = one
                return found
        called.clear()
        found = real(self, log_ms, newest)
        return found

    called: set[int] = set()
    real = ReminderTable.take_due
    return [patch.object(ReminderTable, "take_due", take)]
