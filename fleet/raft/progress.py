"""A leader's view of one peer, and how fast to send to it (etcd's probe / replicate / snapshot)."""

from dataclasses import dataclass, field
from typing import Final

from fleet.raft.append_window import AppendWindow
from fleet.raft.entries import SnapshotMeta
from fleet.raft.ids import Index, Millis, Place

PROBE: Final = 0
"""The last matching index is not known: one append at a time, until one is accepted."""
REPLICATE: Final = 1
"""Appends are pipelined; `next` runs ahead of what is acknowledged."""
SNAPSHOT: Final = 2
"""The entries that the peer needs are compacted: chunks of the snapshot are sent, one at a time."""
CHUNK_BYTES_MIN: Final = 16 << 10
CHUNK_MS: Final[Millis] = 100
"""Chunks grow while one more does not keep a link busy for half of this, and shrink when it does for longer:
heartbeats of other groups wait behind them."""
NO_LEASE: Final[Millis] = -(1 << 62)
NOT_OFFERED: Final[Millis] = -1
NO_STAMP: Final = 0


@dataclass(slots=True)
class Progress:
    """Invariant: match < next. `match` is proven and durable there, and never falls in a term (S06)."""

    next: Index
    acked_at: Millis
    """When this leader last heard from the peer in this term."""
    has_answered: bool = False
    """Since this leader was elected or added the peer; until then `acked_at` only gives it time to answer."""
    match: Index = 0
    matched_at: Millis = 0
    """When `match` last advanced."""
    state: int = PROBE
    window: AppendWindow = field(default_factory=AppendWindow)
    """The appends with entries that are under way, while `state` is REPLICATE."""
    probing: bool = False
    """A probe is under way; no second one before the next heartbeat."""
    replicating_since: Millis = 0
    """Refusals of appends sent before this are handled already: reordered appends must not multiply."""
    round: int = 0
    """The newest read round that the peer confirmed."""
    lease_from: Millis = NO_LEASE
    """When the newest acknowledged append left."""
    life: int = 0
    """The peer's run, as it last reported."""
    commit_told: Index = 0
    """The commit index that the newest append carried."""
    sent_at: Millis = NO_LEASE
    """When that left."""
    snapshot: SnapshotMeta | None = None
    offset: int = 0
    chunk_sent_at: Millis = 0
    chunk_bytes: int = CHUNK_BYTES_MIN
    """The next chunk has at most so many."""
    chunk_ms_min: Millis = 0
    """The shortest time until the reply to a chunk: about the round trip. 0: none is known."""
    slept_at: Millis = NOT_OFFERED
    """When the newest append left to which the peer answered that it sleeps."""
    halted: tuple[Index, Place] | None = None
    """The command at which the peer has halted, as it last reported."""
    halted_with: Index = 0
    """The highest entry that the peer had on its disk when it reported that."""
    reported_at: Millis = NOT_OFFERED
    """When the newest append left whose acceptance reported whether the peer has halted."""
    followed_at: Millis = NO_LEASE
    """When the newest append left that the peer accepted, whatever leases ask for."""
    waiting_stamp: int = NO_STAMP
    waiting_since: Millis = 0
    """The stamp of a reply of the peer, and when that arrived: not proven yet. See `freshness.py`."""
    proven_stamp: int = NO_STAMP
    """This leader led when the peer's clock showed that."""

    def accepted(self, index: Index, took_ms: Millis = 0) -> None:
        """The peer's log is equal and durable up to `index`, by a reply that took so long."""
        if index > self.match:
            self.match, self.matched_at = index, self.acked_at
        if self.next <= index:
            self.next = index + 1
        if self.window.appends:
            self.window.accepted(index, took_ms)
        if self.state == PROBE:
            self.state, self.probing = REPLICATE, False
            self.replicating_since = self.acked_at
            self.next = self.match + 1
        elif self.state == SNAPSHOT and self.snapshot is not None and index >= self.snapshot.index:
            if self.halted is None:  # else its log is complete, and it waits for the state
                self.become_probe(self.match + 1)

    def rejected(self, refused: Index, retry_at: Index, sent_at: Millis) -> bool:
        """The peer refused the append after `refused`. False: an old reply that says nothing new."""
        if self.state == SNAPSHOT or refused <= self.match:
            return False
        if self.state == REPLICATE and sent_at < self.replicating_since:
            return False
        if self.state == PROBE and refused != self.next - 1:
            return False
        self.become_probe(max(self.match + 1, min(refused, retry_at)))
        return True

    def has_lost_its_tail(self, hint: Index, sent_at: Millis) -> bool:
        """Whether a peer refuses entries that it acknowledged: the refused append left after the
        acknowledgement had arrived (S36)."""
        return hint < self.match and sent_at > self.matched_at

    def lower(self, hint: Index) -> None:
        """The peer lost entries that it acknowledged. Continue from what it still has."""
        self.match = hint
        self.become_probe(hint + 1)

    def sent(self, last: Index, size: int = 0) -> None:
        """An append ending with `last`, with entries of so many bytes, left."""
        if self.state == REPLICATE:
            if last >= self.next:
                self.next = last + 1
                self.window.sent(last, size)
        else:
            self.probing = True

    def become_probe(self, next_index: Index) -> None:
        assert self.match < next_index
        self.state, self.next, self.probing = PROBE, next_index, False
        self.window.clear()
        self.snapshot = None

    def become_snapshot(self, meta: SnapshotMeta) -> None:
        self.state, self.snapshot, self.offset, self.chunk_sent_at = SNAPSHOT, meta, 0, 0
        self.chunk_bytes, self.chunk_ms_min = CHUNK_BYTES_MIN, 0
        self.window.clear()

    def chunk_took(self, took_ms: Millis, bytes_max: int) -> None:
        """The reply to the newest chunk has arrived after so long."""
        quickest = min(took_ms, self.chunk_ms_min) if self.chunk_ms_min else took_ms
        self.chunk_ms_min = max(1, quickest)
        if took_ms - self.chunk_ms_min <= CHUNK_MS // 2:
            self.chunk_bytes = min(2 * self.chunk_bytes, max(bytes_max, CHUNK_BYTES_MIN))
        elif took_ms - self.chunk_ms_min > CHUNK_MS:
            self.chunk_bytes = max(self.chunk_bytes // 2, CHUNK_BYTES_MIN)

    def heard(self, now: Millis) -> None:
        self.acked_at, self.has_answered = now, True

    def confirmed(self, round: int, sent_at: Millis) -> None:
        """The peer followed this leader when it received the message sent at `sent_at`."""
        self.round = max(self.round, round)
        self.lease_from = max(self.lease_from, sent_at)

    def reported(self, halted: tuple[Index, Place] | None, index: Index, sent_at: Millis) -> None:
        """Whether and where the peer had halted when it accepted the append of `sent_at`, with everything up
        to `index` on its disk. A late report does not count: it may have been taken back since. A denial
        always does: the next reply repeats a report."""
        is_late, is_same = sent_at < self.reported_at, halted == self.halted
        self.reported_at = max(self.reported_at, sent_at)
        if halted is None:
            self.halted, self.halted_with = None, 0
        elif not is_late:
            self.halted, self.halted_with = halted, max(index, self.halted_with) if is_same else index

    def is_responsive(self, now: Millis, within: Millis) -> bool:
        return now - self.acked_at < within

    def answers(self, now: Millis, within: Millis) -> bool:
        """As `is_responsive`, but False for a peer that this leader has not heard yet."""
        return self.has_answered and self.is_responsive(now, within)

    def room(self, appends_max: int) -> int:
        """How many bytes of entries may be sent now."""
        if self.state == REPLICATE:
            return self.window.room(appends_max)
        return self.window.bytes_max if self.state == PROBE and not self.probing else 0
