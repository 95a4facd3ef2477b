"""What wakes a member that sleeps (`sleeping.py`): a request, a message of its group, a silent node, a
command that cannot be executed, time.

A leader that wakes sends heartbeats at once, which wake its followers. A follower that wakes for any other
reason doubts its leader: it asks it to show itself, and gives it an election timeout to do so.
"""

from fleet.raft.events import (
    Change,
    CheckLeader,
    ExecutionHalted,
    LocalEvent,
    NodeSilent,
    Propose,
    ReadQuery,
    Repair,
    Skip,
    SleepConfirmed,
    Tick,
    Transfer,
)
from fleet.raft.ids import node_of
from fleet.raft.leader import heartbeat, leader_lease_until, send_append
from fleet.raft.messages import AppendReply, LeaderCheck, PeerMessage, PreVote, SnapshotReply, VoteRequest
from fleet.raft.progress import NOT_OFFERED, REPLICATE
from fleet.raft.quorum import has_quorum
from fleet.raft.ready import PeerSilent
from fleet.raft.sleeping import next_check, sleeps
from fleet.raft.state import NEVER, CoreState, Follower, Leader
from fleet.raft.transitions import next_on_grid, reluctance, reset_election_deadline

REQUESTS = frozenset((Propose, ReadQuery, Change, Transfer, Skip, ExecutionHalted, Repair))
ELECTION = frozenset((PreVote, VoteRequest))


def wake_for(core: CoreState, event: PeerMessage | LocalEvent) -> None:
    """Called for a sleeping member before it handles `event`. Messages from its leader, and of later terms,
    wake a follower when it handles them."""
    kind = type(event)
    is_check_due = kind is Tick and core.now >= core.deadline
    role = core.role
    if type(role) is Leader:
        if type(event) is ReadQuery and event.lease and may_answer_asleep(core, role):
            return
        disturbs = kind in REQUESTS or kind in ELECTION or kind is SnapshotReply or is_check_due
        if disturbs or (type(event) is AppendReply and not event.asleep):
            wake_leader(core, role)
    elif is_check_due or kind is CheckLeader or kind is ExecutionHalted or kind is Repair:
        wake_in_doubt(core)
    elif type(event) is PreVote or type(event) is VoteRequest:
        if event.src == core.leader:
            reset_election_deadline(core)  # it campaigns, so it leads no more
        elif event.dst == core.id:
            wake_in_doubt(core)


def may_answer_asleep(core: CoreState, role: Leader) -> bool:
    """Whether a read needs nothing of the followers. Without an executor the leader may have to hand over."""
    return core.now < leader_lease_until(core, role) and core.away_since == NEVER


def wake_leader(core: CoreState, role: Leader) -> None:
    """Those who slept have an election timeout to answer, as after an election."""
    for progress in role.progress.values():
        if sleeps(role, progress):
            progress.acked_at, progress.has_answered = core.now, False
    core.asleep = False
    role.active_at, role.offered_at = core.now, NOT_OFFERED
    core.deadline = role.next_heartbeat = next_on_grid(core.now, core.config.heartbeat_ms)
    for peer, progress in role.progress.items():
        heartbeat(core, role, peer, progress)


def wake_in_doubt(core: CoreState) -> None:
    leader = core.leader
    assert leader is not None, "a member that sleeps has a leader"
    reset_election_deadline(core)
    core.grace_until = core.now + core.config.election_ms
    core.send(LeaderCheck(core.term, core.id, leader))


def on_leader_check(core: CoreState, role: Leader, m: LeaderCheck) -> None:
    """Show the follower that this leader is there. A sleeping leader sleeps on, if the follower does."""
    progress = role.progress.get(m.src)
    if progress is None:
        return
    if core.asleep and progress.state == REPLICATE and sleeps(role, progress):
        send_append(core, role, m.src, progress)
    elif core.asleep:
        wake_leader(core, role)
    else:
        heartbeat(core, role, m.src, progress)


def on_sleep_confirmed(core: CoreState, role: Leader, m: SleepConfirmed) -> None:
    """A lease while the group sleeps: its followers protect this leader as if they had heard it then. They
    sleep, so they have all that it has; and what left before `lease_since` prolongs no lease."""
    for peer, progress in role.progress.items():
        sent_at = m.sent_at.get(node_of(peer))
        if core.asleep and sent_at is not None and sent_at > role.lease_since and sleeps(role, progress):
            progress.lease_from = max(progress.lease_from, sent_at)


def on_leaders_node_silent(core: CoreState, role: Follower, m: NodeSilent) -> None:
    """An election timeout has passed without a sign of life, as if this member had been awake: what remains
    is the random part."""
    if core.leader is None or node_of(core.leader) != m.node:
        return
    if not core.asleep and core.now >= core.grace_until:
        return  # it hears for itself whether the leader is there
    core.asleep, core.grace_until = False, -NEVER
    core.deadline = core.now + int(core.rng.random() * core.config.election_ms) + reluctance(core)


def on_followers_node_silent(core: CoreState, role: Leader, m: NodeSilent) -> None:
    """A sleeping leader needs a majority of voters whose nodes are alive."""
    if not core.asleep:
        return
    for peer, progress in role.progress.items():
        if node_of(peer) == m.node and sleeps(role, progress):
            progress.slept_at = NOT_OFFERED
            core.ready.hooks.append(PeerSilent(peer))
            core.deadline = next_check(core)
    alive = {peer for peer, progress in role.progress.items() if sleeps(role, progress)}
    if not has_quorum(alive | {core.id}, core.membership.current.voters):
        wake_leader(core, role)
