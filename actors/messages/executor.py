"""Messages between a member and the executor that holds its object: two actors, or two processes of a node.

Calls, results and states are bytes to the member. Every message names the member by its number in the node's
store, and the object by its run: an answer of an earlier run is ignored.
"""

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from fleet.objects.applier import Opened, Outcomes
from fleet.objects.payload import ErrorRecord
from fleet.objects.state_parts import StatePart
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Entry
from fleet.raft.group_events import GroupEvent, Position
from fleet.raft.ids import Index, Millis, Revision, Term

NOWHERE: Final = -1
"""The place of a failure that no command caused."""


class ObjectMessage(Struct, frozen=True, array_like=True, gc=False):
    number: int
    run: int


# -- to an executor -----------------------------------------------------------------------------------------


class OpenObject(ObjectMessage, frozen=True, array_like=True, tag=1, gc=False):
    """Load the class and make a new object. Answered by `ObjectOpened` or `ObjectFailed`."""

    group: str
    member: str
    data_class: bytes
    config: GroupConfig
    limit_ms: int = 0
    """How long a command or a query may take before the executor is ended; 0: for ever."""
    is_fresh: bool = False
    """Not in the executor where it was, but in one that was started since: modules are not imported twice."""


class LoadState(ObjectMessage, frozen=True, array_like=True, tag=2, gc=False):
    """Replace the applied state by a snapshot's. Answered by `StateLoaded` or `ObjectFailed`."""

    state: bytes
    in_memory: int = 0
    """Not 0: a descriptor comes along, of memory that holds so many bytes of state behind one byte."""


class ApplyEntries(ObjectMessage, frozen=True, array_like=True, tag=3, gc=False):
    """Execute committed entries. Answered by one or more `EntriesApplied`, or by `ObjectFailed`."""

    entries: tuple[Entry, ...]
    known: Index = 0
    """Entries up to this were executed by an earlier run, and told: hooks are not told of them."""
    skipped: tuple[tuple[Index, int, str], ...] = ()
    """Commands to record as failed, by index and place, and why."""
    may_wait: bool = False
    """Nobody waits for them: they may leave together with later ones."""


class AskQueries(ObjectMessage, frozen=True, array_like=True, tag=4, gc=False):
    """Execute queries. Answered by one or more `QueriesAnswered`."""

    token: int
    payloads: tuple[bytes, ...]


class CheckCommands(ObjectMessage, frozen=True, array_like=True, tag=5, gc=False):
    """Answered by `CommandsChecked`."""

    token: int
    payloads: tuple[bytes, ...]


class CopyState(ObjectMessage, frozen=True, array_like=True, tag=11, gc=False):
    """Encode the applied state as it is, which changes nothing. Answered by `StateCopied`."""

    token: int
    version: int = 0
    """Of the class that is to load it, if that is older than the object's; 0: any."""


class ReadEvents(ObjectMessage, frozen=True, array_like=True, tag=12, gc=False):
    """Some of the group's events after a position. Answered by `EventsRead`. From then on,
    until `LeaveEvents`, each `EntriesApplied` tells of the new events."""

    token: int
    after: Position | None
    """None: whatever comes from now on."""
    kinds: tuple[str, ...] | None = None
    """None: all."""


class LeaveEvents(ObjectMessage, frozen=True, array_like=True, tag=13, gc=False):
    """Nobody wants to know of new events any more. Not answered."""


class AskEffects(ObjectMessage, frozen=True, array_like=True, tag=14, gc=False):
    """How far `on_effect` is. Answered by `EffectsTold`."""

    token: int
    is_retry: bool = False
    """If it has failed, it is tried again before the answer."""


class DumpObject(ObjectMessage, frozen=True, array_like=True, tag=6, gc=False):
    """Encode the applied state, as a snapshot at `index`. Answered by `ObjectDumped` or `DumpFailed`."""

    index: Index
    size: int
    """Of the newest snapshot, in bytes: a big one is encoded by a forked child."""
    version: int = 0
    """As in `CopyState`."""


class ShowParts(ObjectMessage, frozen=True, array_like=True, tag=16, gc=False):
    """What the state after an entry holds. Answered by `PartsShown`."""

    token: int
    index: Index
    """0: as it is now."""
    path: tuple[str, ...]
    """The labels of parts, from the object to the one whose parts are asked for."""


class KeepState(ObjectMessage, frozen=True, array_like=True, tag=15, gc=False):
    """Do not forget the state after the entry `index`, which differs on another member. Not answered."""

    index: Index


class LeadsNow(ObjectMessage, frozen=True, array_like=True, tag=7, gc=False):
    """The member leads its group in `term`; 0: it no longer does. For the leader hooks."""

    term: Term
    is_restored: bool = False
    """Whether it was started from its disk, and has not led since."""
    has_led: bool = False
    """Whether an entry of that term was executed before: this object replaces one that did."""


class CloseObject(ObjectMessage, frozen=True, array_like=True, tag=8, gc=False):
    """Forget the object, and what it is still to do. Not answered."""


class SetLimit(ObjectMessage, frozen=True, array_like=True, tag=10, gc=False):
    """As `OpenObject.limit_ms`, from now on: for who watches the executor. Not answered."""

    limit_ms: int


class TryClass(ObjectMessage, frozen=True, array_like=True, tag=9, gc=False):
    """Load a class, make an object and encode it, as a member would. Answered by `ClassTried`."""

    data_class: bytes
    is_fresh: bool = False
    """In an executor of its own, which has imported nothing yet."""
    state: bytes = b""
    """A snapshot's, to be loaded and encoded again; b"": a new object is made."""


# -- from an executor ----------------------------------------------------------------------------------------


class ObjectOpened(ObjectMessage, frozen=True, array_like=True, tag=20, gc=False):
    methods: tuple[str, ...]
    """Names of commands and queries, for people."""
    other_code: ErrorRecord | None = None
    """Why it executes nothing: the code here is not that of its class."""
    offer: bytes = b""
    """The class that is here instead, if the group may change to it by itself."""


class ObjectFailed(ObjectMessage, frozen=True, array_like=True, tag=21, gc=False):
    """The object is gone. With a `place`: executing that command of entry `index` ended in a way that may
    differ on other members."""

    error: ErrorRecord
    retry: bool
    """Whether opening it again may help."""
    index: Index = 0
    place: int = NOWHERE


class StateLoaded(ObjectMessage, frozen=True, array_like=True, tag=22, gc=False):
    index: Index
    revision: Revision
    due_ms: Millis = 0
    log_ms: Millis = 0
    effects: int = 0
    """As in `EntriesApplied`."""


class EntriesApplied(ObjectMessage, frozen=True, array_like=True, tag=23, gc=False):
    """Entries up to `index` are executed, and these outcomes are new since the previous answer."""

    index: Index
    revision: Revision
    outcomes: tuple[Outcomes, ...]
    opened: tuple[Opened, ...]
    trouble: ErrorRecord | None = None
    """Why the state cannot be encoded, if that was noticed."""
    events: tuple[GroupEvent, ...] = ()
    """All that are new since the previous answer, after `ReadEvents`."""
    due_ms: Millis = 0
    """When its first reminder is due, in log time; 0: there is none."""
    log_ms: Millis = 0
    """Log time; 0 where there is no reminder."""
    effects: int = 0
    """How many events wait for `on_effect` to be acknowledged."""


class QueriesAnswered(ObjectMessage, frozen=True, array_like=True, tag=24, gc=False):
    """Results of the next queries of that token, at least one. `revision`: of the state that they saw."""

    token: int
    values: tuple[bytes, ...]
    revision: Revision = 0


class CommandsChecked(ObjectMessage, frozen=True, array_like=True, tag=25, gc=False):
    token: int
    objections: dict[int, str]
    """By place: why a command cannot be executed."""


class ObjectDumped(ObjectMessage, frozen=True, array_like=True, tag=26, gc=False):
    index: Index
    revision: Revision
    state: bytes
    crc: int
    """`zlib.crc32` of the state."""
    in_memory: int = 0
    """As in `LoadState`."""


class StateCopied(ObjectMessage, frozen=True, array_like=True, tag=30, gc=False):
    token: int
    state: bytes
    error: ErrorRecord | None = None


class EventsRead(ObjectMessage, frozen=True, array_like=True, tag=31, gc=False):
    token: int
    events: tuple[GroupEvent, ...]
    until: Position
    """Up to here they are complete."""
    is_end: bool
    """Whether there are no more; new ones are told of by `EntriesApplied`."""
    oldest: Revision = 0
    """Not 0: events after the position were forgotten, those before this revision."""


class EffectsTold(ObjectMessage, frozen=True, array_like=True, tag=32, gc=False):
    token: int
    done: Position
    """Effects up to here are done, in this leadership; (0, 0): none."""
    is_failing: bool


class StatePointTaken(ObjectMessage, frozen=True, array_like=True, tag=33, gc=False):
    """The state after the entry `index`, to be compared with those of other members."""

    index: Index
    revision: Revision
    digest: bytes
    """As in `fleet.raft.comparison.StatePoint`."""
    error: ErrorRecord | None = None
    """Why there is none."""


class PartsShown(ObjectMessage, frozen=True, array_like=True, tag=34, gc=False):
    token: int
    index: Index
    revision: Revision
    parts: tuple[StatePart, ...]
    kept: tuple[Index, ...]
    """After which entries the state can be shown."""
    error: ErrorRecord | None = None


class DumpFailed(ObjectMessage, frozen=True, array_like=True, tag=27, gc=False):
    index: Index
    error: ErrorRecord


class ClassTried(ObjectMessage, frozen=True, array_like=True, tag=28, gc=False):
    error: ErrorRecord | None


class LogRecord(ObjectMessage, frozen=True, array_like=True, tag=29, gc=False):
    """A line that an executor logs, for the log of its node."""

    logger: str
    level: int
    text: str
    fields: dict[str, str | int] = {}
    """What it is about, as `fleet.actors.runtime.log_fields` finds it."""


ToExecutor: TypeAlias = (
    OpenObject
    | LoadState
    | ApplyEntries
    | AskQueries
    | CheckCommands
    | CopyState
    | ReadEvents
    | AskEffects
    | LeaveEvents
    | DumpObject
    | LeadsNow
    | CloseObject
    | TryClass
    | SetLimit
    | ShowParts
    | KeepState
)
FromExecutor: TypeAlias = (
    ObjectOpened
    | ObjectFailed
    | StateLoaded
    | EntriesApplied
    | QueriesAnswered
    | CommandsChecked
    | ObjectDumped
    | DumpFailed
    | StateCopied
    | EventsRead
    | EffectsTold
    | ClassTried
    | LogRecord
    | StatePointTaken
    | PartsShown
)
FOR_OBJECT: tuple[type[Any], ...] = (
    LoadState,
    ApplyEntries,
    AskQueries,
    CheckCommands,
    CopyState,
    ReadEvents,
    AskEffects,
    LeaveEvents,
    DumpObject,
    LeadsNow,
    ShowParts,
    KeepState,
)
"""What an open object takes."""
FROM_OBJECT: tuple[type[Any], ...] = (
    ObjectOpened,
    ObjectFailed,
    StateLoaded,
    EntriesApplied,
    QueriesAnswered,
    CommandsChecked,
    ObjectDumped,
    DumpFailed,
    StateCopied,
    EventsRead,
    EffectsTold,
    StatePointTaken,
    PartsShown,
)
"""What a member is told of its object."""

IN_MEMORY_ABOVE: Final = 256 << 10
"""A bigger state goes from process to process as a descriptor of memory, and is not copied."""

encode = msgspec.msgpack.Encoder().encode
decode_command = msgspec.msgpack.Decoder(ToExecutor).decode
decode_answer = msgspec.msgpack.Decoder(FromExecutor).decode
