"""What a member's object needs of its member, and whom it tells what its executor answers."""

from typing import Any, Protocol, TypeAlias

from fleet.actors.messages.executor import (
    AskEffects,
    AskQueries,
    CheckCommands,
    CommandsChecked,
    CopyState,
    DumpFailed,
    EffectsTold,
    EntriesApplied,
    EventsRead,
    ObjectDumped,
    PartsShown,
    QueriesAnswered,
    ReadEvents,
    StateCopied,
    StateLoaded,
    StatePointTaken,
)
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.errors import FleetError
from fleet.raft.core import Core
from fleet.raft.entries import SnapshotMeta

Question: TypeAlias = AskQueries | CheckCommands | CopyState | ReadEvents | AskEffects


class ObjectsMember(Protocol):
    """The member, as its object needs it."""

    core: Core
    start: StartMember
    spec: GroupSpec

    def step(self, event: Any) -> None: ...


class Told(Protocol):
    """Who is told of what the executor answers."""

    def on_opened(self) -> None:
        """It is open for the first time."""

    def on_failed(self, error: FleetError, retry: bool) -> None:
        """The member cannot go on with it. `retry`: whether starting the member again may help."""

    def on_applied(self, m: EntriesApplied) -> None: ...

    def on_loaded(self, m: StateLoaded) -> None: ...

    def on_answered(self, m: QueriesAnswered) -> None: ...

    def on_question_answered(self, m: CommandsChecked | StateCopied | EventsRead | EffectsTold) -> None:
        """By one message."""

    def on_dumped(self, m: ObjectDumped | DumpFailed) -> None: ...

    def on_point(self, m: StatePointTaken) -> None: ...

    def on_shown(self, m: PartsShown) -> None: ...

    def on_question_failed(self, token: int, error: FleetError) -> None:
        """These queries, or this look at commands, will not be answered."""

    def newest_meta(self) -> SnapshotMeta | None:
        """Of the snapshot that a new object begins with."""

    def newest_snapshot(self) -> tuple[SnapshotMeta, bytes] | None:
        """With the state. Raises Damaged."""
