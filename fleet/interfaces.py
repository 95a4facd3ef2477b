"""The seams between the pure parts and the world: clock, store, writer, forked dump and data object."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct, field

from fleet.errors import FleetError
from fleet.raft.entries import Entry, HardState, SnapshotMeta
from fleet.raft.group_events import GroupEvent
from fleet.raft.ids import GroupName, Index, Millis, Revision, SessionId
from fleet.raft.ready import Retain
from fleet.raft.reminders import ReminderTable


class Clock(Protocol):
    def now_ms(self) -> Millis:
        """Milliseconds since some fixed moment; never goes back."""

    def wall_ms(self) -> Millis:
        """Milliseconds since the epoch by this host's wall clock; it may jump."""


class StoreIdentity(Struct, frozen=True):
    """The owner of a directory. `incarnation` is drawn once, when the directory is first used."""

    cluster: str
    node: str
    incarnation: str


class GroupRecord(Struct, frozen=True):
    """A member's place in a store. `number` is never reused, not even after the group was dropped."""

    number: int
    name: GroupName
    spec: bytes
    """What the member needs to start; opaque to the store."""


class SnapshotWrite(Struct, frozen=True):
    meta: SnapshotMeta
    data: bytes
    """All `meta.size` bytes."""


class Base(Struct, frozen=True, array_like=True):
    """A state from which the entries after it are kept."""

    generation: int = 0
    """Of its bytes in the store; 0: there are none, since it is the group's beginning."""
    meta: SnapshotMeta | None = None
    at_ms: Millis = 0
    """As in `Retain`; 0: not known."""

    @property
    def index(self) -> Index:
        return self.meta.index if self.meta is not None else 0

    @property
    def data_class(self) -> bytes:
        return self.meta.data_class if self.meta is not None else b""


class Write(Struct, frozen=True):
    """One durable step of one group; atomic.

    In this order: the snapshot replaces the group's snapshot; entries up to `keep_after` are deleted
    (0: none; with `reset`: all of them); `entries`, contiguous, are written, and any entries of the log
    after the last of them are deleted; the hard state is replaced.
    """

    group: int
    seq: int
    """The submitter's own count, given back with the completion."""
    hard: HardState | None = None
    entries: tuple[Entry, ...] = ()
    snapshot: SnapshotWrite | None = None
    keep_after: Index = 0
    reset: bool = False
    is_aside: bool = False
    """A snapshot that no other write waits for: it completes after the group's earlier writes, and later
    ones may overtake it. When it fails, the group's other writes go on."""
    commit: Index = 0
    """The commit index as of this write. It is kept with the last of `entries`, and is no promise."""
    retain: Retain | None = None
    """With a snapshot: what of the entries up to `keep_after`, and of the former snapshot, is kept where a
    restart does not read it. None: nothing."""


class Loaded(Struct, frozen=True):
    """What a restarted member finds: its hard state, the snapshot's description and the log after it."""

    hard: HardState
    snapshot: SnapshotMeta | None
    entries: tuple[Entry, ...]
    """Contiguous. May begin before `snapshot.index + 1` (the kept tail), never after it."""


class Durable(Protocol):
    """A node's store. Everything here blocks until done and may be called from one thread at a time,
    except `write`, which may run in a second thread beside reads.

    Raises `fleet.errors.StorageFault` (the disk failed or is full: nothing of this call was done) and
    `fleet.errors.Damaged` (what was read is not what was written; names group and place).
    """

    identity: StoreIdentity
    version: int
    """The newest version of the fleet of which something may be in it."""

    def groups(self) -> list[GroupRecord]: ...

    def create_groups(
        self, groups: Sequence[tuple[GroupName, bytes]], meta: Mapping[str, bytes]
    ) -> list[GroupRecord]:
        """Create groups from their names and specs. They and the node's records `meta` are durable on return,
        or nothing is. A name may have several records at a time: of a removed group and of a new one."""

    def create_group(self, name: GroupName, spec: bytes) -> GroupRecord:
        """Create one group, without records of the node."""

    def drop_group(self, number: int, meta: Mapping[str, bytes]) -> None:
        """Drop the group, durably on return together with the node's records `meta`, and free its space.
        Unknown numbers are ignored."""

    def load(self, number: int) -> Loaded: ...

    def read_snapshot(self, number: int, index: Index, offset: int, count: int) -> bytes | None:
        """Up to `count` bytes of the group's snapshot at `index`; None when it is no longer kept."""

    def history(self, number: int) -> tuple[Base, ...]:
        """The states from which all entries of the group are kept, the oldest first; the last of them is what
        a restart begins with."""

    def read_base(self, number: int, generation: int, offset: int, count: int) -> bytes | None:
        """Up to `count` bytes of one of them; None when it is no longer kept."""

    def read_entries(self, number: int, first: Index, bytes_max: int) -> tuple[Entry, ...]:
        """Stored entries from `first` on, about so many bytes of them; one at least, if there is one."""

    def write(self, batch: Sequence[Write]) -> None:
        """Make the whole batch durable in one synced transaction, or raise and leave nothing of it."""

    def renew(self, incarnation: str, meta: Mapping[str, bytes]) -> None:
        """Give the directory a new incarnation, with the same contents and the node's records `meta`. Durable
        on return."""

    def raise_version(self, version: int) -> None:
        """Let builds that do not speak this version of the fleet refuse the directory. Durable on return."""

    def get_meta(self, key: str) -> bytes | None: ...

    def put_meta(self, key: str, value: bytes) -> None:
        """Small records of the node itself, such as the nodes it knows. Durable on return."""

    def close(self) -> None: ...


class PutMeta(Struct, frozen=True):
    """`Durable.put_meta`, off the event loop."""

    key: str
    value: bytes


class CreateGroups(Struct, frozen=True):
    """`Durable.create_groups`, off the event loop."""

    groups: tuple[tuple[GroupName, bytes], ...]
    meta: dict[str, bytes] = field(default_factory=dict)


class DropGroup(Struct, frozen=True):
    """`Durable.drop_group`, off the event loop."""

    group: int
    meta: dict[str, bytes] = field(default_factory=dict)


class Renew(Struct, frozen=True):
    """`Durable.renew`, off the event loop."""

    incarnation: str
    meta: dict[str, bytes]


class RaiseVersion(Struct, frozen=True):
    """`Durable.raise_version`, off the event loop."""

    version: int


Chore: TypeAlias = PutMeta | CreateGroups | DropGroup | Renew | RaiseVersion


class ChoreDone(Struct, frozen=True):
    """`error` is None, or why it was not done."""

    chore: Chore
    error: Exception | None = None
    records: tuple[GroupRecord, ...] = ()
    """Of the groups that were created."""


class StoreWriter(Protocol):
    """Writes off the event loop. Writes of one group complete in the order of their submission; so do its
    writes with `is_aside`, separately."""

    def submit(self, write: Write) -> None: ...

    def do(self, chore: Chore) -> None:
        """Runs after everything that was submitted before it."""

    def fileno(self) -> int:
        """Readable while `completed` has results."""

    def completed(self) -> "list[Completion | ChoreDone]": ...

    def close(self) -> None:
        """Returns when everything that was submitted is done."""


class Completion(Struct, frozen=True):
    """`error` is None, or why nothing of the batch was written."""

    writes: Iterable[Write]
    error: Exception | None = None


class Dump(Protocol):
    """A state that is being encoded off the event loop. Call `take` or `cancel`, once."""

    def fileno(self) -> int:
        """Readable when `take` need not wait."""

    def is_done(self) -> bool:
        """Whether `take` need not wait. Ask before taking: a descriptor may be reported late, or twice."""

    def take(self) -> tuple[bytes, int]:
        """The encoded state, or a view of it, and its `zlib.crc32`. Raises what encoding raised, or OSError
        if the encoder died."""

    @property
    def memory(self) -> int | None:
        """The descriptor of the memory that holds what was taken, behind one byte, until `release`."""

    def release(self) -> None:
        """Close `memory`. What was taken stays readable."""

    def cancel(self) -> None: ...


Fork: TypeAlias = Callable[[Callable[[], bytes]], Dump]
"""Begins to encode the function's result as of now. Raises OSError."""


class Context(Struct, frozen=True, gc=False):
    """The deterministic world of one command: the same on every member."""

    revision: Revision
    now_ms: int
    """Stamped by the leader; never less than in an earlier command."""
    session: SessionId
    seq: int
    client: str

    def next(self) -> "Context":
        """Of the command that follows it in the same session and entry."""
        return Context(self.revision + 1, self.now_ms, self.session, self.seq + 1, self.client)


RESULTS_BYTES_MAX = 8 << 20
"""With so many bytes of results, commands or queries that are executed together are interrupted, so that some
are answered."""


class MemberMustHalt(FleetError):
    """The command ended in a way that may differ on other members. No result may be recorded for it: the
    member stops before a wrong result becomes part of its state. `error`, `where` as in CommandFailed.
    """

    hint = "check this member's memory and the line named; the other members go on"


class Executor(Protocol):
    """A replicated data object behind encoded calls. Results are bytes that only the caller reads."""

    @property
    def keep_ms(self) -> Millis:
        """How long the key of a command is kept where the command does not say."""

    @property
    def reminders(self) -> ReminderTable:
        """Which the commands set that succeed."""

    @property
    def events_max(self) -> int:
        """How many events the group keeps."""

    @property
    def events_bytes_max(self) -> int: ...

    @property
    def wants_effects(self) -> bool:
        """Whether events are kept until `on_effect` was told of them."""

    @property
    def weight(self) -> int:
        """Of the result of the last `apply` that was to weigh it: see `fleet.objects.weights`."""

    effects_room: tuple[int, int]
    """How many more may wait for that, and of which weight; set before each `apply`."""

    def take_events(self) -> Sequence[GroupEvent]:
        """What the commands of the last `apply` have emitted, in their order; only of those that succeeded.
        Once."""

    def apply(
        self,
        context: Context,
        payloads: Sequence[bytes],
        bytes_max: int = RESULTS_BYTES_MAX,
        is_due: bool = False,
        weigh: bool = False,
    ) -> tuple[list[bytes], bool]:
        """Execute commands of one session in order, up to the first whose result makes more than `bytes_max`
        of all results; `context` is that of the first. `is_due`: they are reminders, not commands. `weigh`:
        there is one, and its result gets a `weight`.

        Returns their results, and whether the object is intact. False: the last of these commands failed and
        may have left the object half changed; the caller restores it by `load` and `replay`, and continues
        with the rest.
        """

    def replay(self, context: Context, payloads: Sequence[bytes], is_due: bool = False) -> None:
        """Execute again, after `load`, commands that left the object intact."""

    def check(self, payload: bytes) -> str | None:
        """Why the command cannot be executed (not decodable, or not fitting its method), or None. A leader
        asks before it proposes: a command in the log is executed on every member or halts it."""

    def query(self, payloads: Sequence[bytes]) -> tuple[list[bytes], bool]:
        """Execute queries. Returns the results of the first of them, and whether the object is intact, as
        `apply` does; if so, there is one result at least, and no more than about `RESULTS_BYTES_MAX`."""

    def dump(self, version: int = 0) -> bytes:
        """The state, encoded; as that of an older `version` of its class, if that is not 0."""

    def trouble(self) -> FleetError | None:
        """Why the state cannot be dumped, if that was noticed. A leader that sees it proposes no further
        command."""

    def load(self, state: bytes | None) -> None:
        """Replace the object by what `dump` returned; None: by a new one."""
