"""Scenarios of reads and leases, by their ids."""

import pytest

from fleet.raft.config import GroupConfig
from fleet.raft.entries import ConfigChanged
from fleet.raft.events import Change, ReadQuery, Tick, Transfer
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    PreVoteReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from fleet.raft.ready import LOST
from fleet.raft.state import Follower
from tests.raft.asking import do, open_session
from tests.raft.cores import (
    LEASES,
    N1,
    N2,
    N3,
    accept,
    all_said,
    append,
    follower,
    leader,
    leading,
    read,
    said,
    settle,
    settled,
    step,
)
from tests.raft.world import World, member


def test_s17_a_new_leader_never_answers_with_the_old_value() -> None:
    """W2: acknowledged by the old leader through n2, which does not know of the commit, and leads now."""
    world = World.of(3, config=LEASES)
    old = world.make_leader(member(1))
    world.isolate(member(3))
    session = open_session(world)
    world.weather.drop = lambda m: type(m) is AppendEntries and m.dst == member(2) and m.commit > 7
    assert do(world, session, 1).values == (b"1",)
    new = world.hosts[member(2)]
    assert new.core.log.commit < old.core.log.commit
    world.kill(old.id)
    world.weather.cut.clear()
    world.run(10_000, lambda: new.core.is_leader)
    token = world.ask(new.id, ReadQuery)
    assert token not in world.values
    world.run(1000)
    assert world.values[token][0] == b"1"


def test_s18_the_lease_ends_before_the_word_to_campaign_leaves() -> None:
    core = settled(config=LEASES)
    core.step(core.now + 10, Tick())
    accept(core, N2)
    assert core.lease_holds(core.now)
    core.step(core.now, Transfer(9, N2))
    assert said(settle(core), TimeoutNow) != [] and not core.lease_holds(core.now)
    core.step(core.now, Transfer(10, None))
    accept(core, N3, at=core.now)
    assert not core.lease_holds(core.now), "the word may still arrive"


def test_s18_the_lease_comes_back_when_the_target_follows_on_after_a_transfer_was_given_up() -> None:
    """After one transfer that failed no read of that leadership was answered under the lease any more."""
    core = settled(config=LEASES)
    core.step(core.now, Transfer(9, N2))
    (word,) = said(settle(core), TimeoutNow)
    for _ in range(3):
        core.step(core.now + core.config.transfer_timeout_ms // 2, Tick())
        settle(core)
        for voter in (N2, N3):
            accept(core, voter, round=word.round)
        assert not core.lease_holds(core.now), "nothing shows that the target takes the word no more"
    assert leading(core).handover is None
    given_up = leading(core).round
    assert given_up > word.round
    accept(core, N3, round=given_up)
    assert not core.lease_holds(core.now), "it is another one's word"
    accept(core, N2, round=given_up)
    assert core.lease_holds(core.now)


def test_s18_a_word_that_was_taken_back_is_none() -> None:
    core = follower(config=LEASES)
    core.step(
        core.now,
        AppendEntries(1, N2, N1, prev_index=1, prev_term=1, entries=(), commit=0, round=5, sent_at=core.now),
    )
    settle(core)
    late, other_life = (
        TimeoutNow(1, N2, N1, round=4, life=core.life),
        TimeoutNow(1, N2, N1, round=5, life=core.life + 1),
    )
    for word in (late, other_life):
        assert all_said(step(core, word)) == [] and core.term == 1
    assert said(step(core, TimeoutNow(1, N2, N1, round=5, life=core.life)), VoteRequest) != []


def test_s19_a_lease_is_not_prolonged_by_what_was_refused_or_left_before_the_first_commit() -> None:
    core = leader(config=LEASES)
    accept(core, N2)
    settle(core)
    assert core.log.commit == 2 and not core.lease_holds(core.now)
    core.step(
        core.now + 10,
        AppendReply(2, N2, N1, ok=False, index=2, hint=1, hint_term=1, round=0, sent_at=core.now + 10),
    )
    assert not core.lease_holds(core.now)
    accept(core, N2)
    assert core.lease_holds(core.now)


def test_s17_there_is_no_lease_before_the_first_commit_of_the_leaders_term() -> None:
    core = leader(config=LEASES)
    core.step(core.now + 10, Tick())
    accept(core, N2, index=1)
    accept(core, N3, index=1)
    assert core.log.commit == 0 and not core.lease_holds(core.now)


def test_s19_a_vote_is_withheld_within_a_lease_also_when_the_term_is_known_already() -> None:
    """The term came with a refused pre-vote; the request of that term must not find a free vote."""
    core = follower(config=LEASES)
    append(core, (1, 1))
    settle(core)
    core.step(core.now + 100, PreVoteReply(2, N3, N1, granted=False))
    assert core.term == 2
    assert (
        said(step(core, VoteRequest(2, N3, N1, last_index=9, last_term=1, transfer=False)), VoteReply) == []
    )
    assert said(
        step(core, VoteRequest(2, N3, N1, last_index=9, last_term=1, transfer=False), later=1000), VoteReply
    )[0].granted


def test_s19_a_restarted_member_is_as_loyal_as_the_newest_configuration_asks() -> None:
    """The change to slower elections is in its log; it does not know whether it is committed."""
    slow = GroupConfig(lease_reads=True, election_ms=5000)
    core = follower(term=2, terms=(1, 1), bodies={2: ConfigChanged(slow)})
    assert (
        said(
            step(core, VoteRequest(3, N3, N1, last_index=9, last_term=1, transfer=False), later=4999),
            VoteReply,
        )
        == []
    )
    assert type(core.role) is Follower
    step(core, Tick())
    assert type(core.role) is Follower, "nor does it campaign"
    assert said(
        step(core, VoteRequest(3, N3, N1, last_index=9, last_term=1, transfer=False), later=1), VoteReply
    )[0].granted


def test_s19_a_slower_configuration_makes_followers_patient_at_once() -> None:
    slow = ConfigChanged(GroupConfig(lease_reads=True, election_ms=5000))
    core = follower(term=2, terms=(1, 1), bodies={2: slow})
    append(core, (2, 1), (), commit=2)
    settle(core)
    step(core, Tick(), later=2100)
    assert type(core.role) is Follower


def test_s19_a_lease_of_the_old_configuration_is_void_under_the_new_one() -> None:
    core = settled(config=LEASES)
    core.step(core.now + 10, Tick())
    accept(core, N2)
    assert core.lease_holds(core.now)
    step(core, Change(1, ConfigChanged(GroupConfig(lease_reads=True, election_ms=5000))))
    accept(core, N3)
    settle(core)
    assert core.config.election_ms == 5000 and not core.lease_holds(core.now)


@pytest.mark.parametrize(("count", "failures"), [(3, 2), (5, 3), (7, 4)])
def test_rv19_reads_under_a_lease_are_answered_after_a_majority_is_lost_until_it_ends(
    count: int, failures: int
) -> None:
    world = World.of(count, config=LEASES)
    host = world.elect()
    session = open_session(world)
    assert do(world, session, 1).values == (b"1",)
    for id in [id for id in world.hosts if id != host.id][:failures]:
        world.kill(id)
    meanwhile = world.ask(host.id, ReadQuery)
    world.run(1)
    assert world.values[meanwhile][0] == b"1"
    world.run(LEASES.election_ms)
    late = world.ask(host.id, ReadQuery)
    world.run(3 * LEASES.election_ms)
    assert late not in world.values and world.leader is None


def test_s20_a_minority_leader_answers_no_read() -> None:
    world = World.of(3)
    old = world.elect()
    world.isolate(old.id)
    token = world.ask(old.id, ReadQuery)
    world.run(3000)
    assert token not in world.values and world.answers[token].error == LOST


def test_s20_confirmations_are_not_carried_over_terms() -> None:
    core = settled()
    step(core, ReadQuery(1))
    core.step(core.now, AppendReply(1, N2, N1, ok=True, index=2, hint=0, hint_term=0, round=99, sent_at=0))
    assert read(settle(core)) == []
