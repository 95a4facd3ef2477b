"""Exactly-once commands: each client's session and the results it has not acknowledged (Raft thesis 6.3).

The table is replicated state: it changes only by applying entries, in log time, and travels in snapshots.
It is bounded in sessions and in bytes. All members forget the same sessions at the same index, but may forget
different results, since their encodings may differ in length: one leader may tell a repeated command its
result and another STALE; none executes it again. Weights, the measure of other limits, do not bound memory,
and weighing a small result takes as long as executing its command.
"""

from typing import Final

from msgspec import Struct

from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, SessionOpened
from fleet.raft.ids import Index, Millis, Revision, SessionId

EXECUTE: Final = "execute"
DONE: Final = "done"
EXPIRED: Final = "session expired"
OUT_OF_ORDER: Final = "out of order"
"""An earlier command of the session never arrived: this one is not executed. Send both again, in order."""
STALE: Final = "stale"
"""The client acknowledged the result or gave the command up, or the result was dropped to save space."""
RESULT_OVERHEAD: Final = 32
"""Bytes that a result takes besides its value."""


class Results(Struct, frozen=True, array_like=True, gc=False):
    """Of commands that were executed one after the other: both sequence numbers and revisions count on from
    those of the first."""

    first: int
    revision: Revision
    values: tuple[bytes, ...]

    def after(self, count: int) -> "Results":
        return Results(self.first + count, self.revision + count, self.values[count:])


class Session(Struct, array_like=True):
    """Invariant: results hold only sequence numbers in (acked, last_seq]."""

    id: SessionId
    client: str
    used_ms: Millis
    last_seq: int = 0
    """The highest sequence number that was executed."""
    acked: int = 0
    results: list[Results] = []
    """In the order of their sequence numbers; none is empty."""
    bytes: int = 0
    """In results."""

    def acknowledge(self, acked: int) -> int:
        """Drop the results up to `acked`; returns the bytes that this frees."""
        if acked <= self.acked:
            return 0
        self.acked = acked
        freed = 0
        while self.results and self.results[0].first <= acked:
            freed += self._drop(acked + 1 - self.results[0].first)
        return freed

    def shrink(self, bytes_max: int) -> int:
        """Drop the oldest results, but never the newest; returns the bytes that this frees."""
        freed = 0
        while self.bytes > bytes_max:
            oldest = self.results[0]
            droppable = oldest.values if len(self.results) > 1 else oldest.values[:-1]
            if not droppable:
                break
            count, excess = 0, self.bytes - bytes_max
            for count, value in enumerate(droppable, 1):
                excess -= RESULT_OVERHEAD + len(value)
                if excess <= 0:
                    break
            freed += self._drop(count)
        return freed

    def _drop(self, count: int) -> int:
        """The oldest `count` results, of those that were executed together."""
        oldest = self.results[0]
        freed = bytes_in(oldest.values[:count])
        if count < len(oldest.values):
            self.results[0] = oldest.after(count)
        else:
            del self.results[0]
        self.bytes -= freed
        return freed

    def result(self, seq: int) -> Results | None:
        """Of that command alone. None: it was not executed, or its result is forgotten."""
        for results in reversed(self.results):
            place = seq - results.first
            if place >= 0:
                value = results.values[place : place + 1]
                return Results(seq, results.revision + place, value) if value else None
        return None


def bytes_in(values: tuple[bytes, ...]) -> int:
    if len(values) == 1:
        return RESULT_OVERHEAD + len(values[0])
    return RESULT_OVERHEAD * len(values) + sum(map(len, values))


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

    def admit(self, commands: Commands) -> tuple[str, Session | None, int]:
        """EXECUTE, or why none of them is to be executed; with EXECUTE also how many of them, from the first
        on, are not: they were before, or the client gave them up."""
        session = self.sessions.get(commands.session)
        if session is None:
            return EXPIRED, None, 0
        self._touch(session)
        self.bytes -= session.acknowledge(commands.acked)
        expected = max(session.last_seq, session.acked) + 1
        if commands.first > expected:
            return OUT_OF_ORDER, session, 0
        return EXECUTE, session, min(expected - commands.first, len(commands.payloads))

    def record(self, session: Session, results: Results, config: GroupConfig) -> None:
        assert results.first > session.last_seq, f"{results.first} executed twice in session {session.id}"
        session.last_seq = results.first + len(results.values) - 1
        session.results.append(results)
        size = bytes_in(results.values)
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
