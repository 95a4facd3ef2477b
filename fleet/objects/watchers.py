"""What is looked for while recorded commands are executed again."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from fleet.errors import BadArguments
from fleet.objects.declare import shape_of
from fleet.objects.replay import PastCommand, Reached, Replay, ReplayWatcher, call_of
from fleet.raft.ids import Index, Revision


class Call(Struct, frozen=True):
    """A command of the past: who, when, what."""

    revision: Revision
    index: Index
    """Of its entry in the log."""
    at: float
    """Seconds since the epoch, as `ctx.now` said in it."""
    client: str
    method: str
    """"": it cannot be read here."""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    is_skipped: bool = False
    """It failed without being executed."""
    unreadable: str = ""
    """Why its arguments cannot be shown."""
    is_reminder: bool = False
    """It was due, and nobody called it: `client` is ""."""

    def __str__(self) -> str:
        if self.unreadable:
            return f"? ({self.unreadable})"
        given = [*map(repr, self.args), *(f"{key}={value!r}" for key, value in self.kwargs.items())]
        return f"{self.method}({', '.join(given)})"


class FirstTrue(Struct, frozen=True):
    """From which revision on it was so."""

    revision: Revision
    call: Call | None
    """The command that made it so. None: a change of the class, or nobody knows."""
    was_so: bool = False
    """It was so in the oldest state that was looked at."""


def fields_of(found: Any) -> dict[str, Any]:
    """Of an instance of a data class, by name."""
    declared = {name: getattr(found, name) for name in shape_of(type(found)).fields if hasattr(found, name)}
    return declared | getattr(found, "__dict__", {})


def as_call(replay: Replay, command: PastCommand) -> Call:
    about = (command.revision, command.index, command.now_ms / 1000, command.client)
    method, unreadable = "", ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    try:
        method, args, kwargs = call_of(replay, command)
    except BadArguments as error:
        unreadable = error.what
    return Call(*about, method, args, kwargs, command.is_skipped, unreadable, command.is_due)


class Until(ReplayWatcher):
    """Stops as soon as the object is as it was after that revision."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision

    def after(self, replay: Replay, command: PastCommand, value: bytes) -> None:
        if command.revision >= self.revision:
            raise Reached

    def passed(self, replay: Replay) -> None:
        if replay.revision >= self.revision and replay.has_object:
            raise Reached


class Before(ReplayWatcher):
    """Stops at the command with that revision, before it is executed."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.command: PastCommand | None = None

    def before(self, replay: Replay, command: PastCommand) -> None:
        if command.revision == self.revision:
            self.command = command
            raise Reached

    def after(self, replay: Replay, command: PastCommand, value: bytes) -> None:
        if command.revision >= self.revision:
            raise Reached

    def passed(self, replay: Replay) -> None:
        if replay.revision >= self.revision:
            raise Reached


class FirstTime(ReplayWatcher):
    """Stops where the predicate becomes true of the object."""

    def __init__(self, is_so: Callable[[Any], Any], start: Revision = 0) -> None:
        self.is_so, self.start = is_so, start
        self.found: FirstTrue | None = None
        self.looked_at: Revision = -1

    def after(self, replay: Replay, command: PastCommand, value: bytes) -> None:
        """What was so at `start` already may have been so before, also in the midst of an entry."""
        if command.revision >= self.start:
            call = as_call(replay, command) if self.looked_at >= 0 else None
            self._look(replay, command.revision, call)

    def passed(self, replay: Replay) -> None:
        """Also where something else than a command has changed it: a switch of the class."""
        if replay.revision >= self.start and replay.revision > self.looked_at and replay.has_object:
            self._look(replay, replay.revision, None)

    def _look(self, replay: Replay, revision: Revision, call: Call | None) -> None:
        was_looked_at, self.looked_at = self.looked_at, revision
        if self.is_so(replay.object):
            self.found = FirstTrue(revision, call, was_looked_at < 0)
            raise Reached


class PastCalls(ReplayWatcher):
    """Collects the commands, in order."""

    def __init__(self, start: Revision, until: Revision | None) -> None:
        self.start, self.until = start, until
        self.found: list[Call] = []

    def after(self, replay: Replay, command: PastCommand, value: bytes) -> None:
        if self.until is not None and command.revision > self.until:
            raise Reached
        if command.revision >= self.start:
            self.found.append(as_call(replay, command))

    def run(self, replay: Replay) -> Iterator[Call]:
        try:
            for entry in replay.recording.entries():
                replay.take(entry)
                found, self.found = self.found, []
                yield from found
        except Reached:
            yield from self.found
