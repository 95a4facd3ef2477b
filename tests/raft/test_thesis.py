"""One test a rule of the Raft thesis that goes beyond the paper."""

from fleet.raft.entries import Entry, MemberAdded, MemberDemoted, MemberPromoted, MemberRemoved
from fleet.raft.events import Change, Propose, ReadQuery, Tick, Transfer
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    PreVote,
    PreVoteReply,
    TimeoutNow,
    VoteRequest,
)
from fleet.raft.ready import CHANGE_IN_PROGRESS
from fleet.raft.state import Candidate, Follower
from tests.raft.cores import (
    FIVE,
    LEASES,
    N1,
    N2,
    N3,
    N4,
    accept,
    all_said,
    answered,
    append,
    command,
    follower,
    leader,
    leading,
    read,
    said,
    settle,
    settled,
    step,
    vote_for,
    written,
)

# -- thesis 9.6: pre-vote  ---


def test_asking_first_changes_nobodys_term() -> None:
    core = follower()
    core.step(core.deadline, Tick())
    readies = settle(core)
    assert core.term == 1 and written(readies) == []
    assert [m.term for m in said(readies, PreVote)] == [2, 2]
    other = follower(me=N2)
    (reply,) = said(step(other, PreVote(2, N1, N2, last_index=1, last_term=1)), PreVoteReply)
    assert reply.granted and other.term == 1 and other.vote is None


def test_a_pre_vote_is_refused_while_a_leader_is_heard() -> None:
    core = follower()
    append(core, (1, 1))
    settle(core)
    (reply,) = said(step(core, PreVote(9, N3, N1, last_index=9, last_term=9), later=999), PreVoteReply)
    assert not reply.granted and reply.term == 1
    (reply,) = said(step(core, PreVote(9, N3, N1, last_index=9, last_term=9), later=1), PreVoteReply)
    assert reply.granted


def test_a_pre_vote_is_refused_to_a_shorter_log() -> None:
    core = follower(terms=(1, 1))
    (reply,) = said(step(core, PreVote(2, N3, N1, last_index=1, last_term=1)), PreVoteReply)
    assert not reply.granted


def test_a_pre_candidate_needs_a_majority_before_it_raises_its_term() -> None:
    core = follower(voters=FIVE)
    core.step(core.deadline, Tick())
    core.step(core.now, PreVoteReply(2, N2, N1, granted=True))
    assert core.term == 1
    core.step(core.now, PreVoteReply(2, N3, N1, granted=True))
    assert core.term == 2


def test_a_vote_is_withheld_while_a_leader_is_heard() -> None:
    """Thesis 4.2.3; the term stays, too: otherwise the asker would depose the leader."""
    core = follower()
    append(core, (1, 1))
    settle(core)
    assert vote_for(core, N3, 2, transfer=False) == []
    assert core.term == 1
    assert vote_for(core, N3, 2, transfer=True) == [True]


# -- 6.2: check-quorum  ---


def test_a_leader_that_no_majority_answers_steps_down_within_an_election_timeout() -> None:
    core = settled()
    asked = core.now
    core.step(core.now, ReadQuery(5))
    while core.is_leader and core.now < asked + 60_000:
        core.step(core.deadline, Tick())
    assert core.now - asked <= 1000 + 100
    assert list(answered(settle(core)).values()) == ["leadership lost"]


def test_a_leader_that_a_majority_answers_stays() -> None:
    core = settled(voters=FIVE)
    for _ in range(100):
        core.step(core.deadline, Tick())
        accept(core, N2)
        accept(core, N3)
    assert core.is_leader


def test_refusals_are_answers_too() -> None:
    """A follower that lags refuses appends, and still follows."""
    core = settled()
    for _ in range(50):
        core.step(core.deadline, Tick())
        core.step(
            core.now, AppendReply(2, N2, N1, ok=False, index=1, hint=0, hint_term=0, round=0, sent_at=0)
        )
    assert core.is_leader


# -- 6.4: reads  ---


def test_a_read_waits_for_a_majority_that_was_asked_after_it() -> None:
    core = settled()
    readies = step(core, ReadQuery(7))
    (round,) = {m.round for m in said(readies, AppendEntries)}
    assert read(readies) == []
    accept(core, N2, round=round - 1)
    assert read(settle(core)) == []
    accept(core, N2, round=round)
    assert read(settle(core)) == [7]


def test_reads_that_wait_share_one_round() -> None:
    core = settled()
    readies = step(core, ReadQuery(1))
    for token in (2, 3, 4):
        readies += step(core, ReadQuery(token))
    assert len(said(readies, AppendEntries)) == 2
    accept(core, N2, round=leading(core).round)
    readies = settle(core)
    assert read(readies) == [1] and len(said(readies, AppendEntries)) == 2
    accept(core, N3, round=leading(core).round)
    assert read(settle(core)) == [2, 3, 4]


def test_a_read_waits_for_the_first_commit_of_the_leaders_term() -> None:
    """W2: a leader does not know what its predecessor acknowledged before that."""
    core = leader()
    step(core, ReadQuery(7))
    accept(core, N2, index=1, round=1)
    assert read(settle(core)) == []
    accept(core, N2, round=1)
    assert read(settle(core)) == [7]


def test_a_read_writes_nothing() -> None:
    core = settled()
    assert written(step(core, ReadQuery(7))) == []
    assert core.log.last_index == 2


def test_a_lease_counts_from_when_the_acknowledged_message_left() -> None:
    """RV26: a delayed network must not lengthen it. 1000 ms of loyalty less 200 ms for the clocks."""
    core = settled(config=LEASES)
    left = core.now + 50
    core.step(
        left + 700, AppendReply(2, N2, N1, ok=True, index=2, hint=0, hint_term=0, round=0, sent_at=left)
    )
    assert core.lease_holds(left + 799)
    assert not core.lease_holds(left + 800)


def test_a_lease_answers_without_a_message() -> None:
    core = settled(config=LEASES)
    core.step(core.now + 10, Tick())
    accept(core, N2)
    settle(core)
    readies = step(core, ReadQuery(7))
    assert read(readies) == [7] and all_said(readies) == []
    readies = step(core, ReadQuery(8, lease=False))
    assert read(readies) == [] and len(all_said(readies)) == 2


# -- 3.10: leadership transfer  ---


def test_leadership_is_handed_over_when_the_target_has_everything() -> None:
    core = settled()
    core.step(core.now, Propose(1, (command(),)))
    readies = step(core, Transfer(9, N2))
    assert said(readies, TimeoutNow) == []
    accept(core, N2)
    assert said(settle(core), TimeoutNow) == [TimeoutNow(2, N1, N2)]


def test_the_target_campaigns_at_once_and_is_not_held_off() -> None:
    core = follower()
    append(core, (1, 1))
    settle(core)
    requests = said(step(core, TimeoutNow(1, N2, N1, round=0, life=core.life)), VoteRequest)
    assert [m.transfer for m in requests] == [True, True] and core.term == 2


# -- 4.1, 4.2: membership  ---


def test_a_change_is_in_force_as_soon_as_it_is_appended() -> None:
    """Thesis 4.1: the new majority decides about its own entry."""
    core = settled(learners=(N4,))
    accept(core, N4)
    step(core, Change(1, MemberPromoted(N4)))
    accept(core, N2)
    assert core.log.commit == 2
    accept(core, N3)
    assert core.log.commit == 3


def test_a_learner_does_not_count() -> None:
    core = leader(learners=(N4,))
    accept(core, N4)
    assert core.log.commit == 0


def test_one_change_at_a_time() -> None:
    core = settled()
    step(core, Change(1, MemberAdded(N4, "a4")))
    assert answered(step(core, Change(2, MemberRemoved(N3)))) == {2: CHANGE_IN_PROGRESS}
    accept(core, N2)
    assert answered(settle(core)) == {1: None}
    assert answered(step(core, Change(3, MemberRemoved(N3)))) == {}


def test_no_change_before_the_leaders_first_commit() -> None:
    """The bug in single-server changes, raft-dev 2015; W8."""
    core = leader()
    assert answered(step(core, Change(1, MemberAdded(N4, "a4")))) == {1: CHANGE_IN_PROGRESS}
    assert core.membership.current.learners == ()


def test_a_learner_never_campaigns() -> None:
    core = follower(voters=(N2, N3), learners=(N1,))
    append(core, (1, 1))
    core.step(10**9, Tick())
    assert type(core.role) is Follower
    for asked in said(settle(core), PreVote):  # whether it was removed, which any answer leaves at that
        core.step(core.now, PreVoteReply(asked.term, asked.dst, N1, granted=True))
    assert type(core.role) is Follower and core.term == 1 and settle(core) == []


def test_a_voter_whose_demotion_is_not_committed_may_still_lead() -> None:
    """Thesis 4.2.2. The leader lost the entry that demoted the other voter: only that one has the log that
    wins. Seed 1269 of the simulator: two members, for ever without a leader."""
    core = follower(voters=(N1, N2))
    append(core, (1, 1))
    core.merge((Entry(1, core.log.last_index + 1, MemberDemoted(N1)),))
    settle(core)
    core.step(10**9, Tick())
    assert type(core.role) is Candidate and core.membership.current.voters == (N2,)
