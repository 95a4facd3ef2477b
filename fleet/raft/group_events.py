"""What commands of a group have emitted, and the group keeps for a while.

The log of events is replicated state beside the sessions: it changes only by applying entries, and travels in
snapshots. It is bounded in events and in bytes: the oldest are forgotten, all of one command together.
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from msgspec import Struct

from fleet.raft.ids import Revision

Position: TypeAlias = tuple[Revision, int]
"""A place between events: behind the one of that revision and number."""
LAST: Final = (1 << 63) - 1
"""As the number: behind all of that revision."""
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

    @property
    def position(self) -> Position:
        return self.revision, self.number


class KeptEvents(Struct, frozen=True, array_like=True):
    """The log of events in a snapshot."""

    forgotten: Position = (0, LAST)
    events: tuple[GroupEvent, ...] = ()


class Page(Struct, frozen=True):
    """Some of the events after a position."""

    events: tuple[GroupEvent, ...]
    until: Position
    """Up to here they are complete."""
    is_end: bool
    """Whether there are no more."""


@dataclass(slots=True)
class EventLog:
    """Invariant: `events` has all events after `forgotten`, in their order."""

    forgotten: Position = (0, LAST)
    """Of the newest event that is not kept any more."""
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
            while kept[0].revision == oldest:
                event = kept.popleft()
                self.size -= event.size
                self.forgotten = event.position

    def has_all_after(self, position: Position) -> bool:
        return position >= self.forgotten

    @property
    def oldest(self) -> Revision:
        """The first revision of which nothing was forgotten."""
        return self.events[0].revision if self.events else self.forgotten[0] + 1

    def after(self, position: Position) -> list[GroupEvent]:
        """The events behind it, in their order, as far as they are kept."""
        found = []
        for event in reversed(self.events):
            if event.position <= position:
                break
            found.append(event)
        found.reverse()
        return found

    def page(
        self,
        position: Position,
        now: Revision,
        kinds: Collection[str] | None,
        count_max: int,
        bytes_max: int,
    ) -> Page:
        """The first of the events after the position, of these kinds (None: all): one at least, if there is
        one, and no more than the limits. `now`: the group's revision."""
        size = 0
        found: list[GroupEvent] = []
        for event in self.after(position):
            if kinds is not None and event.kind not in kinds:
                continue
            if found and (len(found) >= count_max or size + event.size > bytes_max):
                return Page(tuple(found), found[-1].position, False)
            found.append(event)
            size += event.size
        return Page(tuple(found), max(position, (now, LAST)), True)
