"""The state of one member, and the basic operations that its handlers use."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from fleet.raft.comparison import Comparison, StatePoint
from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    Body,
    ClassSwitched,
    Commands,
    Entry,
    Founded,
    Halt,
    HardState,
    Skipped,
    SkipProposed,
    SnapshotMeta,
    count_of,
    size_of,
)
from fleet.raft.ids import Index, MemberId, Millis, Place, Term
from fleet.raft.lease import ReadRound
from fleet.raft.log import Log
from fleet.raft.membership import Membership
from fleet.raft.messages import PeerMessage
from fleet.raft.progress import NO_LEASE, NOT_OFFERED, Progress
from fleet.raft.ready import Answer, CommittedConflict, PersistRequest, Ready, Retain, SaveRequest
from fleet.raft.wall import stamp

SKIPS: Final = frozenset((Skipped, SkipProposed))
SPECIAL: Final = SKIPS | {ClassSwitched}
NEVER: Final[Millis] = 1 << 62
LAST_INDEX: Final[Index] = 1 << 62
"""Beyond every log."""


@dataclass(slots=True)
class Follower:
    """Also every learner: a member that does not vote never campaigns."""


@dataclass(slots=True)
class Candidate:
    pre: bool
    """Only asking (pre-vote): the term is still the old one."""
    transfer: bool = False
    granted: set[MemberId] = field(default_factory=set)


@dataclass(slots=True)
class Handover:
    """A transfer of the leadership under way."""

    token: int | None
    """None: a halted leader hands over by itself."""
    target: MemberId
    deadline: Millis
    sent: bool = False


@dataclass(slots=True)
class Evasion:
    """A halted leader's attempts to hand over to a member that has not halted."""

    place: tuple[Index, Place]
    not_before: Millis
    tried: dict[MemberId, int] = field(default_factory=dict)
    """How often each target was tried."""


@dataclass(slots=True)
class Leader:
    first_index: Index
    """The entry this leader appended first: what is committed from here on is of its own term."""
    progress: dict[MemberId, Progress]
    next_heartbeat: Millis
    elected_at: Millis
    active_at: Millis
    """When the newest request arrived; at first, when it was elected."""
    offered_at: Millis = NOT_OFFERED
    """Since when every heartbeat has offered the followers to sleep."""
    round: int = 0
    reads: deque[ReadRound] = field(default_factory=deque)
    waiting: dict[Index, int] = field(default_factory=dict)
    """Tokens of changes by the index that will answer them."""
    handover: Handover | None = None
    evasion: Evasion | None = None
    uncommitted: int = 0
    """Commands, and other entries, that this leader appended and that are not committed yet. What it found
    in its log does not count: after a restart nobody knows which of it is committed."""
    uncommitted_bytes: int = 0
    comparison: Comparison | None = None
    is_undecided: bool = False
    """States differed at the last comparison, and none was that of a majority."""
    agreed: dict[MemberId, Index] = field(default_factory=dict)
    """Up to where each member's state was last seen to be that of the majority."""
    lease_since: Millis = NO_LEASE
    lease_index: Index = 0
    """Only what left after this time and was accepted up to this index prolongs the lease."""
    lease_void: dict[MemberId, int] = field(default_factory=dict)
    """Targets of a TimeoutNow of this term, with the round whose confirmation makes it harmless. There is no
    lease while there are any (S18).

    TimeoutNow may arrive at any time and start an election that no voter refuses. It is harmless once the
    target has confirmed, in this term, a round that began when the transfer was given up: the target had not
    campaigned by then, or its term would be later; in the same run it ignores a TimeoutNow of an earlier
    round; and a later run ignores one for an earlier run.
    """


Role: TypeAlias = Follower | Candidate | Leader


@dataclass(slots=True)
class Incoming:
    """A snapshot on its way here, chunk by chunk; another leader may go on with the same one."""

    meta: SnapshotMeta
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class PendingWrite:
    seq: int
    at: Millis
    hard: HardState | None
    last_index: Index
    last_term: Term
    snapshot: SnapshotMeta | None


@dataclass(slots=True)
class CoreState:
    """One member's consensus state.

    Invariants: `vote` belongs to `term`; nothing that depends on a write leaves before its `Persisted`;
    `writes` are in order and complete in order.
    """

    id: MemberId
    config: GroupConfig
    rng: random.Random
    term: Term = 0
    vote: MemberId | None = None
    log: Log = field(default_factory=Log)
    membership: Membership = field(default_factory=Membership)
    role: Role = field(default_factory=Follower)
    leader: MemberId | None = None
    life: int = 0
    heard_round: tuple[Term, int] = (0, 0)
    """The latest round of the leader of that term that was heard of in this life."""
    heard_at: Millis = -NEVER
    """When a leader of the current term was last heard; for one election timeout, elections are refused."""
    now: Millis = 0
    wall_ms: Millis = 0
    """The node's wall clock as the driver last gave it; 0: never."""
    clocks: dict[MemberId, Millis] = field(default_factory=dict)
    """Each peer's wall clock minus this member's `now`, as of its last reply."""
    may_sleep: bool = False
    """Whether the driver watches the peers' nodes and steps `NodeSilent`."""
    asleep: bool = False
    """Neither heartbeats nor an election timer run: see `sleeping.py`."""
    grace_until: Millis = -NEVER
    """A member that woke in doubt of its leader refuses elections until then, so that the leader can
    answer."""
    started_at: Millis = 0
    fresh_at: Millis = -NEVER
    """A follower's state, as handed out, is that of its group at this time or later; see `freshness.py`."""
    proof: tuple[Millis, Index] | None = None
    """The same, once the entries up to that index are handed out."""
    read_at: Millis = -NEVER
    """When the driver was last asked for a read with an age limit. Asleep, this member could prove no age."""
    tries: int = 0
    """Campaigns since a leader was last heard."""
    deadline: Millis = NEVER
    """Step a Tick when this is reached."""
    snapshot: SnapshotMeta | None = None
    taking: SnapshotMeta | None = None
    """The snapshot that the driver was asked for; size and crc are not known yet."""
    incoming: Incoming | None = None
    bytes_since_snapshot: int = 0
    snapshot_failures: int = 0
    """In a row."""
    snapshot_not_before: Millis = -NEVER
    handed_over: Handover | None = None
    """A transfer of this former leader, to be answered when the new one shows up."""
    removed: bool = False
    committed_before: Index = 0
    """The commit index before the restart; entries up to it are applied when a leader confirms them."""
    conflict: CommittedConflict | None = None
    """Set when this member and its leader committed different histories; it then takes no further part."""
    restarted_with: Index = 0
    """The last entry on its disk when it started: earlier lives may have executed what is up to there, except
    for `never_executed`."""
    never_executed: frozenset[tuple[Index, Place]] = frozenset()
    halt: Halt | None = None
    """The command that this member does not execute: its executor halts there, or it is to be skipped."""
    away_since: Millis = NEVER
    """Since when it has no executor; NEVER: it has one."""
    skips: list[Entry] = field(default_factory=list)
    """The entries of the log that skip a command or propose to."""
    switches: list[Entry] = field(default_factory=list)
    """Those that change the class: see `switching.py`."""
    first_class: bytes = b""
    """That of entry 1, if this member has seen it."""
    held_after: Index = LAST_INDEX
    """Entries after this one are not handed out: see `halting.py`."""
    noted: Index = 0
    """The core has reacted to the committed entries up to here, also to those that are held back: leases rely
    on settings that are in force once they are committed."""
    unconfirmed: bool = False
    """Since it started, or lost an entry of `skips`, this member has not seen an entry of the current term
    committed: a leader may still count on it not to execute a command."""
    catching_up_to: Index = 0
    """What the leader had committed when this member came back: commands may have been skipped meanwhile."""
    points: dict[Index, StatePoint] = field(default_factory=dict)
    """Where this member's state was taken a digest of: see `comparing.py`."""
    replaced_at: Index = 0
    """The last snapshot of a leader that replaced this member's state in this life."""
    durable_hard: HardState = HardState()
    seq: int = 0
    writes: deque[PendingWrite] = field(default_factory=deque)
    ready: Ready = field(default_factory=Ready)
    unwritten: list[Entry] = field(default_factory=list)
    installing: tuple[SnapshotMeta, bytes] | None = None
    saving: tuple[SnapshotMeta, bytes] | None = None
    """This member's own snapshot, to be handed to the store."""
    storing: tuple[SnapshotMeta, Index] | None = None
    """The snapshot that the store is writing aside, and the index up to which the log is cut with it."""

    # -- questions ---------------------------------------------------------------------------------

    @property
    def is_leader(self) -> bool:
        return type(self.role) is Leader

    @property
    def is_voter(self) -> bool:
        return self.id in self.membership.current.voters

    @property
    def durable_snapshot(self) -> Index:
        """A restart begins with a snapshot that is at least as new; 0 while one is being written."""
        if self.storing is not None or self.is_installing:
            return 0
        return self.snapshot.index if self.snapshot is not None else 0

    @property
    def is_installing(self) -> bool:
        """Whether the leader's snapshot is not on the disk yet."""
        return self.installing is not None or any(write.snapshot is not None for write in self.writes)

    @property
    def may_lead(self) -> bool:
        """A voter, or one whose leaving is not known to be committed: if its leader lost that entry, no
        other member may have a log that wins (Raft thesis 4.2.2). Its own vote does not count."""
        return self.is_voter or self.membership.votes_since(self.log.commit, self.id)

    @property
    def committed(self) -> Index:
        """No entry up to here is ever overwritten."""
        return max(self.log.commit, self.committed_before)

    @property
    def hard(self) -> HardState:
        return HardState(self.term, self.vote, self.committed)

    @property
    def promise_is_durable(self) -> bool:
        return (self.durable_hard.term, self.durable_hard.vote) == (self.term, self.vote)

    def storage_hangs(self) -> bool:
        return bool(self.writes) and self.now - self.writes[0].at >= self.config.storage_timeout_ms

    def stamp_ms(self, now: Millis, wall_ms: Millis) -> Millis:
        """The time to stamp a command with, where this node's wall clock shows `wall_ms`. `now`: as in
        `step`; a sleeping member was not stepped for long."""
        role = self.role
        voters = [voter for voter in self.membership.current.voters if voter != self.id]
        others = [self.clocks[voter] + now for voter in voters if voter in self.clocks]
        is_fresh = type(role) is Leader and now - role.elected_at < self.config.election_ms
        return stamp(wall_ms, others, may_wait=is_fresh and len(others) < len(voters))

    # -- what handlers do --------------------------------------------------------------------------

    def send(self, message: PeerMessage) -> None:
        """A message that promises nothing of this member's own disk."""
        self.ready.send_now.append(message)

    def send_durably(self, message: PeerMessage) -> None:
        """A promise: it leaves when everything up to here is on disk."""
        self.ready.send_after.append(message)

    def answer(self, token: int, error: str | None, index: Index = 0) -> None:
        self.ready.answers.append(Answer(token, error, index, self.leader))

    def append(self, body: Body) -> Index:
        """A leader's own entry."""
        entry = Entry(self.term, self.log.last_index + 1, body)
        self.log.append(entry)
        self._note_appended((entry,))
        assert type(self.role) is Leader
        self.role.uncommitted += count_of(body)
        self.role.uncommitted_bytes += size_of(entry)
        return entry.index

    def merge(self, entries: Sequence[Entry]) -> None:
        """A follower's entries from its leader."""
        last = self.log.last_index
        new = self.log.merge(entries)
        if not new:
            return
        if new[0].index <= last:
            self.membership.truncate(new[0].index)
            self.unwritten = [entry for entry in self.unwritten if entry.index < new[0].index]
            kept = [entry for entry in self.skips if entry.index < new[0].index]
            self.unconfirmed |= len(kept) < len(self.skips)
            self.skips = kept
            self.switches = [entry for entry in self.switches if entry.index < new[0].index]
        self._note_appended(new)

    def _note_appended(self, entries: Sequence[Entry]) -> None:
        others = [entry for entry in entries if type(entry.body) is not Commands]
        if others:
            self.membership.append(others)
            self.note_special(others)
            if entries[0].index == 1 and isinstance(entries[0].body, Founded):
                self.config, self.first_class = entries[0].body.config, entries[0].body.data_class
        self.unwritten.extend(entries)
        for entry in entries:
            self.bytes_since_snapshot += size_of(entry)

    def note_special(self, entries: Sequence[Entry]) -> None:
        special = [entry for entry in entries if type(entry.body) in SPECIAL]
        if special:
            self.skips += [entry for entry in special if type(entry.body) in SKIPS]
            self.switches += [entry for entry in special if type(entry.body) is ClassSwitched]

    def note_clock(self, peer: MemberId, wall_ms: Millis) -> None:
        if wall_ms:
            self.clocks[peer] = wall_ms - self.now

    # -- writing -----------------------------------------------------------------------------------

    def finish_write(self) -> None:
        """Gather everything that must be durable into one write."""
        last = self._last_hard() if self.writes else self.durable_hard
        is_promised = self.term == last.term and self.vote == last.vote
        if is_promised and not self.unwritten and self.installing is None:
            return
        hard = None if is_promised else self.hard
        snapshot, data = self.installing or (None, b"")
        self.seq += 1
        log = self.log
        self.writes.append(PendingWrite(self.seq, self.now, hard, log.last_index, log.last_term, snapshot))
        self.ready.write = PersistRequest(
            seq=self.seq,
            hard=hard,
            entries=tuple(self.unwritten),
            commit=self.committed,
            snapshot=snapshot,
            snapshot_data=data,
            reset=self.installing is not None,
        )
        self.unwritten = []
        self.installing = None

    def finish_save(self) -> None:
        """Hand this member's own snapshot to the store, aside from the writes: no promise depends on it.

        Not before the entries that it stands for are durable: after a crash it would precede the entries
        that these have replaced.
        """
        assert self.saving is not None
        if self.log.durable < self.saving[0].index:
            return
        (meta, data), self.saving = self.saving, None
        config = self.config
        keep_after = self.log.before_tail(meta.index, config.log_tail, config.log_tail_bytes)
        self.storing = meta, keep_after
        retain = Retain(config.keep_entries, config.keep_ms, self.log.time_at(meta.index))
        self.ready.save = SaveRequest(meta, data, keep_after, retain)

    def _last_hard(self) -> HardState:
        for write in reversed(self.writes):
            if write.hard is not None:
                return write.hard
        return self.durable_hard
