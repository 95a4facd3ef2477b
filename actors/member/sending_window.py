"""What a member has sent to its executor and what waits, so that a slow one does not fill the memory."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from fleet.actors.messages.executor import ApplyEntries, ObjectMessage
from fleet.raft.entries import Entry, count_of, size_of
from fleet.raft.ids import Index

SENT_MAX = 4096
"""Commands that an executor was sent and has not executed; more wait here, where they cost nothing."""
SENT_BYTES_MAX = 16 << 20
PART_MAX = 1024
"""Commands in one message, so that its answer does not keep others waiting."""
PART_BYTES_MAX = 4 << 20
WAITING_MAX = 16
"""Messages with a leader's own commands that wait: with more, it should propose none."""
Port: TypeAlias = Callable[[ObjectMessage], None]
"""Takes messages to the executor, in order."""


class SendingWindow:
    """Everything leaves in the order in which it was given.

    Invariant: `commands` and `bytes` are the sums over `sent`.
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self.waiting: deque[ObjectMessage] = deque()
        self.waiting_entries: deque[Index] = deque()
        """The last entry of each `ApplyEntries` among them."""
        self.sent: deque[tuple[Index, int, int]] = deque()
        """Entries that were sent and are not executed: the last, their commands, their bytes."""
        self.commands = self.bytes = 0

    def clear(self) -> None:
        self.waiting.clear()
        self.waiting_entries.clear()
        self.sent.clear()
        self.commands = self.bytes = 0

    def is_full(self, first: Index) -> bool:
        """Whether enough entries from `first` on wait."""
        waiting = self.waiting_entries
        return len(waiting) >= WAITING_MAX and waiting[-WAITING_MAX] >= first

    def send(self, message: ObjectMessage) -> None:
        if self.waiting or (type(message) is ApplyEntries and not self._has_room()):
            self.waiting.append(message)
            if isinstance(message, ApplyEntries):
                self.waiting_entries.append(message.entries[-1].index)
        else:
            self._send_now(message)

    def on_executed(self, index: Index) -> None:
        """Entries up to this are."""
        sent = self.sent
        while sent and sent[0][0] <= index:
            _, count, size = sent.popleft()
            self.commands -= count
            self.bytes -= size

    def go_on(self) -> None:
        """Send what there is room for."""
        while self.waiting and (type(self.waiting[0]) is not ApplyEntries or self._has_room()):
            message = self.waiting.popleft()
            if type(message) is ApplyEntries:
                self.waiting_entries.popleft()
            self._send_now(message)

    def _has_room(self) -> bool:
        return self.commands < SENT_MAX and self.bytes < SENT_BYTES_MAX

    def _send_now(self, message: ObjectMessage) -> None:
        if isinstance(message, ApplyEntries):
            entries, count, size = message.entries, 0, 0
            for entry in entries:
                count += count_of(entry.body)
                size += size_of(entry)
            self.sent.append((entries[-1].index, count, size))
            self.commands += count
            self.bytes += size
        self.port(message)


def in_parts(entries: Sequence[Entry]) -> list[tuple[Entry, ...]]:
    """None of them empty, each within the limits of a message."""
    if len(entries) == 1:
        return [tuple(entries)]
    parts: list[tuple[Entry, ...]] = []
    part: list[Entry] = []
    count = size = 0
    for entry in entries:
        part.append(entry)
        count += count_of(entry.body)
        size += size_of(entry)
        if count >= PART_MAX or size >= PART_BYTES_MAX:
            parts.append(tuple(part))
            part, count, size = [], 0, 0
    return [*parts, tuple(part)] if part else parts
