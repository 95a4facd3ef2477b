"""What members of one group say to each other. Each names its term, its sender and whom it is for.

A message for another id than one's own is ignored: it was meant for an earlier life on this node.
"""

from typing import TypeAlias

from msgspec import Struct

from fleet.raft.entries import Entry, SnapshotMeta
from fleet.raft.ids import Index, MemberId, Millis, Term


class Message(Struct, frozen=True, array_like=True, gc=False):
    term: Term
    src: MemberId
    dst: MemberId


class AppendEntries(Message, frozen=True, array_like=True, tag=10, gc=False):
    """Replication, heartbeat, probe and read round in one (Raft figure 2)."""

    prev_index: Index
    prev_term: Term
    entries: tuple[Entry, ...]
    commit: Index
    round: int
    """The leader's newest read round when this left; the reply repeats it."""
    sent_at: Millis
    """The leader's own clock; the reply repeats it. Leases count from it."""


class AppendReply(Message, frozen=True, array_like=True, tag=11, gc=False):
    """`index` is the last index proven equal to the leader's log and durable here, or, when not
    `ok`, the `prev_index` that was refused; then no index above `hint` can match, and
    `hint_term` is the term this member has at `hint` (Raft 5.3, fast backtracking).
    """

    ok: bool
    index: Index
    hint: Index
    hint_term: Term
    round: int
    sent_at: Millis
    life: int = 0
    """Which life of the member says this: a restart begins another one."""
    wall_ms: Millis = 0
    """This member's wall clock; 0: not known."""


class PreVote(Message, frozen=True, array_like=True, tag=12, gc=False):
    """Would you vote for me in `term`? Changes nobody's term (Raft thesis 9.6)."""

    last_index: Index
    last_term: Term


class PreVoteReply(Message, frozen=True, array_like=True, tag=13, gc=False):
    """`term` is the asked term when granted, the voter's own when refused."""

    granted: bool


class VoteRequest(Message, frozen=True, array_like=True, tag=14, gc=False):
    last_index: Index
    last_term: Term
    transfer: bool
    """The leader itself asked for this election: do not protect it (Raft thesis 3.10, 4.2.3)."""


class VoteReply(Message, frozen=True, array_like=True, tag=15, gc=False):
    granted: bool
    wall_ms: Millis = 0
    """As in `AppendReply`."""


class InstallSnapshot(Message, frozen=True, array_like=True, tag=16, gc=False):
    """One chunk of a snapshot. `data` is filled in by the driver, from the store (Raft 7)."""

    meta: SnapshotMeta
    offset: int
    data: bytes
    round: int
    sent_at: Millis


class SnapshotReply(Message, frozen=True, array_like=True, tag=17, gc=False):
    """The bytes up to `offset` of the snapshot at `index` are here; send on from there.

    When `installed`, the whole snapshot is durable: `index` matches the leader's log.
    """

    index: Index
    offset: int
    installed: bool
    round: int
    sent_at: Millis
    life: int = 0


class TimeoutNow(Message, frozen=True, array_like=True, tag=18, gc=False):
    """Campaign at once: I hand my leadership to you (Raft thesis 3.10).

    Void for another life of the member than `life`, and for one that has heard of a later round than `round`:
    the leader has given the transfer up.
    """

    round: int = 0
    life: int = 0


class Removed(Message, frozen=True, array_like=True, tag=19, gc=False):
    """`dst` was removed from the group by a change that is committed here."""


class Stranger(Message, frozen=True, array_like=True, tag=20, gc=False):
    """This leader knows all that is committed, and no change that has `dst` in the group.

    It may be added again at any time: this is worth something only while its log ends as it did when it
    asked, with `last_term` at `last_index`. Who counts for anything has received more by then.
    """

    last_index: Index
    last_term: Term


class Diverged(Message, frozen=True, array_like=True, tag=21, gc=False):
    """`dst` confirmed more entries to this leader than it has: what a majority had committed was lost,
    and `dst` has it still (S84)."""

    last_index: Index
    last_term: Term


PeerMessage: TypeAlias = (
    AppendEntries
    | AppendReply
    | PreVote
    | PreVoteReply
    | VoteRequest
    | VoteReply
    | InstallSnapshot
    | SnapshotReply
    | TimeoutNow
    | Removed
    | Stranger
    | Diverged
)
