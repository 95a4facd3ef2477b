"""Exactly-once commands: each client's session and the results it has not acknowledged (Raft thesis 6.3).

The table is replicated state: it changes only by applying entries, in log time, and travels in snapshots.
It is bounded in sessions and in bytes; all members forget the same results at the same index.
"""

from typing import Final

from msgspec import Struct

from fleet.raft.config import GroupConfig
from fleet.raft.entries import Command, SessionOpened
from fleet.raft.ids import Index, Millis, SessionId

EXECUTE: Final = "execute"
DONE: Final = "done"
EXPIRED: Final = "session expired"
OUT_OF_ORDER: Final = "out of order"
"""An earlier command of the session never arrived: this one is not executed. Send both again, in order."""
STALE: Final = "stale"
"""The client acknowledged the result or gave the command up, or the result was dropped to save space."""
RESULT_OVERHEAD: Final = 32
"""Bytes that a result takes besides its value."""


class Result(Struct, frozen=True, array_like=True, gc=False):
    revision: Index
    value: bytes


class Session(Struct, array_like=True):
    """Invariant: results hold only sequence numbers in (acked, last_seq]."""

    id: SessionId
    client: str
    used_ms: Millis
    last_seq: int = 0
    """The highest sequence number that was executed."""
    acked: int = 0
    results: dict[int, Result] = {}
    """In the order of their sequence numbers."""
    bytes: int = 0
    """In results."""

    def acknowledge(self, acked: int) -> int:
        """Drop the results up to `acked`; returns the bytes that this frees."""
        if acked <= self.acked:
            return 0
        self.acked = acked
        results, freed = self.results, 0
        for seq in [seq for seq in results if seq <= acked]:
            freed += RESULT_OVERHEAD + len(results.pop(seq).value)
        self.bytes -= freed
        return freed

    def forget(self, seq: int) -> int:
        size = RESULT_OVERHEAD + len(self.results.pop(seq).value)
        self.bytes -= size
        return size

    def shrink(self, bytes_max: int) -> int:
        """Drop the oldest results, but never the newest; returns the bytes that this frees."""
        freed = 0
        while self.bytes > bytes_max and len(self.results) > 1:
            freed += self.forget(next(iter(self.results)))
        return freed


class SessionTable(Struct, array_like=True):
    """Sessions in the order of their last use, the longest unused first."""

    sessions: dict[SessionId, Session] = {}
    clients: dict[str, SessionId] = {}
    log_ms: Millis = 0
    """Log time: the largest stamp of any leader. It never goes back (S44)."""
    salt: int = 0
    """Distinguishes this group's sessions from those of an earlier group of the same name."""
    is_other_clock: bool = False
    """Whether the next stamp is the first of a new leader."""
    bytes: int = 0
    """In the results of all sessions."""

    def advance(self, wall_ms: Millis, ttl_ms: Millis, count_max: int) -> None:
        """Advance log time, and forget the sessions that expire. The difference between two leaders' clocks
        expires none: it may be years."""
        if self.is_other_clock:
            self.is_other_clock = False
            for session in self.sessions.values():
                session.used_ms += max(0, wall_ms - self.log_ms)
        self.log_ms = max(self.log_ms, wall_ms)
        while self.sessions:
            oldest = next(iter(self.sessions.values()))
            if oldest.used_ms + ttl_ms >= self.log_ms and len(self.sessions) <= count_max:
                return
            self.close(oldest.client)

    def open(self, index: Index, body: SessionOpened) -> SessionId:
        """The client's session; a repeated request finds the existing one."""
        known = self.clients.get(body.client)
        if known is None:
            known = self.salt << 32 | index
            self.clients[body.client] = known
            self.sessions[known] = Session(known, body.client, self.log_ms)
        self._touch(self.sessions[known])
        return known

    def close(self, client: str) -> None:
        session = self.clients.pop(client, None)
        if session is not None:
            self.bytes -= self.sessions.pop(session).bytes

    def _touch(self, session: Session) -> None:
        session.used_ms = self.log_ms
        del self.sessions[session.id]
        self.sessions[session.id] = session

    def admit(self, command: Command) -> tuple[str, Session | None, Result | None]:
        """EXECUTE, or why not to execute the command; DONE comes with the earlier result."""
        session = self.sessions.get(command.session)
        if session is None:
            return EXPIRED, None, None
        self._touch(session)
        self.bytes -= session.acknowledge(command.acked)
        result = session.results.get(command.seq)
        if result is not None:
            return DONE, session, result
        expected = max(session.last_seq, session.acked) + 1
        if command.seq < expected:
            return STALE, session, None
        if command.seq > expected:
            return OUT_OF_ORDER, session, None
        return EXECUTE, session, None

    def record(self, session: Session, seq: int, result: Result, config: GroupConfig) -> None:
        assert seq > session.last_seq, f"{seq} executed twice in session {session.id}"
        session.last_seq = seq
        session.results[seq] = result
        size = RESULT_OVERHEAD + len(result.value)
        session.bytes += size
        self.bytes += size
        if session.bytes > config.session_bytes_max:
            self.bytes -= session.shrink(config.session_bytes_max)
        if self.bytes > config.sessions_bytes_max:
            self._shrink(session, config.sessions_bytes_max)

    def _shrink(self, newest: Session, bytes_max: int) -> None:
        """Drop the results of the longest unused sessions: an eighth more than needed, to do it rarely."""
        for session in self.sessions.values():
            if self.bytes <= bytes_max - bytes_max // 8:
                return
            if session is not newest:
                self.bytes -= session.bytes
                session.bytes = 0
                session.results.clear()
