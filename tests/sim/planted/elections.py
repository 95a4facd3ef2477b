"""Planted in votes, terms and timers."""

from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from fleet.actors.member.actor import Member
from fleet.raft import any_role as anyone
from fleet.raft import candidate, follower, leader, leader_requests, quorum
from fleet.raft import transitions as change
from fleet.raft.log import Log
from fleet.raft.messages import AppendEntries, VoteReply, VoteRequest
from fleet.raft.ready import PersistRequest
from fleet.raft.state import Candidate, CoreState
from fleet.raft.transitions import become_follower, others, reset_election_deadline
from tests.sim.planted.patches import Handler, Patches, in_modules


def vote_not_persisted() -> Patches:
    """Neither term nor vote reaches the disk: whoever was restarted may vote again."""
    write = Member._write

    def forget(self: Any, request: PersistRequest) -> None:
        write(self, replace(request, hard=None))

    return [patch.object(Member, "_write", forget)]


def majority_off_by_one() -> Patches:
    """Half of the voters, rounded down, is a majority: one of three."""

    def half(count: int) -> int:
        return max(1, count // 2)

    return in_modules("majority", half, quorum, leader_requests)


def any_vote_reply_counts() -> Patches:
    """A candidate takes a vote that was refused for one that was granted."""
    reply = candidate.on_vote_reply

    def take(core: Any, role: Any, m: Any) -> None:
        reply(core, role, replace(m, granted=True))

    return [Handler(candidate.on_vote_reply, take)]


def second_vote_in_a_term() -> Patches:
    """A member votes for whoever has as complete a log, also if it voted for another in this term."""

    def vote(core: CoreState, role: Any, m: VoteRequest) -> None:
        granted = core.log.is_behind(m.last_index, m.last_term) and not core.is_leader
        if granted:
            become_follower(core)
            core.vote = m.src
            reset_election_deadline(core)
        core.send_durably(VoteReply(core.term, core.id, m.src, granted))

    return [Handler(anyone.on_vote_request, vote)]


def vote_for_a_shorter_log() -> Patches:
    """A vote is granted without asking whose log is more complete."""
    return [patch.object(Log, "is_behind", lambda self, last_index, last_term: True)]


def longest_log_wins() -> Patches:
    """Whose log is more complete is judged by its length alone, not by its last term."""
    return [patch.object(Log, "is_behind", lambda self, last_index, last_term: last_index >= self.last_index)]


def learners_votes_count() -> Patches:
    """Learners are asked for their votes, and these count."""

    def has_quorum(yes: Any, voters: Any) -> bool:
        return len(yes) >= quorum.majority(len(voters)) if voters else False

    return [
        *in_modules("has_quorum", has_quorum, candidate, change),
        patch.object(change, "other_voters", others),
    ]


def timer_is_not_reset() -> Patches:
    """Neither an append nor a vote puts the next election off, nor does it make loyal."""

    def follow(core: CoreState, leader: Any) -> None:
        deadline, heard_at = core.deadline, core.heard_at
        true_follow(core, leader)
        core.deadline, core.heard_at = deadline, heard_at

    true_follow = change.follow
    return in_modules("follow", follow, follower)


def no_pre_vote() -> Patches:
    """Whoever hears nobody campaigns in earnest, and nobody is loyal to a leader."""

    def campaign(core: CoreState) -> None:
        become_follower(core)
        change.become_candidate(core, transfer=False)

    def is_loyal(core: CoreState) -> bool:
        return False

    return [
        *in_modules("become_pre_candidate", campaign, follower, candidate),
        *in_modules("is_loyal", is_loyal, anyone, follower),
    ]


def leader_of_an_old_term_is_followed() -> Patches:
    """What left in an earlier term is taken as if it had left in this one."""
    worth = anyone.is_worth_handling

    def handle(core: CoreState, message: Any) -> bool:
        if type(message) is AppendEntries and message.term < core.term and type(core.role) is not Candidate:
            return not core.is_leader and core.leader in (None, message.src)
        return worth(core, message)

    return [patch.object(anyone, "is_worth_handling", handle)]


def votes_of_earlier_terms_count() -> Patches:
    """A vote that was given in an earlier term counts in this one."""
    worth = anyone.is_worth_handling

    def handle(core: CoreState, message: Any) -> bool:
        role = core.role
        is_late = type(message) is VoteReply and message.granted and message.term < core.term
        if is_late and message.dst == core.id and type(role) is Candidate and not role.pre:
            return True
        return worth(core, message)

    return [patch.object(anyone, "is_worth_handling", handle)]


def quorum_is_not_checked() -> Patches:
    """A leader that nobody answers goes on for ever, and answers reads under an endless lease."""
    return [patch.object(leader, "hears_quorum", lambda core, role: True)]
