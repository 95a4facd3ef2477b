"""Messages between the members of one group. Each names its term, sender and receiver.

A member ignores messages for another id: they are for an earlier member on this node.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from fleet.raft.entries import Entry, SnapshotMeta
from fleet.raft.ids import Index, MemberId, Millis, Place, Term

NO_PLACE: Final[Place] = 1 << 62
"""Of no command."""
OTHER_CODE: Final[Place] = NO_PLACE - 1
"""Of a member that has other code than the class in force: see `switching.py`."""
DIVERGED: Final[Place] = NO_PLACE - 2
"""Of a member whose state is not that of a majority: see `comparing.py`."""
REPAIRING: Final[Place] = NO_PLACE - 3
"""Of one of these that waits for its leader's state."""
OF_MEMBER: Final = frozenset((OTHER_CODE, DIVERGED, REPAIRING))
"""Places that say why a member executes nothing, and name no command."""


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
    sleep: bool = False
    """The group is idle: a follower that has all of `commit`, and nothing more, stops its election timer."""
    stamp: int = 0
    """Of a reply of `dst`: all that was committed by then is at or before `commit` (`freshness.py`)."""


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
    """Identifies the sender's run: a restart draws another one."""
    wall_ms: Millis = 0
    """This member's wall clock; 0: not known."""
    asleep: bool = False
    """This member has stopped its election timer, as the message of `sent_at` offered."""
    halted_index: Index = 0
    halted_place: Place = 0
    """The command at which this member has halted; index 0: none. `NO_PLACE`: it may have executed it before,
    and so prevents that it is skipped."""
    stamp: int = 0
    """This member's clock, which an append repeats once it proves how fresh the state is (`freshness.py`)."""


class PreVote(Message, frozen=True, array_like=True, tag=12, gc=False):
    """Asks for a vote in `term`, without changing anyone's term (Raft thesis 9.6)."""

    last_index: Index
    last_term: Term


class PreVoteReply(Message, frozen=True, array_like=True, tag=13, gc=False):
    """`term` is the requested term when granted, the voter's own when refused."""

    granted: bool


class VoteRequest(Message, frozen=True, array_like=True, tag=14, gc=False):
    last_index: Index
    last_term: Term
    transfer: bool
    """The leader itself started this election: voters need not protect it (Raft thesis 3.10, 4.2.3)."""


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
    """The bytes up to `offset` of the snapshot at `index` have arrived; continue from there.

    When `installed`, the whole snapshot is durable: `index` matches the leader's log.
    """

    index: Index
    offset: int
    installed: bool
    round: int
    sent_at: Millis
    life: int = 0


class TimeoutNow(Message, frozen=True, array_like=True, tag=18, gc=False):
    """Campaign at once: the sender hands over its leadership (Raft thesis 3.10).

    Void in any other run of the member than `life`, and once the member has heard a later round than `round`:
    the leader has given up the transfer.
    """

    round: int = 0
    life: int = 0


class Removed(Message, frozen=True, array_like=True, tag=19, gc=False):
    """`dst` was removed from the group by a change that is committed here."""


class Stranger(Message, frozen=True, array_like=True, tag=20, gc=False):
    """This leader knows every committed entry, and none that adds `dst` to the group.

    `dst` may be added again at any time, so this holds only while its log still ends with `last_term` at
    `last_index`, as when it asked: a member that was added since has received more.
    """

    last_index: Index
    last_term: Term


class Diverged(Message, frozen=True, array_like=True, tag=21, gc=False):
    """`dst` confirmed more entries than this leader has: a majority lost committed entries that `dst` still
    has (S84)."""

    last_index: Index
    last_term: Term


class LeaderCheck(Message, frozen=True, array_like=True, tag=22, gc=False):
    """A member that slept asks its leader to show that it still leads; the answer is an append."""


class CompareState(Message, frozen=True, array_like=True, tag=23, gc=False):
    """The leader asks for the digest of the state after the entry `index`: see `comparing.py`."""

    index: Index
    skips: Index
    """The last `Skipped` that is known to be committed; 0: none."""


class StateDigest(Message, frozen=True, array_like=True, tag=24, gc=False):
    index: Index
    digest: bytes
    """As in `StatePoint`."""


class StateDiffers(Message, frozen=True, array_like=True, tag=25, gc=False):
    """A majority of the voters has `digest` at `index`, and `dst` has another one."""

    index: Index
    digest: bytes
    agreed: Index
    """Where `dst` was last seen to agree; 0: not known."""


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
    | LeaderCheck
    | CompareState
    | StateDigest
    | StateDiffers
)
