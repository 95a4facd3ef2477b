"""What commands of a group have emitted, and the group keeps for a while.

The log of events is replicated state beside the sessions: it changes only by applying entries, and travels in
snapshots. It is bounded in events and in their weight: the oldest are forgotten, all of one command together.
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
"""What an event weighs, and how many bytes it takes, besides its kind and its value."""


class GroupEvent(Struct, frozen=True, array_like=True, gc=False):
    revision: Revision
    """Of the command that emitted it."""
    number: int
    """Among the events of that command, from 0 on."""
    kind: str
    value: bytes
    """Encoded; only its receiver reads it."""
    weight: int = 0
    """How much it counts in the limits of the group, the same on every member."""

    @property
    def size(self) -> int:
        """In bytes, in messages and memory. Members may have encoded the value differently, so nothing that
        they must agree on may depend on this."""
        return EVENT_OVERHEAD + len(self.kind) + len(self.value)

    @property
    def position(self) -> Position:
        return self.revision, self.number


class KeptEvents(Struct, frozen=True, array_like=True):
    """The log of events in a snapshot."""

    forgotten: Position = (0, LAST)
    events: tuple[GroupEvent, ...] = ()
    done: Position = (0, 0)


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
    weight: int = 0
    """Of all events."""
    done: Position = (0, 0)
    """Effects up to here are acknowledged."""
    pending: int = 0
    pending_weight: int = 0
    """Events after `done`: those that are kept for `on_effect`."""

    @classmethod
    def of(cls, kept: KeptEvents) -> "EventLog":
        pending = [one.weight for one in kept.events if one.position > kept.done]
        weight = sum(one.weight for one in kept.events)
        return cls(kept.forgotten, deque(kept.events), weight, kept.done, len(pending), sum(pending))

    def kept(self) -> KeptEvents:
        return KeptEvents(self.forgotten, tuple(self.events), self.done)

    def acknowledge(self, done: Position) -> None:
        """Effects up to there were told."""
        if done > self.done:
            for event in self.after(self.done):
                if event.position > done:
                    break
                self.pending -= 1
                self.pending_weight -= event.weight
            self.done = done

    def acknowledge_all(self) -> None:
        """Nobody wants to be told of effects."""
        if self.events:
            self.done, self.pending, self.pending_weight = self.events[-1].position, 0, 0

    def add(
        self, events: Sequence[GroupEvent], count_max: int, weight_max: int, for_effects: bool = False
    ) -> None:
        """Keep these, and forget the oldest beyond the limits; those of the newest command are always kept,
        however many. `for_effects`: until they are acknowledged, too."""
        weight = sum(event.weight for event in events)
        self.weight += weight
        self.pending += len(events)
        self.pending_weight += weight
        kept = self.events
        kept.extend(events)
        if not for_effects:
            self.acknowledge_all()
        self.trim(count_max, weight_max)

    def trim(self, count_max: int, weight_max: int) -> None:
        kept = self.events
        while len(kept) > count_max or self.weight > weight_max:
            oldest = kept[0].revision
            if oldest == kept[-1].revision or self._is_pending(oldest):
                return
            while kept[0].revision == oldest:
                event = kept.popleft()
                self.weight -= event.weight
                self.forgotten = event.position

    def _is_pending(self, oldest: Revision) -> bool:
        """Whether one of that revision, which is the oldest, is not acknowledged."""
        if not self.pending:
            return False
        newest = self.done
        for event in self.events:
            if event.revision != oldest:
                break
            newest = event.position
        return newest > self.done

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
