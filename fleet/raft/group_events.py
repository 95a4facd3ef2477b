"""What commands of a group have emitted, and the group keeps for a while.

The log of events is replicated state beside the sessions: it changes only by applying entries, and travels in
snapshots. It is bounded in events and in bytes: the oldest are forgotten, all of one command together.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from fleet.raft.ids import Revision

NUMBER_MAX = (1 << 63) - 1
EVENT_OVERHEAD = 64
"""Bytes that an event takes besides its kind and its value."""


class GroupEvent(Struct, frozen=True, array_like=True, gc=False):
    revision: Revision
    """Of the command that emitted it."""
    number: int
    """Among the events of that command, from 0 on."""
    kind: str
    value: bytes
    """Encoded; only its receiver reads it."""

    @property
    def size(self) -> int:
        return EVENT_OVERHEAD + len(self.kind) + len(self.value)


class KeptEvents(Struct, frozen=True, array_like=True):
    """The log of events in a snapshot."""

    forgotten: Revision = 0
    events: tuple[GroupEvent, ...] = ()


@dataclass(slots=True)
class EventLog:
    """Invariant: `events` has all events of the commands after `forgotten`, in their order."""

    forgotten: Revision = 0
    """The newest revision whose events are not kept any more; 0: none was forgotten."""
    events: deque[GroupEvent] = field(default_factory=deque)
    size: int = 0
    """In bytes, of all events."""

    @classmethod
    def of(cls, kept: KeptEvents) -> "EventLog":
        return cls(kept.forgotten, deque(kept.events), sum(one.size for one in kept.events))

    def kept(self) -> KeptEvents:
        return KeptEvents(self.forgotten, tuple(self.events))

    def add(self, events: Sequence[GroupEvent], count_max: int, bytes_max: int) -> None:
        """Keep these, and forget the oldest beyond the limits; those of the newest command are always kept,
        however many."""
        for event in events:
            self.size += event.size
        kept = self.events
        kept.extend(events)
        while len(kept) > count_max or self.size > bytes_max:
            oldest = kept[0].revision
            if oldest == kept[-1].revision:
                return
            self.forgotten = oldest
            while kept[0].revision == oldest:
                self.size -= kept.popleft().size

    def after(self, revision: Revision, number: int = NUMBER_MAX) -> list[GroupEvent] | None:
        """The events after that one, in their order; without a number, after all of that revision. None: some
        of them were forgotten."""
        if revision < self.forgotten:
            return None
        found = []
        for event in reversed(self.events):
            if (event.revision, event.number) <= (revision, number):
                break
            found.append(event)
        found.reverse()
        return found
