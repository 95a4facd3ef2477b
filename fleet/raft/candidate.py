"""Handlers of a candidate, asking first (pre-vote) or in earnest."""

from fleet.raft.any_role import on_persisted as anyone_on_persisted
from fleet.raft.events import Persisted, Tick
from fleet.raft.leader import lead
from fleet.raft.messages import PreVoteReply, VoteReply
from fleet.raft.quorum import has_quorum
from fleet.raft.state import Candidate, CoreState
from fleet.raft.transitions import become_candidate, become_follower, become_leader, become_pre_candidate


def on_tick(core: CoreState, role: Candidate, m: Tick) -> None:
    """No decision within an election timeout: ask again, from the start."""
    if core.now < core.deadline:
        return
    if core.may_lead and not core.storage_hangs():
        become_pre_candidate(core)
    else:
        become_follower(core)


def on_persisted(core: CoreState, role: Candidate, m: Persisted) -> None:
    """The own vote counts once it is on disk."""
    anyone_on_persisted(core, role, m)
    if not role.pre and core.promise_is_durable:
        role.granted.add(core.id)
        win_if_elected(core, role)


def on_pre_vote_reply(core: CoreState, role: Candidate, m: PreVoteReply) -> None:
    if not role.pre or not m.granted or m.term != core.term + 1:
        return
    role.granted.add(m.src)
    if has_quorum(role.granted, core.membership.current.voters):
        become_candidate(core, transfer=False)


def on_vote_reply(core: CoreState, role: Candidate, m: VoteReply) -> None:
    core.note_clock(m.src, m.wall_ms)
    if role.pre or not m.granted:
        return
    role.granted.add(m.src)
    win_if_elected(core, role)


def win_if_elected(core: CoreState, role: Candidate) -> None:
    if has_quorum(role.granted, core.membership.current.voters):
        become_leader(core)
        lead(core)
