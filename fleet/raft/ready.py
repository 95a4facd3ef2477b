"""What the core asks its driver to do, as data. The order of the fields is binding."""

from typing import Final

from msgspec import Struct

from fleet.raft.entries import Entry, HardState, SnapshotMeta
from fleet.raft.ids import Index, MemberId, Millis, Term
from fleet.raft.messages import InstallSnapshot, PeerMessage

# Why a request was refused. All but LOST mean that it was not executed and never will be.
NOT_LEADER: Final = "not leader"
TRANSFERRING: Final = "leadership in transfer"
OVERLOADED: Final = "overloaded"
CHANGE_IN_PROGRESS: Final = "change in progress"
WOULD_BREAK_QUORUM: Final = "would break quorum"
CANNOT_REMOVE_LEADER: Final = "cannot remove leader"
NOT_MEMBER: Final = "not a member"
TARGET_UNRESPONSIVE: Final = "target unresponsive"
TARGET_HALTED: Final = "target halted"
NOT_HALTED: Final = "not halted"
LOST: Final = "leadership lost"
"""It was appended, but the leadership was lost before it was committed; it may still be committed."""


class Answer(Struct, frozen=True, gc=False):
    """The end of a request. `error` is None or one of the reasons above."""

    token: int
    error: str | None
    index: Index = 0
    """Where the change took effect."""
    leader: MemberId | None = None
    """The leader to ask instead, if known."""


class BecameLeader(Struct, frozen=True, gc=False):
    term: Term


class SteppedDown(Struct, frozen=True, gc=False):
    term: Term
    leader: MemberId | None


class MembersChanged(Struct, frozen=True, gc=False):
    """A membership change was committed."""

    change: str
    member: MemberId
    index: Index


class Restored(Struct, frozen=True, gc=False):
    """The state was replaced by the leader's snapshot."""

    index: Index


class TailLost(Struct, frozen=True, gc=False):
    """A member no longer has entries that it acknowledged: its disk lost synced data. They are sent again."""

    member: MemberId
    acknowledged: Index
    has: Index


class ConfigAdopted(Struct, frozen=True, gc=False):
    """A change of the configuration was committed."""


class PeerSilent(Struct, frozen=True, gc=False):
    """A member has not answered this leader for an election timeout."""

    member: MemberId


class StateDiffered(Struct, frozen=True, gc=False):
    """The state of a member after the entry `index` is not that of a majority. This member's own: halt it. On
    a leader also another's."""

    member: MemberId
    index: Index
    agreed: Index
    """Where it was last seen to be equal; 0: not known."""


class StatesUndecided(Struct, frozen=True, gc=False):
    """States after the entry `index` differ, and none is that of a majority; 0: one is again."""

    index: Index


class CommittedConflict(Struct, frozen=True, gc=False):
    """Committed entries of this member are not those of its group's leader: its directory, or those of
    a majority, were replaced by older copies (S84)."""

    leader: MemberId
    committed: Index
    """The highest log index that is committed here."""
    committed_term: Term
    at: Index
    """Where the histories differ, or where the leader's log ends."""
    leader_term: Term
    """Of the leader's entry at `at`."""


Hook = (
    BecameLeader
    | SteppedDown
    | MembersChanged
    | Restored
    | ConfigAdopted
    | TailLost
    | PeerSilent
    | StateDiffered
    | StatesUndecided
)


class PersistRequest(Struct, frozen=True):
    """One durable write: see `fleet.interfaces.Write`, which adds the group."""

    seq: int
    hard: HardState | None
    entries: tuple[Entry, ...]
    commit: Index
    snapshot: SnapshotMeta | None
    snapshot_data: bytes
    reset: bool


class Retain(Struct, frozen=True):
    """With a member's own snapshot: how much of what it stands for is kept nevertheless, as the history of
    the group. Both bounds 0: nothing."""

    entries: int = 0
    """At least so many of the entries up to the snapshot; more, up to the base before them."""
    ms: Millis = 0
    """At least the entries of so much log time before the snapshot."""
    at_ms: Millis = 0
    """The log time as of the snapshot: that of the newest entry up to it that has one."""


class SaveRequest(Struct, frozen=True):
    """This member's own snapshot. It may take long; nothing waits for it."""

    meta: SnapshotMeta
    data: bytes
    keep_after: Index
    """The same write deletes the entries up to this, as far as the history does not need them."""
    retain: Retain = Retain()


class Ready(Struct):
    """The outputs since the previous one, to be carried out in this order.

    1. `send_now` may leave before anything is durable (Raft thesis 10.2.1), `chunks` after their data
       was read from the store (`SnapshotLost` when it is gone);
    2. `write` goes to the store, and its completion is stepped as `Persisted(write.seq)`; `save` goes there
       after all writes so far, and later ones may overtake it: `SnapshotStored`, or `SnapshotFailed`;
    3. `send_after` leaves when every write up to `after_seq` is durable: votes and acknowledgements;
    4. `restore` replaces the applied state;
    5. `apply` is executed, in order; then
    6. `take_snapshot`: the state as it is now, to be stepped as `SnapshotTaken`;
    7. `reads` may be executed, and `lease_reads`, whose results may be released only if `core.lease_holds`
       afterwards, else `ReadQuery(token, lease=False)`; 8. `answers` and `hooks` go out.
    """

    send_now: list[PeerMessage] = []
    chunks: list[InstallSnapshot] = []
    write: PersistRequest | None = None
    save: SaveRequest | None = None
    send_after: list[PeerMessage] = []
    after_seq: int = 0
    restore: tuple[SnapshotMeta, bytes] | None = None
    apply: list[Entry] = []
    take_snapshot: Index = 0
    reads: list[int] = []
    lease_reads: list[int] = []
    answers: list[Answer] = []
    hooks: list[Hook] = []
    removed: bool = False
    """A committed change removed this member: stop it; its data may be deleted."""
    conflict: CommittedConflict | None = None
    """Stop this member for good and keep its data: an operator has to choose."""

    def asks_for_anything(self) -> bool:
        return bool(
            self.send_now
            or self.write
            or self.save
            or self.send_after
            or self.apply
            or self.answers
            or self.reads
            or self.lease_reads
            or self.chunks
            or self.restore
            or self.take_snapshot
            or self.hooks
            or self.removed
            or self.conflict
        )
