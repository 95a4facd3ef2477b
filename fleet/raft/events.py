"""Events from a member's own node: time, completions of the store, and requests.

A request carries a `token` that the driver chooses; the answer in `Ready` repeats it.
"""

from typing import TypeAlias

from msgspec import Struct

from fleet.raft.entries import (
    ClassSwitched,
    Commands,
    ConfigChanged,
    EffectsDone,
    Founded,
    Halt,
    MemberChange,
    RemindersDue,
    SessionClosed,
    SessionOpened,
)
from fleet.raft.ids import Index, MemberId, Millis, NodeName, Place, Revision


class Tick(Struct, frozen=True, gc=False):
    """`core.deadline` may have passed. Harmless at any other time."""


class Persisted(Struct, frozen=True, gc=False):
    """Every write up to `seq` is durable."""

    seq: int


class SnapshotTaken(Struct, frozen=True, gc=False):
    """The encoded state as of `Ready.take_snapshot`. `crc`: `zlib.crc32` of it, where that is known: of a big
    one it takes long."""

    index: Index
    data: bytes
    crc: int | None = None
    skipped: tuple[tuple[Index, Place], ...] = ()
    """As in `SnapshotMeta`."""


class SnapshotStored(Struct, frozen=True, gc=False):
    """The member's own snapshot at `index` is durable, and the log before it is cut."""

    index: Index


class SnapshotFailed(Struct, frozen=True, gc=False):
    """The state could not be encoded or stored. The core asks again, after a delay that grows."""


class SnapshotLost(Struct, frozen=True, gc=False):
    """The store no longer holds the snapshot that was being sent to `peer`."""

    peer: MemberId


class NodeSilent(Struct, frozen=True, gc=False):
    """Nothing was heard from `node` for an election timeout: for members that sleep, and so hear nothing of
    their peers there."""

    node: NodeName


class CheckLeader(Struct, frozen=True, gc=False):
    """Fewer members lead on the leader's node than sleeping members rely on: this one should ask its own."""


class SleepConfirmed(Struct, frozen=True, gc=False):
    """Of a leader that sleeps: on these nodes its followers slept when their node had heard what left here at
    the time given. They refuse to elect another leader for an election timeout from then on."""

    sent_at: dict[NodeName, Millis]


class ExecutionHalted(Struct, frozen=True, gc=False):
    """This member cannot execute a command that it was handed out: its executor died or hung in it. It does
    not execute it again by itself, except as `halting.may_retry` allows."""

    halt: Halt


class ExecutionResumed(Struct, frozen=True, gc=False):
    """This member executes again: the command was skipped, or the state replaced, or a retry allowed."""


class ExecutorAway(Struct, frozen=True, gc=False):
    """This member has no executor for its object for now, or has one again: what is committed waits."""

    is_away: bool


class Propose(Struct, frozen=True, gc=False):
    """Append these in this order, all or none. Their results come from applying them."""

    token: int
    bodies: tuple[Commands | SessionOpened | SessionClosed | RemindersDue | EffectsDone, ...]


class ReadQuery(Struct, frozen=True, gc=False):
    """Ask when a linearizable read may be executed."""

    token: int
    lease: bool = True
    """False: the lease ended during the read; confirm by a round of heartbeats."""


class Change(Struct, frozen=True, gc=False):
    """Change the members, the configuration or the class; answered when committed."""

    token: int
    body: MemberChange | ConfigChanged | ClassSwitched


class Transfer(Struct, frozen=True, gc=False):
    """Transfer the leadership to `target`; None cancels a transfer."""

    token: int
    target: MemberId | None


class Skip(Struct, frozen=True, gc=False):
    """Record the command at which this leader has halted as failed, on every member, although a voter that
    did not report may have executed it; answered when committed. `index`: of the command's entry."""

    token: int
    index: Index


class StateGiven(Struct, frozen=True, gc=False):
    """To the first founder of a group that is restored from a backup: the group begins with this state."""

    founded: Founded
    index: Index
    """Of the log that the state was copied from: that of this group goes on behind it."""
    data: bytes
    crc: int
    """`zlib.crc32` of the data."""


class StateDigested(Struct, frozen=True, gc=False):
    """This member's state after the entry `index`: as in `StatePoint`."""

    index: Index
    revision: Revision
    digest: bytes


class Repair(Struct, frozen=True, gc=False):
    """This member has halted since its state differs: it is to take its leader's. Answered at once."""

    token: int


FROM_NODE = frozenset((CheckLeader, NodeSilent, SnapshotFailed, SnapshotStored))
"""What other actors of a node tell its members, to be stepped as it is."""
LocalEvent: TypeAlias = (
    Tick
    | Persisted
    | SnapshotTaken
    | SnapshotStored
    | SnapshotFailed
    | SnapshotLost
    | NodeSilent
    | CheckLeader
    | SleepConfirmed
    | ExecutionHalted
    | ExecutionResumed
    | ExecutorAway
    | Propose
    | ReadQuery
    | Change
    | Transfer
    | Skip
    | StateGiven
    | StateDigested
    | Repair
)
