"""What a log holds: entries and their bodies, the member set, hard state, and a snapshot's description.

Wire form, stored form and trace form are one: a new field goes last, with a default.
"""

from typing import TypeAlias

from msgspec import Struct

from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, MemberId, Millis, Place, Revision, SessionId, Term


class Noop(Struct, frozen=True, array_like=True, tag=0, gc=False):
    """A new leader's first entry: committing it commits everything before it (Raft 5.4.2, 8)."""


class Founded(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Entry 1 of every group, the same on every founder: the founders are its voters.

    It counts as committed by an earlier leader, so every founder may start with it independently.
    """

    member: MemberId
    """The first founder, which campaigns at once."""
    address: str
    config: GroupConfig
    others: tuple[tuple[MemberId, str], ...] = ()
    """The other founders and where their nodes listen."""
    data_class: bytes = b""
    """The class that executes the commands from here on, opaque to the protocol; b"": the library's own."""


class SessionOpened(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """The id of a client's session is made from the index of this entry."""

    client: str
    """A name drawn by the client, so that a repeated request finds the session of the first."""
    wall_ms: Millis


class SessionClosed(Struct, frozen=True, array_like=True, tag=9, gc=False):
    """The client has closed: its session and results are dropped."""

    client: str
    wall_ms: Millis


class Commands(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Commands of one session that a client sent together. Their payloads are opaque to the protocol.

    They are one entry, so that they cost one record, one message and one turn; each is executed, answered and
    refused by itself.
    """

    session: SessionId
    first: int
    """The sequence number of the first; the others follow it without a gap. They count from 1 within the
    session; commands are executed in this order, once."""
    acked: int
    """The client needs no result up to this sequence number: they may be forgotten."""
    wall_ms: Millis
    """The leader's wall clock at the proposal. `ctx.now` comes from it, and never goes back."""
    payloads: tuple[bytes, ...]


class KeyedCommands(Commands, frozen=True, array_like=True, tag=13, gc=False):
    """Commands of which at least one has a key of the client's own (`fleet.objects.keyed`). They are a kind
    of their own so that all others need not be looked at."""


class MemberAdded(Struct, frozen=True, array_like=True, tag=4, gc=False):
    """A learner joins: it receives the log and does not vote."""

    member: MemberId
    address: str


class MemberPromoted(Struct, frozen=True, array_like=True, tag=5, gc=False):
    """A learner becomes a voter."""

    member: MemberId


class MemberDemoted(Struct, frozen=True, array_like=True, tag=8, gc=False):
    """A voter becomes a learner: it still receives the log."""

    member: MemberId


class MemberRemoved(Struct, frozen=True, array_like=True, tag=6, gc=False):
    """A voter or learner leaves for good: its id is never reused."""

    member: MemberId


class ConfigChanged(Struct, frozen=True, array_like=True, tag=7, gc=False):
    """In force on each member when it is committed there."""

    config: GroupConfig


class Halt(Struct, frozen=True, array_like=True, gc=False):
    """The command at which a member's executor cannot go on: it died or hung in it."""

    index: Index
    """The log index of the command's entry."""
    place: Place
    cause: str
    """For people: the method, and what happened."""
    is_repeated: bool = False
    """This member may have executed it before, and its caller may know: an operator alone may pass it."""


class Skipped(Struct, frozen=True, array_like=True, tag=10, gc=False):
    """The command at `place` of entry `index` is recorded as failed with `cause`, on every member. It takes
    effect where that command stands in the log, and counts no revision of its own."""

    index: Index
    place: Place
    cause: str


class ClassSwitched(Struct, frozen=True, array_like=True, tag=12, gc=False):
    """Commands after this one are executed by another class, or by other code of the same: see
    `switching.py`."""

    data_class: bytes
    """As in `Founded`."""


class RemindersDue(Struct, frozen=True, array_like=True, tag=16, gc=False):
    """Fires the reminders that are due at log time, once it has come to this stamp: see `reminders.py`. Each
    counts a revision of its own, and its place among them is that of a command."""

    wall_ms: Millis
    """As in `Commands`."""


class EffectsDone(Struct, frozen=True, array_like=True, tag=17, gc=False):
    """The group's events up to this one were told to `on_effect`, and are not told again."""

    revision: Revision
    number: int


class SkipProposed(Struct, frozen=True, array_like=True, tag=11, gc=False):
    """Every voter has reported that it halts at this command. A member that halts there and has this in its
    log does not execute the command any more, unless it turns out that no `Skipped` follows: see
    `halting.py`."""

    index: Index
    place: Place
    cause: str


Body: TypeAlias = (
    Noop
    | Founded
    | SessionOpened
    | SessionClosed
    | Commands
    | KeyedCommands
    | MemberAdded
    | MemberPromoted
    | MemberDemoted
    | MemberRemoved
    | ConfigChanged
    | Skipped
    | SkipProposed
    | ClassSwitched
    | RemindersDue
    | EffectsDone
)
MemberChange: TypeAlias = MemberAdded | MemberPromoted | MemberDemoted | MemberRemoved
MEMBERSHIP_BODIES = (Founded, MemberAdded, MemberPromoted, MemberDemoted, MemberRemoved)


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One position of the log. `(term, index)` identifies an entry, on every member and for ever."""

    term: Term
    index: Index
    body: Body


class HardState(Struct, frozen=True, array_like=True, gc=False):
    """A member's promises, durable before any message depends on them (Raft figure 2, persistent state)."""

    term: Term = 0
    vote: MemberId | None = None
    commit: Index = 0
    """The commit index as of some write, so that a restarted member knows committed entries; no promise. The
    store keeps newer ones with the entries."""


class Members(Struct, frozen=True, array_like=True):
    """A group's members as of some log index. Order is the order of joining."""

    voters: tuple[MemberId, ...] = ()
    learners: tuple[MemberId, ...] = ()
    addresses: dict[MemberId, str] = {}
    """Where each member's node listens: a hint for nodes that do not know it."""
    removed: tuple[MemberId, ...] = ()
    """The most recently removed members: proof for one that missed its own removal."""

    @property
    def everyone(self) -> tuple[MemberId, ...]:
        return self.voters + self.learners


class SnapshotMeta(Struct, frozen=True, array_like=True):
    """A snapshot stands for every entry up to and including `index`; its bytes are kept beside it."""

    index: Index
    term: Term
    members: Members
    config: GroupConfig
    size: int
    crc: int
    """zlib.crc32 of the `size` bytes."""
    data_class: bytes = b""
    """The class in force after `index`, as in `Founded`."""
    skipped: tuple[tuple[Index, Place], ...] = ()
    """Commands up to `index` that it has passed, although the `Skipped` is behind it in the log."""


PAYLOAD_OVERHEAD = 32
"""Bytes that an entry, and each further command in it, takes besides the payloads; counted in every limit on
bytes."""


def size_of(entry: Entry) -> int:
    """Approximate number of bytes of an entry in a message, in memory and on disk."""
    body = entry.body
    if not isinstance(body, Commands):
        return PAYLOAD_OVERHEAD
    return PAYLOAD_OVERHEAD * (len(body.payloads) or 1) + sum(map(len, body.payloads))


STAMPED = Commands | SessionOpened | SessionClosed | RemindersDue


def wall_ms_of(body: Body) -> Millis:
    """The leader's wall clock when it was proposed; 0: it has none."""
    return body.wall_ms if isinstance(body, STAMPED) else 0


def count_of(body: Body) -> int:
    """How many commands it counts for in limits on their number; any other body counts for one."""
    return len(body.payloads) or 1 if isinstance(body, Commands) else 1
