"""What watchers of a group were told: each event that its commands emitted, once and in order, or that some
are not kept any more."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeAlias

from fleet.errors import Compacted, FleetError, NoSuchGroup
from fleet.objects.keyed import without_key
from fleet.objects.payload import decode_call, decode_value
from fleet.raft.entries import Commands, Entry, Skipped
from fleet.raft.group_events import LAST, GroupEvent, Position
from fleet.raft.halting import place_of
from fleet.raft.ids import Index

Emitted: TypeAlias = tuple[Position, str, int]
"""Place, kind and value of an event."""


class JudgedWorld(Protocol):
    def accuse(self, sentence: str) -> None: ...


@dataclass(slots=True)
class ToldEvents:
    """What one watch asked for and was told."""

    watcher: str
    since: Position | None
    """None: whatever comes from now on."""
    kinds: frozenset[str] | None
    """None: all."""
    began: Position | None = None
    count_before: int = 0
    """How many events were emitted before it began."""
    events: list[GroupEvent] = field(default_factory=list)
    error: FleetError | None = None
    count_then: int = 0
    """How many events were emitted before the error."""
    is_closed: bool = False

    @property
    def is_open(self) -> bool:
        return self.error is None and not self.is_closed

    @property
    def position(self) -> Position | None:
        """Of the last event that it was told, or where it began."""
        return self.events[-1].position if self.events else self.began


class EmittedEvents:
    """Of the one group of a world that is watched: noted by its commands, wherever these are executed."""

    def __init__(self, world: JudgedWorld) -> None:
        self.world = world
        self.by_position: dict[Position, tuple[str, int]] = {}
        """In the order in which they were executed first."""

    def note(self, position: Position, kind: str, number: int) -> None:
        first = self.by_position.setdefault(position, (kind, number))
        if first != (kind, number):
            self.world.accuse(f"the event at {position} is {kind, number} here, and was {first}")

    def in_order(self, without: Collection[int]) -> list[Emitted]:
        """`without`: numbers of calls whose commands were skipped."""
        found = self.by_position.items()
        return sorted((position, *event) for position, event in found if event[1] not in without)

    def objection(self, told: ToldEvents, emitted: Sequence[Emitted], kept: int, is_there: bool) -> str:
        """To what a watch was told, "" if there is none. `emitted`: all events, in order. `kept`: how many
        the group keeps at least. `is_there`: it was not removed. The world has settled."""
        found = self._to_its_end(told, kept, is_there) or self._to_its_beginning(told)
        if found or told.began is None:
            return found and f"watch {told.watcher} {found}"
        began, kinds = told.began, told.kinds
        wanted = [one for one in emitted if one[0] > began and (kinds is None or one[1] in kinds)]
        got = [(event.position, event.kind, decode_value(event.value)) for event in told.events]
        if got != wanted[: len(got)]:
            wrong = (at for at, one in enumerate(got) if wanted[at : at + 1] != [one])
            at = next(wrong)
            return f"watch {told.watcher} is told {got[at]} as number {at}, and not {wanted[at : at + 1]}"
        if told.is_open and is_there and len(got) < len(wanted):
            missing = f"{len(wanted) - len(got)} events behind {told.position}"
            return f"watch {told.watcher} is not told of {missing}"
        return ""

    def _to_its_end(self, told: ToldEvents, kept: int, is_there: bool) -> str:
        error = told.error
        if isinstance(error, Compacted):
            revision = (told.position or told.since or (0, 0))[0]  # its events are forgotten together
            count = sum(position[0] >= revision for position in islice(self.by_position, told.count_then))
            return f"is told {error!r}, with {count} events since {revision}" if count <= kept else ""
        if isinstance(error, NoSuchGroup) and not is_there:
            return ""
        if error is not None:
            return f"ends with {error!r}"
        return "goes on, and its group was removed" if told.is_open and not is_there else ""

    def _to_its_beginning(self, told: ToldEvents) -> str:
        if told.began is None:
            return "does not begin" if told.is_open else ""
        later = min(islice(self.by_position, told.count_before, None), default=(LAST, LAST))
        if told.since is None and later <= told.began:
            return f"begins at {told.began}, behind {later}, which was emitted after that"
        return ""


def numbers_skipped(committed: dict[Index, Entry]) -> set[int]:
    """The numbers of calls whose commands were skipped: a member may have executed one before that, and lost
    the result with its process."""
    found: set[int] = set()
    for entry in committed.values():
        if type(entry.body) is Skipped:
            index, place = place_of(entry)
            command = committed[index].body if index in committed else None
            if isinstance(command, Commands) and 0 <= place < len(command.payloads):
                args = decode_call(without_key(command.payloads[place]))[1]
                found.update(args[-1:])
    return found
