"""Handlers of a leader: replication, commit, time. Router stand in `leader_requests.py`."""

from fleet.raft.any_role import on_persisted as anyone_on_persisted
from fleet.raft.append_window import BYTES_MIN, AppendWindow
from fleet.raft.comparing import go_on_comparing
from fleet.raft.entries import count_of, size_of
from fleet.raft.events import LocalEvent, Persisted, SnapshotLost, Tick
from fleet.raft.freshness import keep_stamp
from fleet.raft.halting import skip_if_agreed, successor
from fleet.raft.ids import MemberId, Millis
from fleet.raft.lease import is_confirmed, lease_until
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    Diverged,
    InstallSnapshot,
    PeerMessage,
    SnapshotReply,
    TimeoutNow,
)
from fleet.raft.progress import NO_LEASE, NOT_OFFERED, PROBE, REPLICATE, SNAPSHOT, Progress
from fleet.raft.quorum import pick, reached_by_quorum
from fleet.raft.ready import TARGET_UNRESPONSIVE, PeerSilent, TailLost
from fleet.raft.sleeping import may_sleep, sleep_with_followers
from fleet.raft.state import NEVER, CoreState, Handover, Leader
from fleet.raft.switching import offer_state
from fleet.raft.transitions import become_follower, next_on_grid, reset_election_deadline, restart_lease

# -- time ------------------------------------------------------------------------------------------


def on_tick(core: CoreState, role: Leader, m: Tick) -> None:
    """Once a heartbeat: is this still the leader, and does everybody know?"""
    if core.now < core.deadline:
        return
    if core.storage_hangs() or not hears_quorum(core, role):
        step_down(core)
        return
    if role.handover is not None:
        check_handover(core, role)
    elif core.halt is not None or core.away_since != NEVER:
        skip_if_agreed(core, role)
        evade(core, role)
    role.next_heartbeat = next_on_grid(core.now, core.config.heartbeat_ms)
    core.deadline = role.next_heartbeat
    if core.points:
        go_on_comparing(core, role)
    if not may_sleep(core, role):
        role.offered_at = NOT_OFFERED
    elif role.offered_at == NOT_OFFERED:
        role.offered_at = core.now
    for peer, progress in role.progress.items():
        if not is_in_touch(core, role, progress):
            heartbeat(core, role, peer, progress)
    sleep_with_followers(core, role)


def is_in_touch(core: CoreState, role: Leader, progress: Progress) -> bool:
    """Whether an append that left lately does what a heartbeat would, and the peer answers those."""
    if progress.state != REPLICATE or role.reads or role.offered_at != NOT_OFFERED:
        return False
    heartbeat_ms = core.config.heartbeat_ms
    return core.now - progress.sent_at < heartbeat_ms // 2 and progress.is_responsive(core.now, heartbeat_ms)


def hears_quorum(core: CoreState, role: Leader) -> bool:
    """A leader that does not hear a majority must step down (check-quorum)."""
    acked_at = {peer: progress.acked_at for peer, progress in role.progress.items()}
    heard_at = reached_by_quorum(pick(acked_at, core.membership.current.voters, core.id, core.now))
    return core.now - heard_at < core.config.election_ms


def step_down(core: CoreState) -> None:
    become_follower(core)
    reset_election_deadline(core)


def check_handover(core: CoreState, role: Leader) -> None:
    """The target has until the deadline; then this leader continues to serve (S15)."""
    handover = role.handover
    assert handover is not None
    if core.now >= handover.deadline:
        give_up_handover(core, role, handover)
        return
    handover.sent = False
    try_handover(core, role)


def try_handover(core: CoreState, role: Leader) -> None:
    """Once the target has every entry, tell it to campaign."""
    handover = role.handover
    if handover is None or handover.sent:
        return
    progress = role.progress.get(handover.target)
    if progress is not None and progress.match == core.log.last_index:
        role.lease_void[handover.target] = NEVER
        handover.sent = True
        core.send(TimeoutNow(core.term, core.id, handover.target, role.round, progress.life))


def give_up_handover(core: CoreState, role: Leader, handover: Handover) -> None:
    """The lease returns when the target confirms a round that begins now: see `Leader.lease_void`."""
    role.handover = None
    if handover.token is not None:
        core.answer(handover.token, TARGET_UNRESPONSIVE)
    if handover.target in role.lease_void:
        role.round += 1
        role.lease_void[handover.target] = role.round


def evade(core: CoreState, role: Leader) -> None:
    """A leader that cannot execute hands over to a member that perhaps can, if there is one."""
    target = successor(core, role)
    if target is not None:
        role.handover = Handover(None, target, core.now + core.config.transfer_timeout_ms)
        try_handover(core, role)


# -- sending ---------------------------------------------------------------------------------------


def lead(core: CoreState) -> None:
    """The first messages of a new leader."""
    role = core.role
    assert type(role) is Leader
    for peer, progress in role.progress.items():
        send_append(core, role, peer, progress)
    advance_commit(core, role)


def heartbeat(core: CoreState, role: Leader, peer: MemberId, progress: Progress) -> None:
    """One message to each peer, however much it lags: an unresponsive one never costs more."""
    progress.probing = False
    silent = not progress.is_responsive(core.now, core.config.election_ms)
    if progress.state == REPLICATE and silent:
        progress.become_probe(progress.match + 1)
        progress.window = AppendWindow(BYTES_MIN)  # it is far behind when it is back, perhaps on another link
        core.ready.hooks.append(PeerSilent(peer))
    if progress.state == SNAPSHOT:
        core.send(AppendEntries(core.term, core.id, peer, 0, 0, (), 0, role.round, core.now))
        if core.now - progress.chunk_sent_at >= 2 * core.config.election_ms:
            send_chunk(core, role, peer, progress)
    elif progress.state == PROBE and silent:
        send_append(core, role, peer, progress, is_empty=True)
    else:
        send_append(core, role, peer, progress)


def replicate(core: CoreState, role: Leader) -> None:
    """Send every peer the entries that its window allows; called once a turn."""
    last_index = core.log.last_index
    for peer, progress in role.progress.items():
        while progress.next <= last_index and progress.room(core.config.window_max):
            send_append(core, role, peer, progress)
        if core.config.announce_commits and progress.state == REPLICATE:
            if progress.commit_told < core.log.commit:
                send_append(core, role, peer, progress)


def lets_send(core: CoreState, role: Leader, m: PeerMessage | LocalEvent) -> bool:
    """Whether an acknowledgement that has committed nothing may let something be sent."""
    if role.reads or role.offered_at != NOT_OFFERED:
        return True
    progress = role.progress.get(m.src) if type(m) is AppendReply else None
    if progress is None:
        return False
    is_told = progress.commit_told >= core.log.commit or not core.config.announce_commits
    return progress.state != REPLICATE or progress.next <= core.log.last_index or not is_told


def send_append(
    core: CoreState, role: Leader, peer: MemberId, progress: Progress, is_empty: bool = False
) -> None:
    """One AppendEntries from `progress.next` on, with as much as fits; it may be empty."""
    log, config = core.log, core.config
    previous = progress.next - 1
    if previous < log.base_index:
        assert core.snapshot is not None and core.snapshot.index >= log.base_index
        progress.become_snapshot(core.snapshot)
        send_chunk(core, role, peer, progress)
        return
    room = 0 if is_empty else min(progress.room(config.window_max), config.batch_bytes_max)
    entries = log.batch(progress.next, config.batch_entries_max, room) if room else ()
    previous_term = log.term_at(previous)
    assert previous_term is not None
    sleep = role.offered_at != NOT_OFFERED
    core.send(
        AppendEntries(
            core.term,
            core.id,
            peer,
            previous,
            previous_term,
            entries,
            log.commit,
            role.round,
            core.now,
            sleep,
            progress.proven_stamp,
        )
    )
    progress.commit_told, progress.sent_at = log.commit, core.now
    progress.sent(previous + len(entries), sum(map(size_of, entries)))


def send_chunk(core: CoreState, role: Leader, peer: MemberId, progress: Progress) -> None:
    assert progress.snapshot is not None
    progress.chunk_sent_at = core.now
    core.ready.chunks.append(
        InstallSnapshot(
            core.term, core.id, peer, progress.snapshot, progress.offset, b"", role.round, core.now
        )
    )


def chunk_bytes(core: CoreState, peer: MemberId) -> int:
    """How many bytes of a snapshot the next chunk for the peer may carry."""
    most = core.config.snapshot_chunk_bytes
    progress = core.role.progress.get(peer) if type(core.role) is Leader else None
    return min(most, progress.chunk_bytes) if progress is not None else most


def is_sending_snapshot(core: CoreState) -> bool:
    role = core.role
    return type(role) is Leader and any(
        progress.state == SNAPSHOT and progress.is_responsive(core.now, core.config.election_ms)
        for progress in role.progress.values()
    )


# -- replies of peers and the disk ----------------------------------------------------------------


def on_append_reply(core: CoreState, role: Leader, m: AppendReply) -> None:
    progress = role.progress.get(m.src)
    if progress is None:
        return
    progress.heard(core.now)
    took_ms = core.now - m.sent_at
    progress.window.answered(took_ms)
    core.note_clock(m.src, m.wall_ms)
    if not m.ok:
        hint = core.log.highest_match(m.hint, m.hint_term)
        if progress.has_lost_its_tail(hint, m.sent_at):
            core.ready.hooks.append(TailLost(m.src, progress.match, hint))
            progress.lower(hint)
        else:
            progress.rejected(m.index, hint + 1, m.sent_at)
        return
    if m.index > core.log.last_index:
        core.send(Diverged(core.term, core.id, m.src, core.log.last_index, core.log.last_term))
        return
    confirm(role, progress, m)
    keep_stamp(core, role, progress, m)
    halted = (m.halted_index, m.halted_place) if m.halted_index else None
    progress.reported(halted, m.index, m.sent_at)
    progress.accepted(m.index, took_ms)
    if halted is not None and offer_state(core, progress):
        send_chunk(core, role, m.src, progress)
    if m.index > core.log.commit:
        advance_commit(core, role)
    try_handover(core, role)
    if halted is not None and core.halt is not None:
        skip_if_agreed(core, role)
    if m.asleep:
        progress.slept_at = max(progress.slept_at, m.sent_at)
        sleep_with_followers(core, role)


def on_snapshot_reply(core: CoreState, role: Leader, m: SnapshotReply) -> None:
    progress = role.progress.get(m.src)
    if progress is None:
        return
    progress.heard(core.now)
    confirm(role, progress, m)
    if m.installed:
        progress.halted = None
        progress.accepted(m.index)
        advance_commit(core, role)
    elif progress.snapshot is not None and progress.snapshot.index == m.index:
        # A reply to an earlier chunk moves nothing back, and a duplicate asks for nothing twice.
        if m.offset > progress.offset or m.sent_at == progress.chunk_sent_at:
            if m.sent_at == progress.chunk_sent_at:
                progress.chunk_took(core.now - m.sent_at, core.config.snapshot_chunk_bytes)
            progress.offset = m.offset
            send_chunk(core, role, m.src, progress)


def confirm(role: Leader, progress: Progress, m: AppendReply | SnapshotReply) -> None:
    """The peer followed this leader when it received the message of `sent_at`. Refusals do not count (W2)."""
    index = 0 if type(m) is SnapshotReply and not m.installed else m.index
    counts = m.sent_at > role.lease_since and index >= role.lease_index
    progress.confirmed(m.round, m.sent_at if counts else NO_LEASE)
    progress.life = m.life
    if role.lease_void and m.round >= role.lease_void.get(m.src, NEVER):
        del role.lease_void[m.src]


def on_snapshot_lost(core: CoreState, role: Leader, m: SnapshotLost) -> None:
    progress = role.progress.get(m.peer)
    if progress is not None and progress.state == SNAPSHOT:
        progress.become_probe(progress.match + 1)
        progress.probing = True  # asked for again with the next heartbeat, not in a loop


def on_persisted(core: CoreState, role: Leader, m: Persisted) -> None:
    """A leader counts itself only up to what is on its own disk."""
    anyone_on_persisted(core, role, m)
    advance_commit(core, role)


def advance_commit(core: CoreState, role: Leader) -> None:
    """What a majority has on disk is committed, if it is of this term (Raft 5.4.2, figure 8)."""
    log = core.log
    match = {peer: progress.match for peer, progress in role.progress.items()}
    index = reached_by_quorum(pick(match, core.membership.current.voters, core.id, log.durable))
    if index > log.commit and log.term_at(index) == core.term:
        for entry in log.slice(max(log.commit + 1, role.first_index), index):
            role.uncommitted -= count_of(entry.body)
            role.uncommitted_bytes -= size_of(entry)
        was_settled = log.commit >= role.first_index
        log.commit_to(index)
        if not was_settled:
            restart_lease(core, role)


# -- reads -----------------------------------------------------------------------------------------


def leader_lease_until(core: CoreState, role: Leader) -> Millis:
    """When this leader's lease ends; in the past where there is none."""
    config = core.config
    if not config.lease_reads or role.lease_void or core.log.commit < role.first_index:
        return NO_LEASE
    sent_at = {peer: progress.lease_from for peer, progress in role.progress.items()}
    voters = core.membership.current.voters
    own = [core.now if voter == core.id else sent_at.get(voter, NO_LEASE) for voter in voters]
    return lease_until(own, config.election_ms, config.clock_drift_margin_ms)


def settle_reads(core: CoreState) -> None:
    """Release the reads that are confirmed, and start the round of those that wait.

    One round at a time: reads that arrive meanwhile share the next (Raft thesis 6.4).
    """
    role = core.role
    assert type(role) is Leader
    rounds = {peer: progress.round for peer, progress in role.progress.items()}
    voters = core.membership.current.voters
    while role.reads:
        batch = role.reads[0]
        if batch.round > role.round:
            role.round = batch.round
            for peer, progress in role.progress.items():
                if progress.state != SNAPSHOT:
                    send_append(core, role, peer, progress)
        if not is_confirmed(batch.round, pick(rounds, voters, core.id, role.round)):
            return
        if core.log.applied < batch.index:
            return
        (core.ready.reads if batch.round else core.ready.lease_reads).extend(batch.tokens)
        role.reads.popleft()
