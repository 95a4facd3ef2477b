"""One watch of a group, as whoever watches and the client's loop share it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from fleet.errors import FleetError
from fleet.raft.group_events import GroupEvent, Position
from fleet.raft.ids import Millis


class Sink(Protocol):
    """Whoever watches. Its methods are called in the client's loop, and may not block."""

    def begins(self, position: Position) -> None:
        """Whatever comes after that position is told. Called once."""

    def take(self, events: Sequence[GroupEvent]) -> bool:
        """Take them, in their order. False: no more until `ResumeWatch`."""

    def fails(self, error: FleetError) -> None:
        """Nothing more is told."""


@dataclass(slots=True, eq=False)
class Watching:
    """One watch. What follows `deadline` belongs to the group's watches."""

    group: str
    sink: Sink
    kinds: frozenset[str] | None
    """None: all."""
    position: Position | None
    """Up to here it has taken all; None: it begins with whatever comes from now on."""
    deadline: Millis
    """By when it must have begun."""
    has_begun: bool = False
    is_full: bool = False


class OpenWatch(Struct, frozen=True):
    watching: Watching


class ResumeWatch(Struct, frozen=True):
    """Its sink has room again."""

    watching: Watching


class CloseWatch(Struct, frozen=True):
    watching: Watching
