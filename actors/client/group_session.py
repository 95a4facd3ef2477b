"""One client's session with one group: the calls under way, and where the leader may be."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from thespian.actors import ActorAddress

from fleet.actors.messages.client import ClientReply, ClientRequest, Refusal
from fleet.actors.messages.operator import DISK_FULL
from fleet.errors import (
    DeadlineExceededBeforeSend,
    FleetError,
    NoSuchGroup,
    OutcomeUnknown,
    SessionExpired,
    Unavailable,
    WrongCluster,
)
from fleet.raft.config import CARRIED_BYTES_MAX
from fleet.raft.ids import Index, Millis, SessionId
from fleet.raft.sessions import DONE, EXPIRED, OUT_OF_ORDER

WINDOW_MAX = 1024
"""Commands under way in one group."""
BATCH_BYTES_MAX = 1 << 20
PAYLOAD_BYTES_MAX = CARRIED_BYTES_MAX
"""Arguments of one call. With a batch beside it, it still fits a frame of a link."""
REQUESTS_MAX = 3
"""Requests under way in one group; calls that arrive meanwhile share the next one."""
SILENCE_MS: Millis = 500
"""A node that is silent for so long is given up, and another one is asked."""
PAUSE_MS: tuple[Millis, Millis] = (5, 200)
"""Delay between attempts at nodes that refused."""
NEVER: Millis = 1 << 62
LINGER_MS: Millis = 30_000
"""How long the outcome of a command is still asked for after its caller got OutcomeUnknown."""


@dataclass(slots=True)
class ClientCall:
    """One command or query. `finish` gets the result's bytes and revision, or the error."""

    group: str
    is_query: bool
    payload: bytes
    deadline: Millis
    finish: Callable[["ClientCall", bytes | None, Index, FleetError | None], None]
    tag: Any = None
    sends: tuple[int, ...] = ()
    """Numbers of the requests that carried it, without those that were refused: while there is one, the
    command may have been executed."""
    is_hopeless: bool = False
    """Permanently refused, but an earlier send may have been executed: it is not sent again, and its
    outcome is waited for."""
    batch: "Batch | None" = None
    gave_up: bool = False
    """Whether the caller got OutcomeUnknown."""


@dataclass(slots=True)
class Batch:
    """The calls of one request, which is under way while one of them is."""

    remaining: int


@dataclass(slots=True)
class GroupSession:
    """Commands are sent and executed in the order of their calls.

    Invariant: `inflight` is ordered by sequence number, and all of it belongs to `session_id`.
    """

    group: str
    client: str
    cluster: int = 0
    """The uid of the client's cluster; 0 before its first answer."""
    session_id: SessionId = 0
    next_seq: int = 1
    next_query: int = 1
    queue: deque[ClientCall] = field(default_factory=deque)
    inflight: dict[int, ClientCall] = field(default_factory=dict)
    query_queue: deque[ClientCall] = field(default_factory=deque)
    queries: dict[int, ClientCall] = field(default_factory=dict)
    requests: int = 0
    """Under way."""
    number: int = 0
    """Of the last request."""
    opening: bool = False
    target: ActorAddress | None = None
    asked_at: Millis = 0
    """When the oldest unanswered request left, moved on by every sign of life."""
    hint: str = ""
    """Where the leader was last said to be."""
    pause: Millis = 0
    resend_at: Millis | None = None
    nowhere: set[str] = field(default_factory=set)
    """Nodes that know no such group."""
    nowhere_since: Millis = 0
    last_error: FleetError | None = None
    expires_at: Millis = NEVER
    """No call's time is over before this."""

    # -- state -------------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        return bool(self.inflight or self.queries or self.queue or self.query_queue)

    @property
    def has_asked(self) -> bool:
        return bool(self.inflight or self.queries or self.opening)

    @property
    def acked(self) -> int:
        """All sequence numbers up to this are settled."""
        return next(iter(self.inflight)) - 1 if self.inflight else self.next_seq - 1

    def due_at(self) -> Millis:
        """The earliest time at which something has to be done without a message."""
        if self.resend_at is not None:
            return min(self.expires_at, self.resend_at)
        return min(self.expires_at, self.asked_at + SILENCE_MS) if self.has_asked else self.expires_at

    def add(self, call: ClientCall) -> None:
        self.expires_at = min(self.expires_at, call.deadline)
        (self.query_queue if call.is_query else self.queue).append(call)

    # -- sending -----------------------------------------------------------------------------------

    def next_request(self, now: Millis, reply_to: ActorAddress) -> ClientRequest | None:
        """The request that may leave now; None for nothing."""
        if self.resend_at is not None or self.requests >= REQUESTS_MAX:
            return None
        opens = bool(self.queue) and not self.session_id and not self.opening
        commands = self._take_commands() if self.session_id else ()
        queries = self._take_queries()
        if not (opens or commands or queries):
            return None
        if not self.has_asked or self.asked_at == 0:
            self.asked_at = now
        self.opening = self.opening or opens
        return self._request(reply_to, opens, commands, queries)

    def _request(
        self,
        reply_to: ActorAddress,
        opens: bool,
        commands: tuple[tuple[int, ClientCall], ...],
        queries: tuple[tuple[int, ClientCall], ...],
    ) -> ClientRequest:
        batch = Batch(len(commands) + len(queries))
        self.requests += bool(batch.remaining)
        self.number += 1
        for _, call in (*commands, *queries):
            call.batch = batch
            call.sends += (self.number,)
        for seq, call in commands:
            self.inflight[seq] = call
        for query, call in queries:
            self.queries[query] = call
        return ClientRequest(
            self.group,
            self.client,
            reply_to,
            self.session_id,
            self.acked,
            opens,
            tuple((seq, call.payload) for seq, call in commands),
            tuple((query, call.payload) for query, call in queries),
            self.number,
            cluster=self.cluster,
        )

    def _take_commands(self) -> tuple[tuple[int, ClientCall], ...]:
        taken: list[tuple[int, ClientCall]] = []
        size = 0
        while self.queue and len(self.inflight) + len(taken) < WINDOW_MAX and size < BATCH_BYTES_MAX:
            call = self.queue.popleft()
            size += len(call.payload)
            taken.append((self.next_seq, call))
            self.next_seq += 1
        return tuple(taken)

    def _take_queries(self) -> tuple[tuple[int, ClientCall], ...]:
        taken: list[tuple[int, ClientCall]] = []
        size = 0
        while self.query_queue and len(taken) < WINDOW_MAX and size < BATCH_BYTES_MAX:
            call = self.query_queue.popleft()
            size += len(call.payload)
            taken.append((self.next_query, call))
            self.next_query += 1
        return tuple(taken)

    def whole_requests(self, now: Millis, reply_to: ActorAddress) -> Iterator[ClientRequest]:
        """Send everything that is under way again, in order: to another node, or after a refusal."""
        self.requests = 0
        self.resend_at = None
        self.asked_at = now
        opens = self.opening or (bool(self.queue) and not self.session_id)
        self.opening = opens
        hopeful = {seq: call for seq, call in self.inflight.items() if not call.is_hopeless}
        commands, queries = _batches(hopeful), _batches(self.queries)
        for place in range(max(len(commands), len(queries), opens)):
            some_commands = commands[place] if place < len(commands) else ()
            some_queries = queries[place] if place < len(queries) else ()
            yield self._request(reply_to, opens and not place, some_commands, some_queries)

    def closing_request(self, reply_to: ActorAddress) -> ClientRequest:
        self.number += 1
        return ClientRequest(
            self.group,
            self.client,
            reply_to,
            self.session_id,
            0,
            False,
            (),
            (),
            self.number,
            True,
            self.cluster,
        )

    # -- replies -----------------------------------------------------------------------------------

    def on_reply(self, m: ClientReply, now: Millis) -> None:
        """Settle the calls that were answered. After temporary refusals, try again."""
        self.asked_at = now
        if m.session and not self.session_id:
            self.session_id, self.next_seq = m.session, 1
        if m.session:
            self.opening = False
        for session, seq, status, revision, value in m.results:
            if session == self.session_id and seq in self.inflight:
                self._on_result(seq, status, revision, value, now)
        for query, value in m.answers:
            call = self.queries.pop(query, None)
            if call is not None:
                self._settle(call, value, 0, None)
        if m.session or m.results or m.answers:
            self.pause = 0
            self.nowhere.clear()
            self.last_error = None
        for refusal in m.refusals:
            self._on_refusal(refusal, now)

    def _on_result(self, seq: int, status: str, revision: Index, value: bytes, now: Millis) -> None:
        if status == OUT_OF_ORDER:
            self._try_again(now)
        elif status == EXPIRED:
            self._expire(seq)
        else:
            call = self.inflight.pop(seq)
            if status == DONE:
                self._settle(call, value, revision, None)
            else:
                self._settle(call, None, 0, OutcomeUnknown("its result was forgotten", group=self.group))

    def _expire(self, seq: int) -> None:
        """The group forgot the session. Commands sent for the first time were not executed and continue in a
        new session. Commands sent before, and not refused, may have been executed.

        Commands are executed in their order: if the first one that expired was not, none after it was.
        """
        calls = list(self.inflight.items())
        newest = max(self.inflight[seq].sends, default=0)
        is_new = len(self.inflight[seq].sends) <= 1
        self.inflight.clear()
        self.session_id, self.opening = 0, False
        fresh = []
        for number, call in calls:
            is_fresh = is_new or all(send >= newest for send in call.sends)
            if number >= seq and is_fresh and not call.gave_up:
                self._leave_batch(call)
                call.sends, call.is_hopeless = (), False
                fresh.append(call)
            else:
                error = SessionExpired("the session expired on the group", group=self.group)
                self._settle(call, None, 0, error)
        self.queue.extendleft(reversed(fresh))

    def _on_refusal(self, m: Refusal, now: Millis) -> None:
        error = m.error.to_error()
        if not (self.last_error is not None and self.last_error.what == DISK_FULL):
            self.last_error = error  # a full disk says more than whatever follows from it
        refused = [] if m.lost or m.session != self.session_id else [s for s in m.seqs if s in self.inflight]
        for seq in refused:
            call = self.inflight[seq]
            call.sends = tuple(number for number in call.sends if number != m.number)
        if m.lost or isinstance(error, Unavailable | NoSuchGroup | WrongCluster):
            self._try_again(now)
            return
        for query in m.queries:
            answered = self.queries.pop(query, None)
            if answered is not None:
                self._settle(answered, None, 0, error)
        if m.opens:
            self._try_again(now)
        for seq in refused:
            self._on_refused_command(seq, error, now)

    def _on_refused_command(self, seq: int, error: FleetError, now: Millis) -> None:
        """NotDone if every send was refused; otherwise a member may have executed it."""
        call = self.inflight[seq]
        if not call.sends:
            del self.inflight[seq]
            self._settle(call, None, 0, error)
        elif error.retry:
            self._try_again(now)
        else:
            call.is_hopeless = True
            call.deadline = min(call.deadline, now + SILENCE_MS)
            self.expires_at = min(self.expires_at, call.deadline)

    def _try_again(self, now: Millis) -> None:
        if self.resend_at is None:
            self.resend_at = now + self.pause
            self.pause = min(PAUSE_MS[1], max(PAUSE_MS[0], 2 * self.pause))

    def _settle(
        self, call: ClientCall, value: bytes | None, revision: Index, error: FleetError | None
    ) -> None:
        self._leave_batch(call)
        call.finish(call, value, revision, error)

    def _leave_batch(self, call: ClientCall) -> None:
        batch, call.batch = call.batch, None
        if batch is not None:
            batch.remaining -= 1
            if not batch.remaining:
                self.requests = max(0, self.requests - 1)

    # -- time --------------------------------------------------------------------------------------

    def expire_calls(self, now: Millis) -> None:
        """Settle the calls whose time is over with what is known for certain."""
        if now < self.expires_at:
            return
        for queue in (self.queue, self.query_queue):
            if any(call.deadline <= now for call in queue):
                late = [call for call in queue if call.deadline <= now]
                kept = [call for call in queue if call.deadline > now]
                queue.clear()
                queue.extend(kept)
                for call in late:
                    self._settle(call, None, 0, self._not_done())
        for query in self._late(self.queries, now):
            self._settle(self.queries.pop(query), None, 0, self._not_done())
        for seq in self._late(self.inflight, now):
            call = self.inflight[seq]
            if not call.sends:
                self._settle(self.inflight.pop(seq), None, 0, self._not_done())
            elif call.gave_up or call.is_hopeless:
                self._settle(self.inflight.pop(seq), None, 0, self._unknown())
            else:
                call.gave_up, call.deadline = True, now + LINGER_MS
                call.finish(call, None, 0, self._unknown())
        calls = (*self.queue, *self.query_queue, *self.queries.values(), *self.inflight.values())
        self.expires_at = min((call.deadline for call in calls), default=NEVER)

    def _late(self, calls: dict[int, ClientCall], now: Millis) -> list[int]:
        return [number for number, call in calls.items() if call.deadline <= now]

    def _not_done(self) -> FleetError:
        if isinstance(self.last_error, NoSuchGroup):
            return self.last_error
        if self.has_asked or self.last_error is not None:
            reason = str(self.last_error) if self.last_error is not None else "no node answered"
            return Unavailable("no answer in time", group=self.group, reason=reason)
        return DeadlineExceededBeforeSend("no answer in time", group=self.group)

    def _unknown(self) -> FleetError:
        reason = str(self.last_error) if self.last_error is not None else None
        return OutcomeUnknown("sent, and not answered in time", group=self.group, reason=reason)

    def fail_all(self, error: FleetError) -> None:
        """Fail every call. Commands that were sent and not refused may still have been executed."""
        refused = [call for call in self.inflight.values() if not call.sends]
        unsent: Iterable[ClientCall] = (*self.queue, *self.query_queue, *self.queries.values(), *refused)
        sent = [call for call in self.inflight.values() if call.sends]
        self.queue.clear()
        self.query_queue.clear()
        self.queries.clear()
        self.inflight.clear()
        self.opening, self.requests, self.resend_at = False, 0, None
        for call in unsent:
            self._settle(call, None, 0, error)
        for call in sent:
            unknown = OutcomeUnknown("sent, and not answered", group=self.group, reason=str(error))
            self._settle(call, None, 0, unknown)


def _batches(calls: dict[int, ClientCall]) -> list[tuple[tuple[int, ClientCall], ...]]:
    """Split `calls`, in order, into parts that fit a frame of a link."""
    batches: list[list[tuple[int, ClientCall]]] = []
    size = BATCH_BYTES_MAX
    for number, call in calls.items():
        if size >= BATCH_BYTES_MAX:
            batches.append([])
            size = 0
        size += len(call.payload)
        batches[-1].append((number, call))
    return [tuple(batch) for batch in batches]
