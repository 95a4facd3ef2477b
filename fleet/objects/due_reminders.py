"""Executes the reminders that are due, one after the other, as the commands that they are."""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from fleet.errors import EffectsFull, FleetError
from fleet.interfaces import Context, Executor
from fleet.objects.payload import decode_result, encode_failed, is_success
from fleet.raft.group_events import EventLog
from fleet.raft.ids import Index, Millis, Revision
from fleet.raft.reminders import FIRED_MAX, PendingReminder, ReminderTable
from fleet.raft.sessions import SessionTable

PUT_OFF_MS: Final[Millis] = 5_000
"""How much later, in log time, a reminder is tried again that may not emit for now."""


class Fired(Struct, frozen=True, gc=False):
    """What came of a reminder."""

    reminder: PendingReminder
    revision: Revision
    value: bytes
    """Its result, encoded, as of a command."""


TellFired: TypeAlias = Callable[[Fired], None]


class Firing(Protocol):
    """The applied state, as far as reminders change it."""

    executor: Executor
    index: Index
    revision: Revision
    sessions: SessionTable
    events: EventLog
    skipped: dict[tuple[Index, int], str]
    after_each: Callable[[Revision], None] | None

    @property
    def reminders(self) -> ReminderTable: ...

    def keep(self, context: Context, payloads: tuple[bytes, ...], is_due: bool) -> None:
        """Commands that left the object intact."""

    def keep_events(self) -> None:
        """What was emitted just now."""

    def roll_back(self) -> None: ...


def fire(state: Firing, prepare: Callable[[], None], tell: TellFired) -> None:
    """Those that were due when the entry came: what these set is left for the next entry, and what they take
    back is not fired. One that fails changes nothing and is gone; but one that repeats goes on, and one that
    fails since too many events wait is tried again later."""
    newest = state.reminders.newest
    for place in range(FIRED_MAX):
        reminder = state.reminders.take_due(state.sessions.log_ms, newest)
        if reminder is None:
            return
        state.revision += 1
        prepare()
        value = _execute(state, reminder, place)
        if not reminder.every_ms and state.events.pending and type(failure_of(value)) is EffectsFull:
            state.reminders.put_off(reminder, state.sessions.log_ms + PUT_OFF_MS)
        if state.after_each is not None:
            state.after_each(state.revision)
        tell(Fired(reminder, state.revision, value))


def failure_of(value: bytes) -> FleetError | None:
    """Why a command failed with this result; None: it did not."""
    if is_success(value):
        return None
    try:
        decode_result(value)
    except FleetError as error:
        return error
    return None


def _execute(state: Firing, reminder: PendingReminder, place: int) -> bytes:
    why = state.skipped.get((state.index, place))
    if why is not None:
        return encode_failed("command", "Skipped", why, "")
    context, payloads = Context(state.revision, state.sessions.log_ms, 0, place, ""), (reminder.payload,)
    (value,), is_clean = state.executor.apply(context, payloads, is_due=True)
    state.keep_events()
    if is_clean:
        state.keep(context, payloads, is_due=True)
    else:
        state.roll_back()
    return value
