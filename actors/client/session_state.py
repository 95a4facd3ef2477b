"""What a client knows of its session with one group."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from thespian.actors import ActorAddress

from fleet.actors.client.calls import ClientCall
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.session_events import Effect, SettleLate
from fleet.errors import FleetError, TooLarge
from fleet.objects.outcomes import CallEnd, CallOutcome, Failed
from fleet.raft.config import CARRIED_BYTES_MAX
from fleet.raft.ids import Millis, Revision, SessionId

PAYLOAD_BYTES_MAX = CARRIED_BYTES_MAX
"""Arguments of one call. With a batch beside it, it still fits a frame of a link."""
SILENCE_MS: Millis = 500
"""A node that is silent for so long is given up, and another one is asked."""
PAUSE_MS: tuple[Millis, Millis] = (5, 200)
"""Delay between attempts at nodes that refused."""
NEVER: Millis = 1 << 62
READS_FROM: Final = 1 << 48
"""Queries that any member may answer are numbered from here on."""


@dataclass(slots=True)
class MemberReads:
    """Invariant: `under_way` is ordered by number."""

    queue: deque[ClientCall] = field(default_factory=deque)
    under_way: dict[int, ClientCall] = field(default_factory=dict)
    requests: int = 0
    """Under way."""
    next: int = READS_FROM
    address: str = ""
    """Of the node that is asked."""
    asked_at: Millis = 0
    """When the oldest unanswered request left, moved on by every sign of life."""
    members: tuple[str, ...] = ()
    """Addresses of nodes that hold members, as a member said last."""
    helpless: set[str] = field(default_factory=set)
    """Nodes that did not help since one did."""
    look_at: Millis = 0
    """When a nearer node is looked for, where a far one is asked."""
    looks: bool = False
    """Whether one is: the next request asks where members are."""


@dataclass(slots=True)
class SessionState:
    """Commands are sent and executed in the order of their calls.

    Invariants: `inflight` is ordered by sequence number, and all of it belongs to `session_id`; within a
    session a number names one command for ever.
    """

    group: str
    client: str
    me: ActorAddress
    """Where replies are wanted."""
    endpoints: Endpoints
    session_id: SessionId = 0
    expired: set[SessionId] = field(default_factory=set)
    """Earlier ones, which the group has forgotten."""
    next_seq: int = 1
    next_query: int = 1
    queue: deque[ClientCall] = field(default_factory=deque)
    inflight: dict[int, ClientCall] = field(default_factory=dict)
    query_queue: deque[ClientCall] = field(default_factory=deque)
    queries: dict[int, ClientCall] = field(default_factory=dict)
    reads: MemberReads = field(default_factory=MemberReads)
    """Queries that any member may answer."""
    seen: Revision = 0
    """The latest of which this client was told; no query that any member may answer goes back behind it."""
    under_way: int = 0
    """Requests of which a call is not settled."""
    number: int = 0
    """Of the last request."""
    opening: bool = False
    target: ActorAddress | None = None
    asked_at: Millis = 0
    """When the oldest unanswered request left, moved on by every sign of life."""
    hint: str = ""
    """Where the leader was last said to be."""
    followed: set[str] = field(default_factory=set)
    """Nodes that were asked at once since the last pause, as others said that they lead."""
    pause: Millis = 0
    resend_at: Millis | None = None
    nowhere: set[str] = field(default_factory=set)
    """Nodes that know no such group."""
    nowhere_since: Millis = 0
    last_error: FleetError | None = None
    expires_at: Millis = NEVER
    """No call's time is over before this."""
    settled: list[tuple[ClientCall, CallOutcome]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    """Both of this step."""

    # -- questions ---------------------------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        return bool(self.inflight or self.queries or self.has_queued or self.reads.under_way)

    @property
    def has_queued(self) -> bool:
        return bool(self.queue or self.query_queue or self.reads.queue)

    @property
    def has_asked(self) -> bool:
        return bool(self.inflight or self.queries or self.opening)

    @property
    def acked(self) -> int:
        """All sequence numbers up to this are settled."""
        return next(iter(self.inflight)) - 1 if self.inflight else self.next_seq - 1

    def due_at(self) -> Millis:
        """The earliest time at which something has to be done without a message."""
        due = self.expires_at
        if self.reads.under_way:
            due = min(due, self.reads.asked_at + SILENCE_MS)
        if self.resend_at is not None:
            return min(due, self.resend_at)
        return min(due, self.asked_at + SILENCE_MS) if self.has_asked else due

    # -- changes -----------------------------------------------------------------------------------

    def add(self, calls: Iterable[ClientCall]) -> None:
        """Take calls, which leave at the end of the turn. The one input that is no event: it may
        come many times a turn."""
        for call in calls:
            if len(call.payload) > PAYLOAD_BYTES_MAX:
                what = f"arguments of {len(call.payload)} bytes; {PAYLOAD_BYTES_MAX} is the most"
                self.settled.append((call, Failed(TooLarge(what, group=call.group))))
                continue
            if call.deadline < self.expires_at:
                self.expires_at = call.deadline
            if call.bound is not None:
                self.reads.queue.append(call)
            else:
                (self.query_queue if call.is_query else self.queue).append(call)

    def settle(self, call: ClientCall, end: CallEnd) -> None:
        """The end of a call. Whoever was told that it is unsettled is told late."""
        self.leave_batch(call)
        if call.is_unsettled:
            self.effects.append(SettleLate(call, end))
        else:
            self.settled.append((call, end))

    def leave_batch(self, call: ClientCall) -> None:
        batch, call.batch = call.batch, None
        if batch is not None:
            batch.remaining -= 1
            if not batch.remaining and batch.is_of_reads:
                self.reads.requests -= 1
            elif not batch.remaining:
                self.under_way = max(0, self.under_way - 1)

    def try_again(self, now: Millis) -> None:
        if self.resend_at is None:
            self.resend_at = now + self.pause
            self.pause = min(PAUSE_MS[1], max(PAUSE_MS[0], 2 * self.pause))
