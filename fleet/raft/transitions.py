"""Changes of role and term: the only writers of `role`, `term`, `vote` and `leader`."""

from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    ConfigChanged,
    Entry,
    MemberAdded,
    MemberChange,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
    Noop,
)
from fleet.raft.ids import Index, MemberId, Millis, Term
from fleet.raft.messages import Message, PreVote, Removed, VoteRequest
from fleet.raft.progress import NO_LEASE, Progress
from fleet.raft.quorum import has_quorum
from fleet.raft.ready import (
    LOST,
    TARGET_UNRESPONSIVE,
    BecameLeader,
    CommittedConflict,
    ConfigAdopted,
    MembersChanged,
    SteppedDown,
)
from fleet.raft.state import NEVER, Candidate, CoreState, Follower, Handover, Leader

CHANGE_NAMES = {
    MemberAdded: "added",
    MemberPromoted: "promoted",
    MemberDemoted: "demoted",
    MemberRemoved: "removed",
}


# -- time ------------------------------------------------------------------------------------------


def reset_election_deadline(core: CoreState) -> None:
    """A random time in [1x, 2x) of the election timeout. Members that do not vote wake, too: they may have
    been removed without hearing of it.

    The first founder of a group that never had a leader asks again soon: the others are just starting.
    """
    core.asleep = False
    if core.term == 1 and core.membership.current.voters[:1] == (core.id,):
        waited = core.now - core.started_at
        core.deadline = core.now + min(core.config.election_ms, max(core.config.heartbeat_ms // 4, waited))
    elif type(core.role) is Candidate:
        patience = campaign_patience(core)
        core.deadline = core.now + patience + int(core.rng.random() * patience)
    elif core.removed or not core.membership.current.voters:
        core.deadline = NEVER
    else:
        patience = core.config.election_ms
        core.deadline = core.now + patience + int(core.rng.random() * patience) + reluctance(core)


def reluctance(core: CoreState) -> Millis:
    """How much longer a member that has halted waits before it campaigns: one that executes should lead."""
    return core.config.election_ms if core.halt is not None else 0


def campaign_patience(core: CoreState) -> Millis:
    """The shortest time from one campaign to the next: a fraction of the election timeout at first, since
    members without a leader are ready to vote; longer each time, for slow disks and links.
    """
    config = core.config
    patience = config.election_ms // 4 << min(core.tries, 8)
    return max(2 * config.heartbeat_ms, min(config.election_ms, patience))


def next_on_grid(now: Millis, step: Millis) -> Millis:
    """The next multiple of `step`: heartbeats of all the node's groups share their frames."""
    return now - now % step + step


# -- terms and roles -------------------------------------------------------------------------------


def adopt_term(core: CoreState, term: Term) -> None:
    """A later term exists: whatever this member was, it is a follower now (Raft 5.1)."""
    assert term > core.term
    become_follower(core)
    if core.asleep:
        reset_election_deadline(core)
    core.term, core.vote, core.leader = term, None, None
    core.grace_until = -NEVER


def become_follower(core: CoreState) -> None:
    if type(core.role) is Leader:
        retire(core, core.role)
    if type(core.role) is not Follower:
        core.role = Follower()
        core.leader = None
        reset_election_deadline(core)


def retire(core: CoreState, role: Leader) -> None:
    """Answer all open requests of a leader that steps down: appended changes may still be committed."""
    core.leader = None
    for token in role.waiting.values():
        core.answer(token, LOST)
    for batch in role.reads:
        for token in batch.tokens:
            core.answer(token, LOST)
    if role.handover is not None:
        core.handed_over = role.handover
    core.ready.hooks.append(SteppedDown(core.term, None))


def follow(core: CoreState, leader: MemberId) -> None:
    """`leader` was heard in this term."""
    assert type(core.role) is not Leader, f"two leaders in term {core.term}: {core.id} and {leader}"
    become_follower(core)
    core.leader = leader
    core.heard_at = core.now
    core.tries = 0
    reset_election_deadline(core)
    if core.handed_over is not None:
        settle_handover(core, core.handed_over, leader)


def settle_handover(core: CoreState, handover: Handover, leader: MemberId | None) -> None:
    core.handed_over = None
    if handover.token is not None:
        core.answer(handover.token, None if leader == handover.target else TARGET_UNRESPONSIVE)


def become_pre_candidate(core: CoreState) -> None:
    """Ask first whether an election could be won, without changing any term (Raft thesis 9.6)."""
    assert core.may_lead
    if core.handed_over is not None:
        settle_handover(core, core.handed_over, None)
    become_follower(core)
    core.role = Candidate(pre=True, granted={core.id})
    core.leader = None
    reset_election_deadline(core)
    core.tries += 1
    if has_quorum({core.id}, core.membership.current.voters):
        become_candidate(core, transfer=False)
        return
    for peer in other_voters(core):
        core.send(PreVote(core.term + 1, core.id, peer, core.log.last_index, core.log.last_term))


def become_candidate(core: CoreState, transfer: bool) -> None:
    """Its own vote counts when it is durable; vote requests leave only then (S09)."""
    assert core.may_lead and type(core.role) is not Leader
    core.term += 1
    core.vote = core.id
    core.leader = None
    core.role = Candidate(pre=False, transfer=transfer)
    reset_election_deadline(core)
    for peer in other_voters(core):
        core.send_durably(
            VoteRequest(core.term, core.id, peer, core.log.last_index, core.log.last_term, transfer)
        )


def become_leader(core: CoreState) -> None:
    assert type(core.role) is Candidate and not core.role.pre
    assert has_quorum(core.role.granted, core.membership.current.voters)
    next_index = core.log.last_index + 1
    core.role = Leader(
        first_index=next_index,
        progress={peer: Progress(next_index, core.now) for peer in others(core)},
        next_heartbeat=next_on_grid(core.now, core.config.heartbeat_ms),
        elected_at=core.now,
        active_at=core.now,
    )
    core.leader = core.id
    core.tries = 0
    core.deadline = core.role.next_heartbeat
    core.handed_over = None
    core.incoming = None
    core.ready.hooks.append(BecameLeader(core.term))
    core.append(Noop())


def others(core: CoreState) -> list[MemberId]:
    return [member for member in core.membership.current.everyone if member != core.id]


def other_voters(core: CoreState) -> list[MemberId]:
    return [member for member in core.membership.current.voters if member != core.id]


# -- what commits ----------------------------------------------------------------------------------


def note_committed(core: CoreState, entry: Entry) -> None:
    """The core's own reaction to a committed entry."""
    body = entry.body
    kind = type(body)
    if kind is ConfigChanged:
        assert isinstance(body, ConfigChanged)
        adopt_config(core, body.config)
        core.ready.hooks.append(ConfigAdopted())
    elif kind in CHANGE_NAMES:
        assert isinstance(body, MemberChange)
        core.ready.hooks.append(MembersChanged(CHANGE_NAMES[kind], body.member, entry.index))
        if kind is MemberRemoved:
            _note_removed(core, body.member)
    if type(core.role) is Leader:
        token = core.role.waiting.pop(entry.index, None)
        if token is not None:
            core.answer(token, None, entry.index)
        if kind is MemberDemoted and not core.is_voter:
            become_follower(core)  # it led only until this was committed
            reset_election_deadline(core)


def adopt_config(core: CoreState, config: GroupConfig) -> None:
    core.config = config
    if type(core.role) is Leader:
        restart_lease(core, core.role)


def restart_lease(core: CoreState, role: Leader) -> None:
    """A lease relies on followers that use the leader's election timeout. Confirmations from before a change
    of the configuration are void, and so are those of followers that may not have committed the change; a
    follower has, once it accepts an append sent after this commit."""
    role.lease_since, role.lease_index = core.now, core.log.commit
    for progress in role.progress.values():
        progress.lease_from = NO_LEASE


def _note_removed(core: CoreState, member: MemberId) -> None:
    if member == core.id:
        leave_group(core)
    elif type(core.role) is Leader:
        core.send(Removed(core.term, core.id, member))


def leave_group(core: CoreState) -> None:
    """A committed change removed this member: stop."""
    become_follower(core)
    core.removed = True
    core.ready.removed = True
    core.asleep, core.deadline = False, NEVER


def stop_in_conflict(core: CoreState, leader: MemberId, at: Index, leader_term: Term) -> None:
    """Stop without overwriting or promising anything: one of two committed histories must be given up, and
    this member cannot decide which."""
    log = core.log
    become_follower(core)
    committed_term = log.term_at(core.committed) or 0
    core.conflict = CommittedConflict(leader, core.committed, committed_term, at, leader_term)
    core.ready.conflict = core.conflict
    core.ready.send_after.clear()
    core.asleep, core.deadline = False, NEVER


def is_loyal(core: CoreState) -> bool:
    """Whether this member protects a leader from elections: it heard it less than an election timeout
    ago, in this term or an earlier one: leases count on it (Raft thesis 4.2.3, 6.4.1). A leader protects
    itself: it steps down when it is not heard. A sleeping member relies on its leader's node being alive."""
    if type(core.role) is Leader or core.now - core.heard_at < core.config.election_ms:
        return True
    return core.asleep or core.now < core.grace_until


def is_stranger(core: CoreState, member: MemberId) -> bool:
    """Whether a leader that knows all that is committed has never heard of it: the leader that was adding
    it lost the change. It cannot be removed, so it has to be told to go (S25)."""
    role = core.role
    if type(role) is not Leader or core.log.commit < role.first_index:
        return False
    return not core.membership.knows_since(core.log.commit, member)


def is_proven_removed(core: CoreState, message: Message) -> bool:
    return message.src in core.membership.at(core.log.commit).removed
