"""One test a rule of the Raft paper, in its order."""

import pytest

from fleet.raft.entries import Entry, HardState, Noop
from fleet.raft.events import Persisted, Propose, Tick
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    PreVote,
    PreVoteReply,
    VoteReply,
    VoteRequest,
)
from fleet.raft.ready import SteppedDown
from fleet.raft.state import Candidate, Follower
from tests.raft.cores import (
    FIVE,
    N1,
    N2,
    N3,
    N4,
    N8,
    N9,
    accept,
    append,
    campaign,
    command,
    each,
    entries,
    follower,
    leader,
    said,
    settle,
    settled,
    step,
    take,
    terms_of,
    vote_for,
    write_of,
)

# -- 5.1, 5.2: terms and elections  ---


def test_a_later_term_in_any_message_makes_a_leader_a_follower() -> None:
    core = settled()
    readies = step(core, AppendReply(9, N2, N1, ok=False, index=0, hint=0, hint_term=0, round=0, sent_at=0))
    assert type(core.role) is Follower and core.term == 9 and core.vote is None
    assert [type(hook) for ready in readies for hook in ready.hooks] == [SteppedDown]


def test_an_old_leader_is_told_the_term_that_ended_it() -> None:
    core = follower(term=5)
    (reply,) = said(
        step(
            core,
            AppendEntries(4, N2, N1, prev_index=1, prev_term=1, entries=(), commit=1, round=0, sent_at=7),
        ),
        AppendReply,
    )
    assert (reply.term, reply.ok) == (5, False)
    assert core.leader is None


def test_a_member_votes_once_in_a_term() -> None:
    core = follower()
    assert vote_for(core, N2, 2) == [True]
    assert vote_for(core, N3, 2) == [False]
    assert vote_for(core, N2, 2) == [True]
    assert vote_for(core, N3, 3) == [True]


def test_a_vote_is_told_when_it_is_durable_and_not_before() -> None:
    core = follower()
    core.step(0, VoteRequest(2, N2, N1, last_index=1, last_term=1, transfer=True))
    (ready,) = take(core)
    assert ready.send_now == [] and ready.after_seq == write_of(ready).seq
    assert write_of(ready).hard == HardState(2, N2)
    assert ready.send_after == [VoteReply(2, N1, N2, granted=True)]


def test_a_candidate_asks_for_votes_when_its_own_is_durable() -> None:
    core = follower()
    core.step(core.deadline, Tick())
    core.step(core.now, PreVoteReply(2, N2, N1, granted=True))
    readies = take(core)
    assert core.term == 2 and core.vote == N1
    assert [type(m) for ready in readies for m in ready.send_now] == [PreVote, PreVote]
    assert [type(m) for ready in readies for m in ready.send_after] == [VoteRequest, VoteRequest]


def test_a_candidate_leads_with_a_majority_of_votes_and_not_with_less() -> None:
    core = follower(voters=FIVE)
    campaign(core)
    step(core, VoteReply(2, N2, N1, granted=True))
    step(core, VoteReply(2, N2, N1, granted=True))
    step(core, VoteReply(2, N4, N1, granted=False))
    assert isinstance(core.role, Candidate)
    step(core, VoteReply(2, N3, N1, granted=True))
    assert core.is_leader


def test_votes_of_an_earlier_term_and_of_strangers_do_not_count() -> None:
    core = follower(term=1, voters=FIVE)
    campaign(core)
    for term, voter in [(1, N3), (1, N4), (2, N8), (2, N9)]:
        step(core, VoteReply(term, voter, N1, granted=True))
    assert type(core.role) is Candidate


def test_a_new_leader_speaks_at_once_and_its_first_entry_is_of_its_term() -> None:
    core = follower()
    campaign(core)
    messages = said(step(core, VoteReply(2, N2, N1, granted=True)), AppendEntries)
    assert {m.dst for m in messages} == {N2, N3}
    assert all(m.entries == (Entry(2, 2, Noop()),) for m in messages)


def test_a_candidate_follows_a_leader_of_its_own_term() -> None:
    core = follower()
    campaign(core)
    append(core, (1, 1))
    assert type(core.role) is Follower and core.leader == N2


def test_election_timeouts_are_random_between_one_and_two_times_the_setting() -> None:
    core, deadlines = follower(), set()
    for _ in range(300):
        append(core, (1, 1))
        deadlines.add(core.deadline - core.now)
    assert 1000 <= min(deadlines) < 1100 and 1900 < max(deadlines) < 2000


def test_every_word_of_the_leader_restarts_the_election_timeout() -> None:
    core = follower()
    for _ in range(50):
        core.step(
            core.now + 900,
            AppendEntries(1, N2, N1, prev_index=1, prev_term=1, entries=(), commit=1, round=0, sent_at=0),
        )
        core.step(core.now, Tick())
    assert type(core.role) is Follower and said(take(core), PreVote) == []


# -- 5.3: replication  ---


def test_a_leader_never_overwrites_its_own_log() -> None:
    """Leader append-only. A second leader in one term: a vote was forgotten, and the member halts."""
    core = settled()
    before = list(core.log.entries)
    append(core, (0, 0), entries(2, 2, 2))
    assert core.log.entries == before and core.conflict is not None


def test_an_append_is_refused_where_the_previous_entry_differs() -> None:
    core = follower(term=3, terms=(1, 1, 2))
    append(core, (3, 3), entries(3, first=4), src=N2)
    (reply,) = said(settle(core), AppendReply)
    assert (reply.ok, reply.index, reply.hint, reply.hint_term) == (False, 3, 3, 2)
    assert terms_of(core) == [1, 1, 2]


def test_a_conflicting_suffix_goes_and_nothing_before_it() -> None:
    core = follower(term=3, terms=(1, 1, 2, 2, 2))
    append(core, (2, 1), entries(3, first=3))
    (reply,) = said(settle(core), AppendReply)
    assert terms_of(core) == [1, 1, 3]
    assert (reply.ok, reply.index) == (True, 3)


def test_an_acknowledgement_speaks_only_of_what_the_message_proved() -> None:
    """W1: a stale suffix after the verified part was acknowledged."""
    core = follower(term=3, terms=(1, 1, 2, 2, 2))
    append(core, (2, 1), (), commit=5)
    (reply,) = said(settle(core), AppendReply)
    assert (reply.ok, reply.index) == (True, 2)
    assert core.log.commit == 2


def test_an_acknowledgement_waits_for_the_disk() -> None:
    core = follower()
    append(core, (1, 1), entries(1, first=2))
    (ready,) = take(core)
    assert ready.send_now == []
    assert [type(m) for m in ready.send_after] == [AppendReply]
    assert ready.after_seq == write_of(ready).seq


def test_a_leader_backs_over_a_whole_conflicting_term_in_one_round_trip() -> None:
    """Raft 5.3, last paragraph: the follower has 40 entries of a term that the leader never saw."""
    core = leader(term=9, terms=(1, 1, *[8] * 40))
    core.step(core.now, AppendReply(9, N2, N1, ok=False, index=42, hint=41, hint_term=5, round=0, sent_at=0))
    (probe,) = said(settle(core), AppendEntries)
    assert (probe.prev_index, probe.prev_term) == (2, 1)


def test_a_leader_does_not_count_itself_before_its_own_disk_does() -> None:
    core = settled(terms=(1,))
    core.step(core.now, Propose(1, (command(),)))
    take(core)
    accept(core, N2)
    assert core.log.commit == core.log.last_index - 1
    core.step(core.now, Persisted(core.seq))
    assert core.log.commit == core.log.last_index


def test_entries_leave_before_the_leaders_own_write_is_done() -> None:
    """Thesis 10.2.1: the disk of the leader works while the network does."""
    core = settled()
    core.step(core.now, Propose(1, (command(),)))
    ready = take(core)[0]
    assert [m.entries[-1].index for m in each(ready.send_now, AppendEntries)] == [3, 3]
    assert core.log.durable == 2


def test_a_majority_of_five_is_three() -> None:
    core = leader(voters=FIVE)
    accept(core, N2)
    assert core.log.commit == 0
    accept(core, N3)
    assert core.log.commit == 2


# -- 5.4: safety  ---


@pytest.mark.parametrize(
    ("index", "term", "granted"),
    [(2, 3, True), (1, 4, True), (3, 3, True), (9, 2, False), (1, 3, False), (0, 0, False)],
)
def test_only_a_log_that_is_as_complete_gets_the_vote(index: int, term: int, granted: bool) -> None:
    """Raft 5.4.1: the last terms are compared first, then the lengths."""
    core = follower(term=4, terms=(1, 3))
    assert vote_for(core, N2, 5, index, term) == [granted]


def test_an_older_term_is_not_committed_by_counting_copies() -> None:
    """Raft 5.4.2, figure 8."""
    core = leader(term=4, terms=(2, 2))
    accept(core, N2, index=2)
    assert core.log.commit == 0
    accept(core, N2, index=3)
    assert core.log.commit == 3
