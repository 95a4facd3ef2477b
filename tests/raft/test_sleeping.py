"""Idle groups: what makes their members sleep, and that whatever happens then ends with a working group."""

import pytest

from fleet.raft.config import GroupConfig
from fleet.raft.events import CheckLeader, ReadQuery
from fleet.raft.messages import (
    AppendEntries,
    LeaderCheck,
)
from fleet.raft.sleeping import CHECK_MS, GONE_TIMEOUTS
from fleet.raft.state import Leader
from tests.raft.sleepers import ASLEEP_MS, ELECTION_MS, Sleepers, quiet, sleeping_group
from tests.raft.stage import member


@pytest.fixture
def group() -> Sleepers:
    return sleeping_group()


# -- falling asleep --------------------------------------------------------------------------------------


def test_an_idle_group_sends_nothing(group: Sleepers) -> None:
    assert quiet(group, CHECK_MS - ASLEEP_MS) == []


def test_a_group_of_one_sleeps() -> None:
    alone = Sleepers("n1")
    alone.run(f"live {ASLEEP_MS}")
    assert alone.asleep == ["n1"] and alone.works()


def test_learners_sleep_with_the_group(group: Sleepers) -> None:
    group.run("start n4")
    group.core("n4").may_sleep = True
    group.run("change n1 add n4")
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == ["n1", "n2", "n3", "n4"] and group.works()


def test_members_whose_nodes_nobody_watches_do_not_sleep() -> None:
    group = Sleepers()
    for core in group.cores:
        core.may_sleep = False
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == []
    assert not any(isinstance(message, AppendEntries) and message.sleep for message in group.counted)
    assert len(quiet(group, ELECTION_MS)) >= 2 * ELECTION_MS // GroupConfig().heartbeat_ms


def test_a_group_with_requests_does_not_sleep(group: Sleepers) -> None:
    for _ in range(10):
        group.run("propose n1 x")
        group.run(f"live {ELECTION_MS}")
        assert group.asleep == []


def test_the_leader_stays_awake_until_every_follower_sleeps() -> None:
    group = Sleepers()
    group.run("live 1000")
    assert group.leading == ["n1"]
    group.core("n3").may_sleep = False
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == ["n2"]
    assert quiet(group, CHECK_MS // 10) and group.leading == ["n1"]


def test_a_follower_that_missed_a_command_keeps_the_leader_awake(group: Sleepers) -> None:
    group.run("cut n3")
    group.run("propose n1 x")
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == ["n3"] and group.core("n3").log.last_index < group.core("n1").log.last_index
    group.run("heal")
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == ["n1", "n2", "n3"]
    assert group.core("n3").log.last_index == group.core("n1").log.last_index


def test_an_offer_to_sleep_is_not_taken_by_a_follower_that_has_more(group: Sleepers) -> None:
    """It is late: the leader has appended since."""
    core = group.core("n2")
    last, term, commit = core.log.last_index, core.term, core.log.commit - 1
    group.step("n2", AppendEntries(term, member("n1"), core.id, last, term, (), commit, 0, group.now, True))
    assert not core.asleep


def test_a_voter_that_was_silent_for_long_keeps_nobody_awake(group: Sleepers) -> None:
    group.run("crash n3")
    assert group.works()
    group.run(f"live {2 * GONE_TIMEOUTS * ELECTION_MS}")
    assert group.asleep == ["n1", "n2"]
    assert quiet(group, CHECK_MS // 2) == []
    group.run("restart n3")
    assert group.works()


def test_a_learner_that_is_silent_keeps_the_leader_awake(group: Sleepers) -> None:
    """It may not know whom to ask when it is there: nobody but the leader can make the first step."""
    group.run("change n1 add n4")
    group.run(f"live {2 * GONE_TIMEOUTS * ELECTION_MS}")
    assert "n1" not in group.asleep


def test_two_members_of_five_that_are_gone_are_not_waited_for_but_three_are() -> None:
    group = Sleepers("n1", "n2", "n3", "n4", "n5")
    group.run("live 1000")
    for name in ("n4", "n5"):
        group.run(f"crash {name}")
    group.run(f"live {3 * GONE_TIMEOUTS * ELECTION_MS}")
    assert group.asleep == ["n1", "n2", "n3"]
    group.silence("n3", "n1")
    assert "n1" not in group.asleep
    group.run("crash n3")
    group.run(f"live {3 * ELECTION_MS}")
    assert group.leading == []


# -- waking ----------------------------------------------------------------------------------------------


def test_a_command_wakes_the_group_and_is_executed_in_one_round_trip(group: Sleepers) -> None:
    group.run("propose n1 x")
    group.run("settle")
    assert group.core("n1").log.applied == group.core("n1").log.last_index
    assert group.asleep == []
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == ["n1", "n2", "n3"]


def test_a_read_of_a_sleeping_group_makes_a_round() -> None:
    """Its lease is over: it counts from the last confirmations, and other leaders may have been elected."""
    group = Sleepers("n1", "n2", "n3", "lease_reads=true")
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == ["n1", "n2", "n3"] and not group.core("n1").lease_holds(group.now)
    group.step("n1", ReadQuery(0))
    assert not any("may" in line for line in group.lines)
    group.asked.append("read")
    group.run("settle")
    assert any("confirmed by a round" in line for line in group.lines)


def test_a_leader_that_wakes_gives_its_followers_an_election_timeout(group: Sleepers) -> None:
    group.run(f"wait {CHECK_MS // 2}")
    group.run("cut n1")
    group.run("propose n1 x")
    group.run(f"live {ELECTION_MS - 100}")
    assert group.core("n1").is_leader
    group.run("live 200")
    assert not group.core("n1").is_leader


def test_a_peer_that_slept_counts_for_a_change_only_once_it_has_answered(group: Sleepers) -> None:
    """S77, for a leader that has just woken."""
    group.run("crash n2")
    assert "n1: answers remove n3: change in progress" in group.run("change n1 remove n3")
    group.run(f"live {ELECTION_MS}")
    assert "n1: answers remove n3: would break quorum" in group.run("change n1 remove n3")


def test_a_configuration_change_wakes_the_group(group: Sleepers) -> None:
    group.run("change n1 demote n3")
    group.run("settle")
    assert group.asleep == [] and group.works()


def test_a_transfer_wakes_the_group(group: Sleepers) -> None:
    group.run("transfer n1 n2")
    group.run("live 500")
    assert group.leading == ["n2"] and group.works()


# -- nodes and processes that are lost -------------------------------------------------------------------


def test_a_follower_whose_leaders_node_is_silent_elects_another(group: Sleepers) -> None:
    group.run("crash n1")
    group.silence("n1", "n2", "n3")
    group.run(f"live {2 * ELECTION_MS}")
    assert len(group.leading) == 1 and group.works()


def test_a_silent_node_that_does_not_lead_wakes_nobody(group: Sleepers) -> None:
    group.run("crash n3")
    group.silence("n3", "n1", "n2")
    assert group.asleep == ["n1", "n2"]
    assert quiet(group, CHECK_MS // 2) == []


def test_an_election_waits_for_followers_that_have_not_noticed_yet(group: Sleepers) -> None:
    """The second to notice protects the leader for an election timeout more, unless it notices, too."""
    group.run("crash n1")
    group.silence("n1", "n2")
    group.run(f"live {ELECTION_MS}")
    assert group.leading == [] and group.asleep == []
    group.run(f"live {2 * ELECTION_MS}")
    assert len(group.leading) == 1


def test_a_leader_that_is_cut_off_from_one_follower_stays(group: Sleepers) -> None:
    """A partial partition: n3 takes the leader for lost, n2 does not, and protects it."""
    group.run("cut n1->n3 n3->n1")
    group.silence("n1", "n3")
    for _ in range(20):
        group.run(f"live {ELECTION_MS}")
        assert group.leading == ["n1"] and group.core("n1").term == group.core("n2").term
    group.run("propose n1 x")
    group.run(f"live {ELECTION_MS}")
    assert group.core("n2").log.applied == group.core("n1").log.last_index
    group.run("heal")
    assert group.works()


def test_a_sleeping_leader_that_is_cut_off_makes_room(group: Sleepers) -> None:
    group.run("cut n1")
    group.silence("n1", "n2", "n3")
    group.run(f"live {2 * ELECTION_MS}")
    assert len(group.leading) == 1 and group.leading != ["n1"]
    assert group.core("n1").is_leader and group.core("n1").asleep
    group.step("n1", ReadQuery(0))
    group.asked.append("read")
    group.run(f"live {3 * ELECTION_MS}")
    assert not group.core("n1").is_leader
    group.run("heal")
    assert group.works()


def test_a_sleeping_leader_without_a_majority_wakes_and_steps_down(group: Sleepers) -> None:
    group.silence("n2", "n1")
    assert "n1" in group.asleep
    group.silence("n3", "n1")
    assert "n1" not in group.asleep


def test_a_leader_that_was_restarted_is_replaced_or_elected_anew(group: Sleepers) -> None:
    """Its node is there, so that nobody is told of anything: it campaigns, and that wakes the others."""
    group.run("crash n1")
    group.run("restart n1")
    group.run(f"live {3 * ELECTION_MS}")
    assert len(group.leading) == 1 and group.works()


def test_a_follower_that_was_restarted_is_followed_up(group: Sleepers) -> None:
    group.run("crash n3")
    group.run("restart n3")
    term = group.core("n1").term
    group.run(f"live {3 * ELECTION_MS}")
    assert group.leading == ["n1"] and group.core("n1").term == term
    assert group.works()


def test_a_follower_whose_clock_has_jumped_disturbs_nobody(group: Sleepers) -> None:
    core, term = group.core("n3"), group.core("n1").term
    core.now += 3 * CHECK_MS
    group.now = core.now
    group.run("tick n3")
    group.run(f"live {ASLEEP_MS}")
    assert group.leading == ["n1"] and group.core("n1").term == term
    assert group.asleep == ["n1", "n2", "n3"]


def test_a_disruptor_gets_no_vote_and_makes_followers_check_on_their_leader(group: Sleepers) -> None:
    """n3 believes that nobody leads."""
    term = group.core("n1").term
    group.run(f"wait {ELECTION_MS}")
    group.silence("n1", "n3")
    group.core("n3").deadline = group.now
    group.run("cut n1->n3 n3->n1")
    group.run("tick n3")
    group.counted.clear()
    group.run("settle")
    assert any(isinstance(message, LeaderCheck) for message in group.counted)
    assert group.core("n2").leader == member("n1") and group.core("n3").leader is None
    group.run("heal")
    group.run(f"live {ASLEEP_MS}")
    assert group.leading == ["n1"] and group.core("n1").term == term
    assert group.asleep == ["n1", "n2", "n3"]


# -- what nobody was told of -----------------------------------------------------------------------------


def test_sleeping_followers_check_on_their_leader_and_sleep_on(group: Sleepers) -> None:
    sent = quiet(group, 2 * CHECK_MS + 1000)
    assert sum(isinstance(message, LeaderCheck) for message in sent) == 2
    assert len(sent) == 6 and group.asleep == ["n1", "n2", "n3"]


def test_a_follower_that_is_told_to_check_sleeps_on_if_its_leader_answers(group: Sleepers) -> None:
    group.counted.clear()
    group.step("n2", CheckLeader())
    group.run("settle")
    assert len(group.counted) == 3 and group.asleep == ["n1", "n2", "n3"]
    group.run("crash n1")
    group.step("n2", CheckLeader())
    group.run(f"live {4 * ELECTION_MS}")
    assert len(group.leading) == 1 and group.works()


def test_followers_that_nobody_tells_find_out_by_themselves(group: Sleepers) -> None:
    group.run("crash n1")
    group.run(f"live {2 * CHECK_MS + ASLEEP_MS}")
    assert len(group.leading) == 1 and group.works()


def test_a_leader_that_sleeps_without_a_silent_member_looks_for_it(group: Sleepers) -> None:
    group.run("crash n3")
    group.run("propose n1 x")
    group.run(f"live {2 * GONE_TIMEOUTS * ELECTION_MS}")
    assert group.asleep == ["n1", "n2"]
    role = group.core("n1").role
    assert isinstance(role, Leader) and group.core("n1").deadline <= group.now + 2 * CHECK_MS
    sent = quiet(group, 2 * CHECK_MS)
    assert any(message.dst == member("n3") for message in sent)


def test_a_member_of_an_old_term_learns_of_it_when_it_checks(group: Sleepers) -> None:
    """n3 slept through an election of the others."""
    group.run("cut n3")
    group.run("transfer n1 n2")
    group.run(f"live {2 * GONE_TIMEOUTS * ELECTION_MS}")
    assert group.asleep == ["n1", "n2", "n3"] and group.leading == ["n2"]
    group.run("heal")
    group.run(f"live {2 * CHECK_MS + ASLEEP_MS}")
    assert group.core("n3").term == group.core("n2").term and group.works()
