"""Whether reminders were called as promised: once, not before their time, not after a cancel (S52)."""

from collections.abc import Iterable, Mapping, Sequence

from fleet.raft.entries import Entry, Skipped
from fleet.raft.ids import Index

SET, CANCELLED, CALLED = 0, 1, 2
"""What a journal notes. Numbers: one text that is one object here and two there has other bytes."""


def objection(journal: Sequence[tuple[int, int, int, int]], pending: int) -> str:
    """To what a group has executed, in the order of its log; "" if there is none. `pending`: how many of its
    reminders wait, or were skipped."""
    waiting: dict[int, tuple[int, int]] = {}
    for what, number, at_ms, every_ms in journal:
        if what == SET:
            waiting[number] = at_ms, every_ms
        elif what == CALLED:
            if number not in waiting:
                return f"alarm {number} is called at {at_ms}, and was called or cancelled before"
            due_ms, every_ms = waiting[number]
            if at_ms < due_ms:
                return f"alarm {number} is called at {at_ms}, and is due at {due_ms}"
            if every_ms:
                missed = (at_ms - due_ms) // every_ms
                waiting[number] = due_ms + (missed + 1) * every_ms, every_ms
            else:
                del waiting[number]
        else:
            waiting.pop(number, None)
    late = [number for number, (_, every_ms) in waiting.items() if number % 7 or every_ms]
    if len(late) > pending:
        return f"alarms {sorted(late)} are not called, and only {pending} of them wait"
    return ""


def lost(
    journal: Sequence[tuple[int, int, int, int]], done: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """What clients were told to be done, each with its alarm, and the group knows nothing of."""
    noted = {(what, abs(number)) for what, number, _, _ in journal}
    return sorted(set(done) - noted)


def reminders_skipped(committed: Mapping[Index, Entry]) -> int:
    """How many were recorded as failed instead of being called. The log says it: a member that has started
    again behind that knows nothing of it."""
    bodies = [entry.body for entry in committed.values()]
    skipped = [body for body in bodies if type(body) is Skipped and body.cause.startswith("ring:")]
    return len({(body.index, body.place) for body in skipped})
