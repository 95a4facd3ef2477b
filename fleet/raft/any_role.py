"""Handlers that are the same in every role, and the rules about terms, which apply first."""

from zlib import crc32

from msgspec.structs import replace

from fleet.raft.entries import SnapshotMeta
from fleet.raft.events import Persisted, SnapshotFailed, SnapshotStored, SnapshotTaken
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    LeaderCheck,
    PeerMessage,
    PreVote,
    PreVoteReply,
    Removed,
    Stranger,
    VoteReply,
    VoteRequest,
)
from fleet.raft.state import CoreState, PendingWrite, Role
from fleet.raft.transitions import (
    adopt_term,
    become_follower,
    is_loyal,
    is_proven_removed,
    is_stranger,
    leave_group,
    reset_election_deadline,
)

SNAPSHOT_RETRY_MS_MAX = 60_000
"""The longest delay between attempts at a snapshot that keeps failing."""
OF_A_TERM = frozenset((AppendEntries, AppendReply))
"""The most frequent messages; in the current term they need no further checks."""


def is_worth_handling(core: CoreState, message: PeerMessage) -> bool:
    """The rules about terms (Raft 5.1). False: the message is handled already, or is not for this member."""
    if message.dst != core.id or message.src == core.id or core.removed or core.conflict:
        return False
    kind = type(message)
    if kind is Removed or (message.term == core.term and kind in OF_A_TERM):
        return True
    if (kind is PreVote or kind is VoteRequest) and is_proven_removed(core, message):
        core.send(Removed(core.term, core.id, message.src))
        return False
    if type(message) is PreVote and is_stranger(core, message.src):
        core.send(Stranger(core.term, core.id, message.src, message.last_index, message.last_term))
        return False
    if message.term < core.term:
        answer_old_term(core, message)
        return False
    if type(message) is VoteRequest and not message.transfer and is_loyal(core):
        return False  # also in this very term: it may have been adopted from another message
    if message.term > core.term:
        if kind is PreVote or (type(message) is PreVoteReply and message.granted):
            return True
        adopt_term(core, message.term)
    return True


def answer_old_term(core: CoreState, message: PeerMessage) -> None:
    """Tell a sender that still leads or campaigns in an old term about the current one."""
    kind = type(message)
    if kind is AppendEntries or kind is InstallSnapshot or kind is LeaderCheck:
        core.send_durably(AppendReply(core.term, core.id, message.src, False, 0, 0, 0, 0, 0))
    elif kind is PreVote:
        core.send_durably(PreVoteReply(core.term, core.id, message.src, False))
    elif kind is VoteRequest:
        core.send_durably(VoteReply(core.term, core.id, message.src, False))


def on_pre_vote(core: CoreState, role: Role, m: PreVote) -> None:
    """Granted if a vote in `m.term` would be. It promises nothing and changes no state."""
    granted = m.term > core.term and not is_loyal(core) and core.log.is_behind(m.last_index, m.last_term)
    if granted:
        core.send(PreVoteReply(m.term, core.id, m.src, True))
    else:
        core.send_durably(PreVoteReply(core.term, core.id, m.src, False))


def on_removed(core: CoreState, role: Role, m: Removed) -> None:
    leave_group(core)


def on_stranger(core: CoreState, role: Role, m: Stranger) -> None:
    """Leave: the change that added this member was lost. Ignored if this is late and a leader that knows the
    member has been heard since."""
    is_as_it_was = (m.last_index, m.last_term) == (core.log.last_index, core.log.last_term)
    if is_as_it_was and not is_loyal(core):
        leave_group(core)


def on_persisted(core: CoreState, role: Role, m: Persisted) -> None:
    """Writes complete in order. What they carried counts from here on."""
    while core.writes and core.writes[0].seq <= m.seq:
        note_durable(core, core.writes.popleft())


def note_durable(core: CoreState, write: PendingWrite) -> None:
    if write.hard is not None:
        core.durable_hard = write.hard
    core.log.mark_durable(write.last_index, write.last_term)
    if write.snapshot is not None:
        note_snapshot(core, write.snapshot)


def note_snapshot(core: CoreState, meta: SnapshotMeta) -> None:
    if (
        core.snapshot is None or core.snapshot.index <= meta.index
    ):  # equal: a repaired member's, of its leader
        core.snapshot = meta
    core.bytes_since_snapshot = core.log.bytes_after(core.snapshot.index)


def on_snapshot_taken(core: CoreState, role: Role, m: SnapshotTaken) -> None:
    """Make it durable; a snapshot from the leader may have overtaken it."""
    taking, core.taking = core.taking, None
    if taking is None or taking.index != m.index or m.index < core.log.base_index:
        return
    core.saving = (replace(describe(taking, m.data, m.crc), skipped=m.skipped), m.data)


def on_snapshot_stored(core: CoreState, role: Role, m: SnapshotStored) -> None:
    """A snapshot from the leader may have overtaken it."""
    if core.storing is None or core.storing[0].index != m.index:
        return
    (meta, keep_after), core.storing = core.storing, None
    core.snapshot_failures = 0
    if keep_after > core.log.base_index:
        core.log.compact(keep_after)
        core.membership.compact(keep_after)
        core.skips = [entry for entry in core.skips if entry.index > keep_after]
        core.switches = [entry for entry in core.switches if entry.index > keep_after]
    note_snapshot(core, meta)


def on_snapshot_failed(core: CoreState, role: Role, m: SnapshotFailed) -> None:
    core.taking = core.storing = None
    delay = core.config.election_ms << min(core.snapshot_failures, 16)
    core.snapshot_failures += 1
    core.snapshot_not_before = core.now + min(delay, SNAPSHOT_RETRY_MS_MAX)


def describe(meta: SnapshotMeta, data: bytes, crc: int | None) -> SnapshotMeta:
    crc = crc32(data) if crc is None else crc
    return replace(meta, size=len(data), crc=crc)


def on_vote_request(core: CoreState, role: Role, m: VoteRequest) -> None:
    """One vote a term, durable before it is told; only for a log that is as complete (Raft 5.2, 5.4.1).

    Whoever campaigns or leads in earnest has voted for itself. Also a learner answers: it may be a voter
    by entries that it has not received yet (S24).
    """
    granted = core.vote in (None, m.src) and core.log.is_behind(m.last_index, m.last_term)
    if granted:
        become_follower(core)
        core.vote = m.src
        reset_election_deadline(core)
    core.send_durably(VoteReply(core.term, core.id, m.src, granted, core.wall_ms))
