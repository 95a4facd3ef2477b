"""Reminders that commands have set: each calls a method of the object once it is due, by the group's log.

The table is replicated state beside the sessions: it changes only by applying entries, in log time, and
travels in snapshots. A reminder is due when log time has reached it, and is fired by an entry that the leader
proposes then (`RemindersDue`): so it is fired once, and never after a command that forgot it.

One that was due while nobody led is fired late, once. One that repeats goes on at the next of its times that
is still to come.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fleet.raft.ids import Millis

REMINDER_OVERHEAD: Final = 100
"""What a reminder weighs besides its texts and its call."""
WEIGHT_MAX: Final = 16 << 20
"""Of all reminders of a group."""
FIRED_MAX: Final = 100
"""So many are fired by one entry; further ones that are due by the next."""


class Remind(Struct, frozen=True, array_like=True, gc=False):
    """A command asks for a reminder."""

    name: str
    key: str
    """With the name it identifies the reminder, which replaces an earlier one; "": it is nobody's
    replacement."""
    due_ms: Millis
    every_ms: Millis
    """0: once."""
    payload: bytes
    """The call, encoded; opaque here. Members may have encoded it differently."""
    weight: int = 0
    """How much it counts in the limits of the group, the same on every member."""


class Forget(Struct, frozen=True, array_like=True, gc=False):
    """A command takes a reminder back; key None: all of that name."""

    name: str
    key: str | None


Asked: TypeAlias = Remind | Forget


class PendingReminder(Struct, frozen=True, array_like=True, gc=False):
    name: str
    key: str
    number: int
    """They are numbered in the order in which they were set, from 1; each number is used once."""
    due_ms: Millis
    every_ms: Millis
    payload: bytes
    weight: int = 0
    """As of the `Remind` that set it."""

    def is_meant(self, forget: Forget) -> bool:
        return self.name == forget.name and forget.key in (None, self.key)


class KeptReminders(Struct, frozen=True, array_like=True):
    """The table in a snapshot, in the order in which the reminders were set."""

    newest: int = 0
    reminders: tuple[PendingReminder, ...] = ()


@dataclass(slots=True)
class ReminderTable:
    """Invariants: `by_time` is a heap that has at least an item for each of `reminders`, at its time;
    `by_key` has those with a key."""

    newest: int = 0
    """The highest number that was given."""
    reminders: dict[int, PendingReminder] = field(default_factory=dict)
    by_key: dict[tuple[str, str], int] = field(default_factory=dict)
    by_time: list[tuple[Millis, int]] = field(default_factory=list)
    """Also of reminders that are not there any more, or at another time."""
    weight: int = 0
    """Of all."""
    count_max: int = 1 << 30

    def load(self, kept: KeptReminders) -> None:
        """Replace the content by that of a snapshot."""
        self.newest, self.weight = kept.newest, 0
        self.reminders, self.by_key, self.by_time = {}, {}, []
        for reminder in kept.reminders:
            self._add(reminder)

    def kept(self) -> KeptReminders:
        return KeptReminders(self.newest, tuple(self.reminders.values()))

    # -- what commands ask for ---------------------------------------------------------------------

    def settle(self, asked: Iterable[Asked]) -> bool:
        """Carry out what one command asked for, in its order. False: nothing was, since the table would hold
        too many, or too heavy ones. What makes it no fuller is always carried out."""
        gone: dict[int, PendingReminder] = {}
        new: list[PendingReminder] = []
        number = self.newest
        for one in asked:
            forget = one if type(one) is Forget else Forget(one.name, one.key)
            if forget.key != "":
                gone.update((found.number, found) for found in self._meant(forget))
                new = [reminder for reminder in new if not reminder.is_meant(forget)]
            if type(one) is Remind:
                number += 1
                about = one.due_ms, one.every_ms, one.payload, one.weight
                new.append(PendingReminder(one.name, one.key, number, *about))
        more = len(new) - len(gone)
        weight_more = sum(one.weight for one in new) - sum(one.weight for one in gone.values())
        if more > 0 and len(self.reminders) + more > self.count_max:
            return False
        if weight_more > 0 and self.weight + weight_more > WEIGHT_MAX:
            return False
        for forgotten in gone.values():
            self._drop(forgotten)
        for reminder in new:
            self._add(reminder)
        self.newest = number
        return True

    def _meant(self, forget: Forget) -> Iterator[PendingReminder]:
        if forget.key is None:
            yield from (one for one in self.reminders.values() if one.name == forget.name)
        elif (number := self.by_key.get((forget.name, forget.key))) is not None:
            yield self.reminders[number]

    def _add(self, reminder: PendingReminder) -> None:
        self.reminders[reminder.number] = reminder
        if reminder.key:
            self.by_key[reminder.name, reminder.key] = reminder.number
        self.weight += reminder.weight
        self._plan(reminder)

    def _drop(self, reminder: PendingReminder) -> None:
        del self.reminders[reminder.number]
        if reminder.key:
            del self.by_key[reminder.name, reminder.key]
        self.weight -= reminder.weight

    def _plan(self, reminder: PendingReminder) -> None:
        heappush(self.by_time, (reminder.due_ms, reminder.number))
        if len(self.by_time) > 2 * len(self.reminders) + 64:
            self.by_time = [(one.due_ms, one.number) for one in self.reminders.values()]
            heapify(self.by_time)

    # -- time --------------------------------------------------------------------------------------

    def next_due(self) -> PendingReminder | None:
        """The earliest; of several at one time, the one that was set first."""
        while self.by_time:
            due_ms, number = self.by_time[0]
            reminder = self.reminders.get(number)
            if reminder is not None and reminder.due_ms == due_ms:
                return reminder
            heappop(self.by_time)
        return None

    def take_due(self, log_ms: Millis, newest: int) -> PendingReminder | None:
        """The earliest that is due and has no higher number than `newest`; it is gone, or waits for its next
        time. None: none is due."""
        reminder = self.next_due()
        if reminder is None or reminder.due_ms > log_ms or reminder.number > newest:
            return None
        heappop(self.by_time)
        if reminder.every_ms:
            missed = (log_ms - reminder.due_ms) // reminder.every_ms
            again_ms = reminder.due_ms + (missed + 1) * reminder.every_ms
            again = replace(reminder, due_ms=again_ms)
            self.reminders[again.number] = again
            self._plan(again)
        else:
            self._drop(reminder)
        return reminder

    def put_off(self, reminder: PendingReminder, due_ms: Millis) -> None:
        """One that was taken, and does not repeat, is due again at that time."""
        self._add(replace(reminder, due_ms=due_ms))
