"""Applies committed entries to the data object, each command once, and returns the results."""

from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

import msgspec
from msgspec import Struct

from fleet.errors import FleetError
from fleet.interfaces import Context, Machine
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Command, ConfigChanged, Entry, Founded, Noop, SessionClosed, SessionOpened
from fleet.raft.ids import Index, SessionId
from fleet.raft.sessions import DONE, EXECUTE, Result, SessionTable


class Outcome(Struct, frozen=True, gc=False):
    """The outcome of a command: `status` is DONE or one of the refusals of `fleet.raft.sessions`."""

    session: SessionId
    seq: int
    status: str
    revision: Index
    value: bytes


class Opened(Struct, frozen=True, gc=False):
    client: str
    session: SessionId


class AppliedState(Struct, frozen=True, array_like=True):
    """The content of a snapshot."""

    format: int
    index: Index
    sessions: SessionTable
    config: GroupConfig
    machine: bytes


FORMAT = 1
JOURNAL_OVERHEAD = 256
"""Bytes that a command in the journal takes besides its payload."""
JOURNAL_BYTES_MIN = 1 << 20
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AppliedState).decode


@dataclass(slots=True)
class Applier:
    """The applied state: a data object, the sessions, and the index of the last applied entry.

    A command that fails may leave its object half changed. The object is then restored from `base` and the
    `journal` of commands executed since; every member does the same, so they stay equal. A failing command
    costs one load, the replay and one dump.
    """

    machine: Machine
    config: GroupConfig
    index: Index = 0
    sessions: SessionTable = field(default_factory=SessionTable)
    base: Callable[[], bytes | None] = field(default=lambda: None)
    """The object's bytes at the start of the journal; None: a new object."""
    base_at: Index = 0
    base_bytes: int = 0
    journal: list[tuple[Context, bytes]] = field(default_factory=list)
    journal_bytes: int = 0
    journal_bytes_max: int = JOURNAL_BYTES_MIN

    def apply(self, entry: Entry) -> Outcome | Opened | None:
        """Apply the next committed entry. An error in a command is its result; only `MemberMustHalt` is
        raised, for an error that may not happen on other members."""
        assert entry.index == self.index + 1, f"{entry.index} applied after {self.index}"
        self.index = entry.index
        body = entry.body
        if type(body) is Command:
            return self._command(entry.index, body)
        if type(body) is SessionOpened:
            self._advance(body.wall_ms)
            return Opened(body.client, self.sessions.open(entry.index, body))
        if type(body) is SessionClosed:
            self._advance(body.wall_ms)
            self.sessions.close(body.client)
        elif type(body) is ConfigChanged:
            self.config = body.config
        elif type(body) is Noop:
            self.sessions.is_other_clock = True
        elif type(body) is Founded:
            self.config = body.config
            self.sessions.salt = crc32(body.member.encode())
        return None

    def _advance(self, wall_ms: int) -> None:
        self.sessions.advance(wall_ms, self.config.session_ttl_ms, self.config.sessions_max)

    def _command(self, index: Index, command: Command) -> Outcome:
        self._advance(command.wall_ms)
        status, session, result = self.sessions.admit(command)
        if status == EXECUTE:
            assert session is not None
            context = Context(index, self.sessions.log_ms, session.id, command.seq, session.client)
            value, is_clean = self.machine.apply(context, command.payload)
            if is_clean:
                self.journal.append((context, command.payload))
                self.journal_bytes += JOURNAL_OVERHEAD + len(command.payload)
                if self.journal_bytes > self.journal_bytes_max:
                    self._shorten_journal()
            else:
                self.roll_back()
            result = Result(index, value)
            self.sessions.record(session, command.seq, result, self.config)
            status = DONE
        if result is None:
            return Outcome(command.session, command.seq, status, 0, b"")
        return Outcome(command.session, command.seq, status, result.revision, result.value)

    def _shorten_journal(self) -> None:
        """A journal that takes more than twice the object's size is replaced by its bytes."""
        try:
            self._rebase_here(self.machine.dump())
        except (FleetError, MemoryError):  # tried again when it has doubled
            self.journal_bytes_max = 2 * self.journal_bytes

    def _rebase_here(self, state: bytes) -> None:
        self.journal.clear()
        self.rebase(self.index, lambda: state, len(state))

    def query(self, payload: bytes) -> bytes:
        value, is_clean = self.machine.query(payload)
        if not is_clean:
            self.roll_back()
        return value

    def roll_back(self) -> None:
        """Undo changes that are not in the journal."""
        self.machine.load(self.base())
        for context, payload in self.journal:
            _, is_clean = self.machine.apply(context, payload)
            assert is_clean, f"the command at {context.index} succeeded before and fails in the replay"
        if self.journal:
            self._rebase_here(self.machine.dump())

    def bytes_about(self) -> int:
        """What encoding the object would give, as far as is known without doing it: its size when it was
        last encoded, and the commands since."""
        return self.base_bytes + self.journal_bytes - JOURNAL_OVERHEAD * len(self.journal)

    def dump(self) -> bytes:
        """A snapshot of the applied state, encoded. Raises StateNotEncodable."""
        state = AppliedState(FORMAT, self.index, self.sessions, self.config, self.machine.dump())
        return _encode(state)

    def rebase(self, index: Index, base: Callable[[], bytes | None], size: int) -> None:
        """Replace the base: `base` returns the object as of `index`, about `size` bytes. The journal up to
        there is dropped."""
        if index >= self.base_at:
            self.journal = [(context, payload) for context, payload in self.journal if context.index > index]
            self.journal_bytes = sum(JOURNAL_OVERHEAD + len(payload) for _, payload in self.journal)
            self.journal_bytes_max = max(JOURNAL_BYTES_MIN, 2 * size)
            self.base, self.base_at, self.base_bytes = base, index, size

    def restore(self, data: bytes, base: Callable[[], bytes | None] | None = None) -> None:
        """Replace the applied state by one that `dump` returned."""
        state = _decode(data)
        assert state.format == FORMAT, f"snapshot format {state.format}, this is {FORMAT}"
        self.machine.load(state.machine)
        self.index, self.sessions, self.config = state.index, state.sessions, state.config
        self.journal.clear()
        kept = state.machine
        self.base_at = 0
        self.rebase(state.index, base if base is not None else lambda: kept, len(kept))


def machine_state(data: bytes) -> bytes:
    """The object's bytes inside a snapshot."""
    return _decode(data).machine
