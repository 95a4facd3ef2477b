"""Handlers of a follower. A learner is a follower that does not vote and never campaigns."""

from zlib import crc32

from fleet.raft.comparing import forget_state
from fleet.raft.entries import SnapshotMeta
from fleet.raft.events import Change, Propose, ReadQuery, Skip, Tick, Transfer
from fleet.raft.freshness import keep_proof, own_stamp
from fleet.raft.halting import reported_halt
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    Diverged,
    InstallSnapshot,
    PreVote,
    SnapshotReply,
    TimeoutNow,
)
from fleet.raft.ready import NOT_LEADER, Restored
from fleet.raft.sleeping import sleep_if_level
from fleet.raft.state import NEVER, Candidate, CoreState, Follower, Incoming
from fleet.raft.switching import adopt_state, needs_state
from fleet.raft.transitions import (
    become_candidate,
    become_pre_candidate,
    follow,
    is_loyal,
    reset_election_deadline,
    stop_in_conflict,
)


def on_tick(core: CoreState, role: Follower, m: Tick) -> None:
    """Nothing was heard for an election timeout. A member whose disk hangs could promise nothing."""
    if core.now < core.deadline:
        return
    if may_campaign(core):
        become_pre_candidate(core)
        return
    reset_election_deadline(core)
    if not core.is_voter:
        core.leader = None  # so that its node asks for it to be added, if it was not
        ask_whether_removed(core)


def ask_whether_removed(core: CoreState) -> None:
    """A pre-vote from a member that was removed is answered by whoever can prove it (S25); any other
    answer to a learner is ignored."""
    for peer in core.membership.current.voters:
        core.send(PreVote(core.term + 1, core.id, peer, core.log.last_index, core.log.last_term))


def may_campaign(core: CoreState) -> bool:
    """A loyal member does not either: its deadline is from before a restart or a change of the
    configuration when it comes this early. A sole voter owes loyalty to nobody else."""
    if not core.may_lead or core.removed or core.storage_hangs():
        return False
    return not is_loyal(core) or core.membership.current.voters == (core.id,)


def on_append(core: CoreState, role: Follower | Candidate, m: AppendEntries) -> None:
    """Raft figure 2, AppendEntries. The commit index moves only over what this message has verified (S03)."""
    is_back = core.unconfirmed or core.now - core.heard_at >= core.config.election_ms
    follow(core, m.src)
    core.heard_round = max(core.heard_round, (core.term, m.round))
    log = core.log
    prev_index, entries = m.prev_index, m.entries
    if prev_index <= core.committed and conflicts_with_committed(core, m):
        return
    if prev_index < log.commit:
        if entries:
            entries = tuple(entry for entry in entries if entry.index > log.commit)
        prev_index = log.commit
    elif log.term_at(prev_index) != m.prev_term:
        refuse_append(core, m)
        return
    if entries:
        core.merge(entries)
    verified = prev_index + len(entries)
    log.commit_to(min(m.commit, verified))
    if is_back and m.commit > log.commit:
        core.catching_up_to, core.held_after = m.commit, log.applied
    if core.deadline == NEVER:
        reset_election_deadline(core)
    if not entries and verified > log.durable:
        verified = log.durable  # the rest is confirmed to the appends that brought it
    if m.stamp:
        keep_proof(core, m)
    if m.sleep:
        sleep_if_level(core, verified, m.commit)
    core.send_durably(
        AppendReply(
            core.term,
            core.id,
            m.src,
            True,
            verified,
            0,
            0,
            m.round,
            m.sent_at,
            core.life,
            core.wall_ms,
            core.asleep,
            *reported_halt(core),
            own_stamp(core),
        )
    )


def conflicts_with_committed(core: CoreState, m: AppendEntries) -> bool:
    """One comparison suffices: logs that agree at the highest index that both know agree before it."""
    log, entries = core.log, m.entries
    at = min(core.committed, m.prev_index + len(entries))
    term = entries[at - m.prev_index - 1].term if at > m.prev_index else m.prev_term
    mine = log.term_at(at)
    if mine is None or mine == term or at == 0:
        return False
    stop_in_conflict(core, m.src, at, term)
    return True


def on_diverged(core: CoreState, role: Follower | Candidate, m: Diverged) -> None:
    stop_in_conflict(core, m.src, m.last_index, m.last_term)


def refuse_append(core: CoreState, m: AppendEntries) -> None:
    hint = core.log.highest_match(m.prev_index, m.prev_term)
    hint_term = core.log.term_at(hint)
    assert hint_term is not None
    core.send_durably(
        AppendReply(core.term, core.id, m.src, False, m.prev_index, hint, hint_term, m.round, m.sent_at)
    )


def on_install_snapshot(core: CoreState, role: Follower | Candidate, m: InstallSnapshot) -> None:
    """Raft figure 13, in chunks. What is applied never goes back, what matches is kept (S35)."""
    follow(core, m.src)
    core.heard_round = max(core.heard_round, (core.term, m.round))
    log, meta = core.log, m.meta
    is_needed = needs_state(core, meta)
    if not is_needed and (log.commit >= meta.index or log.term_at(meta.index) == meta.term):
        log.commit_to(meta.index)
        core.incoming = None
        reply_snapshot(core, m, offset=meta.size, installed=True)
        return
    if meta.index <= core.committed and log.term_at(meta.index) not in (None, meta.term):
        stop_in_conflict(core, m.src, meta.index, meta.term)
        return
    incoming = core.incoming
    if incoming is None or incoming.meta != meta:
        incoming = core.incoming = Incoming(meta)
    if m.offset == incoming.size:
        incoming.chunks.append(m.data)
        incoming.size += len(m.data)
    if incoming.size < meta.size:
        reply_snapshot(core, m, offset=incoming.size, installed=False)
        return
    core.incoming = None
    data = b"".join(incoming.chunks)
    if len(data) != meta.size or crc32(data) != meta.crc:
        reply_snapshot(core, m, offset=0, installed=False)
        return
    if is_needed:
        adopt_state(core, meta, data)
    else:
        install(core, meta, data)
    reply_snapshot(core, m, offset=meta.size, installed=True)


def install(core: CoreState, meta: SnapshotMeta, data: bytes) -> None:
    """One durable write makes it the snapshot and empties the log: no crash leaves both (S34)."""
    core.log.reset(meta.index, meta.term)
    core.membership.reset(meta.index, meta.members)
    core.config = meta.config
    core.unwritten.clear()
    core.skips.clear()
    core.switches.clear()
    forget_state(core, meta.index)
    core.noted = meta.index
    if core.halt is not None and core.halt.index <= meta.index:
        core.halt = None
    core.taking = core.saving = core.storing = None
    core.snapshot = meta
    core.bytes_since_snapshot = 0
    core.installing = (meta, data)
    core.ready.restore = (meta, data)
    core.ready.hooks.append(Restored(meta.index))
    reset_election_deadline(core)


def reply_snapshot(core: CoreState, m: InstallSnapshot, offset: int, installed: bool) -> None:
    core.send_durably(
        SnapshotReply(
            core.term, core.id, m.src, m.meta.index, offset, installed, m.round, m.sent_at, core.life
        )
    )


def on_timeout_now(core: CoreState, role: Follower | Candidate, m: TimeoutNow) -> None:
    """The leader hands over to this member. A learner cannot lead (S15), and a cancelled transfer must be
    ignored: the leader's lease relies on that (S18)."""
    if m.life != core.life or (core.term, m.round) < core.heard_round:
        return
    is_campaigning = type(role) is Candidate and not role.pre
    if core.is_voter and not is_campaigning and not core.storage_hangs():
        become_candidate(core, transfer=True)


def on_request(
    core: CoreState, role: Follower | Candidate, m: Propose | ReadQuery | Change | Transfer | Skip
) -> None:
    core.answer(m.token, NOT_LEADER)
