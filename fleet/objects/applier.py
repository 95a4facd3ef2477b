"""Applies committed entries to the data object, each command once, and returns the results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from zlib import crc32

import msgspec
from msgspec import Struct

from fleet.errors import FleetError
from fleet.interfaces import RESULTS_BYTES_MAX, Context, Executor
from fleet.objects.payload import encode_failed
from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    ClassSwitched,
    Commands,
    ConfigChanged,
    Entry,
    Founded,
    MemberAdded,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
    Noop,
    SessionClosed,
    SessionOpened,
)
from fleet.raft.ids import Index, Revision, SessionId
from fleet.raft.sessions import DONE, EXECUTE, STALE, Results, Session, SessionTable


class Outcomes(Struct, frozen=True, array_like=True, gc=False):
    """The outcomes of consecutive commands of a session, from `first` on.

    `status` is DONE or one of the refusals of `fleet.raft.sessions`. With DONE, `revision` is that of the
    first command, and each further one has the next; a refused command has b"" for a value.
    """

    session: SessionId
    first: int
    status: str
    revision: Revision
    values: tuple[bytes, ...]


class Opened(Struct, frozen=True, array_like=True, gc=False):
    client: str
    session: SessionId


Tell: TypeAlias = Callable[[Outcomes, bool], None]
"""Called with outcomes, and whether the commands were executed now: else they were before, or are refused."""


class AppliedState(Struct, frozen=True, array_like=True):
    """The content of a snapshot."""

    format: int
    index: Index
    revision: Revision
    sessions: SessionTable
    config: GroupConfig
    data: bytes
    """The dumped data object."""


class Executed(Struct, frozen=True, gc=False):
    """Commands in the journal: all of them left the object intact."""

    index: Index
    context: Context
    """Of the first."""
    payloads: tuple[bytes, ...]


FORMAT = 1
MEMBERS_CHANGED = (MemberAdded, MemberPromoted, MemberDemoted, MemberRemoved)
JOURNAL_OVERHEAD = 256
"""Bytes that a command in the journal takes besides its payload."""
JOURNAL_BYTES_MIN = 1 << 20
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AppliedState).decode


@dataclass(slots=True)
class Applier:
    """The applied state: a data object, the sessions, the index of the last applied entry, and the revision.

    A command that fails may leave its object half changed. The object is then restored from `base` and the
    `journal` of commands executed since; every member does the same, so they stay equal. A failing command
    costs one load, the replay and one dump.
    """

    executor: Executor
    config: GroupConfig
    index: Index = 0
    revision: Revision = 0
    sessions: SessionTable = field(default_factory=SessionTable)
    base: Callable[[], bytes | None] = field(default=lambda: None)
    """The object's bytes at the start of the journal; None: a new object."""
    base_at: Index = 0
    base_bytes: int = 0
    journal: list[Executed] = field(default_factory=list)
    journal_bytes: int = 0
    journal_bytes_max: int = JOURNAL_BYTES_MIN
    skipped: dict[tuple[Index, int], str] = field(default_factory=dict)
    """Commands that fail without being executed, by their entry and their place in it, and why: they ended
    the executors of all voters, or an operator passed them (S71)."""

    def apply(self, entry: Entry, tell: Tell = lambda outcomes, is_new: None) -> Opened | None:
        """Apply the next committed entry. `tell` gets the outcomes of its commands, in their order, whenever
        there are many bytes of them, and at the end. An error in a command is its result; only
        `MemberMustHalt` is raised, for an error that may not happen on other members."""
        assert entry.index == self.index + 1, f"{entry.index} applied after {self.index}"
        self.index = entry.index
        body = entry.body
        if type(body) is Commands:
            self._commands(body, tell)
        elif type(body) is SessionOpened:
            self._advance(body.wall_ms)
            return Opened(body.client, self.sessions.open(entry.index, body))
        elif type(body) is SessionClosed:
            self._advance(body.wall_ms)
            self.sessions.close(body.client)
        elif type(body) is ClassSwitched:
            self.revision += 1
        elif type(body) is ConfigChanged:
            self.config = body.config
            self.revision += 1
        elif type(body) in MEMBERS_CHANGED:
            self.revision += 1
        elif type(body) is Noop:
            self.sessions.is_other_clock = True
        elif type(body) is Founded:
            self.config = body.config
            self.sessions.salt = crc32(body.member.encode())
        return None

    def _advance(self, wall_ms: int) -> None:
        self.sessions.advance(wall_ms, self.config.session_ttl_ms, self.config.sessions_max)

    # -- commands ----------------------------------------------------------------------------------

    def _commands(self, body: Commands, tell: Tell) -> None:
        self._advance(body.wall_ms)
        status, session, known = self.sessions.admit(body)
        if status != EXECUTE:
            tell(Outcomes(body.session, body.first, status, 0, (b"",) * len(body.payloads)), False)
            return
        assert session is not None
        for place in range(known):
            tell(_known(session, body.first + place), False)
        done = known
        while done < len(body.payloads):
            until = self._next_skipped(done, len(body.payloads)) if self.skipped else len(body.payloads)
            if until == done:
                done += self._skip(session, body.first + done, self.skipped[self.index, done], tell)
            else:
                done += self._execute(session, body.first + done, body.payloads[done:until], tell)
        if self.journal_bytes > self.journal_bytes_max:
            self._shorten_journal()

    def _next_skipped(self, start: int, end: int) -> int:
        """The place of the first command from `start` on that is to be skipped, else `end`."""
        return min(
            (place for index, place in self.skipped if index == self.index and place >= start), default=end
        )

    def _skip(self, session: Session, seq: int, why: str, tell: Tell) -> int:
        """Record the command as failed. It takes a revision as any other that fails."""
        self.revision += 1
        results = Results(seq, self.revision, (encode_failed("command", "Skipped", why, ""),))
        self.sessions.record(session, results, self.config)
        tell(Outcomes(session.id, seq, DONE, results.revision, results.values), True)
        return 1

    def _execute(self, session: Session, first: int, payloads: tuple[bytes, ...], tell: Tell) -> int:
        """Execute the first of these, until there are many bytes of results; returns how many. The number is
        the same on every member, however often one of them has to restore its object meanwhile."""
        start, size = self.revision, 0
        values: list[bytes] = []
        while size <= RESULTS_BYTES_MAX and (rest := payloads[len(values) :]):
            place = first + len(values)
            context = Context(self.revision + 1, self.sessions.log_ms, session.id, place, session.client)
            some, is_clean = self.executor.apply(context, rest, RESULTS_BYTES_MAX - size)
            assert some
            self.revision += len(some)
            size += sum(map(len, some))
            values += some
            self._keep(context, rest[: len(some) if is_clean else len(some) - 1])
            if not is_clean:
                self.roll_back()
        results = Results(first, start + 1, tuple(values))
        self.sessions.record(session, results, self.config)
        tell(Outcomes(session.id, first, DONE, results.revision, results.values), True)
        return len(values)

    def query(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Execute queries; returns the results of the first of them, at least one."""
        values, is_clean = self.executor.query(payloads)
        if is_clean:
            return values
        self.roll_back()
        return values or self._query_apart(payloads)

    def _query_apart(self, payloads: Sequence[bytes]) -> list[bytes]:
        """One of them changes the object."""
        values: list[bytes] = []
        size = 0
        for payload in payloads:
            (value,), is_clean = self.executor.query((payload,))
            values.append(value)
            if not is_clean:
                self.roll_back()
            size += len(value)
            if size > RESULTS_BYTES_MAX:
                break
        return values

    # -- the journal -------------------------------------------------------------------------------

    def _keep(self, context: Context, payloads: tuple[bytes, ...]) -> None:
        if payloads:
            self.journal.append(Executed(self.index, context, payloads))
            self.journal_bytes += JOURNAL_OVERHEAD * len(payloads) + sum(map(len, payloads))

    def _shorten_journal(self) -> None:
        """A journal that takes more than twice the object's size is replaced by its bytes."""
        try:
            self._rebase_here(self.executor.dump())
        except (FleetError, MemoryError):  # tried again when it has doubled
            self.journal_bytes_max = 2 * self.journal_bytes

    def _rebase_here(self, state: bytes) -> None:
        self.journal.clear()
        self.rebase(self.index, lambda: state, len(state))

    def roll_back(self) -> None:
        """Undo changes that are not in the journal."""
        self.executor.load(self.base())
        for executed in self.journal:
            self.executor.replay(executed.context, executed.payloads)
        if self.journal:
            self._rebase_here(self.executor.dump())

    def bytes_about(self) -> int:
        """What encoding the object would give, as far as is known without doing it: its size when it was
        last encoded, and the commands since."""
        commands = sum(len(executed.payloads) for executed in self.journal)
        return self.base_bytes + self.journal_bytes - JOURNAL_OVERHEAD * commands

    def dump(self, version: int = 0) -> bytes:
        """A snapshot of the applied state, encoded; for an older `version` of its class, if that is not 0.
        Raises StateNotEncodable."""
        data = self.executor.dump(version)
        return _encode(AppliedState(FORMAT, self.index, self.revision, self.sessions, self.config, data))

    def rebase(self, index: Index, base: Callable[[], bytes | None], size: int) -> None:
        """Replace the base: `base` returns the object as of `index`, about `size` bytes. The journal up to
        there is dropped."""
        if index >= self.base_at:
            self.journal = [executed for executed in self.journal if executed.index > index]
            kept = [payload for executed in self.journal for payload in executed.payloads]
            self.journal_bytes = JOURNAL_OVERHEAD * len(kept) + sum(map(len, kept))
            self.journal_bytes_max = max(JOURNAL_BYTES_MIN, 2 * size)
            self.base, self.base_at, self.base_bytes = base, index, size

    def restore(self, data: bytes, base: Callable[[], bytes | None] | None = None) -> None:
        """Replace the applied state by one that `dump` returned."""
        state = _decode(data)
        assert state.format == FORMAT, f"snapshot format {state.format}, this is {FORMAT}"
        kept = state.data or None  # nothing, where no code that fits has ever run
        self.executor.load(kept)
        self.index, self.revision = state.index, state.revision
        self.sessions, self.config = state.sessions, state.config
        self.journal.clear()
        self.base_at = 0
        self.rebase(state.index, base if base is not None else lambda: kept, len(state.data))


def _known(session: Session, seq: int) -> Outcomes:
    """Of a command that is not executed again."""
    result = session.result(seq)
    if result is None:
        return Outcomes(session.id, seq, STALE, 0, (b"",))
    return Outcomes(session.id, seq, DONE, result.revision, result.values)


def dumped_object(data: bytes) -> bytes:
    """The object's bytes inside a snapshot."""
    return _decode(data).data
