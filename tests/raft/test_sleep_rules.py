"""The rules of sleep (`fleet/raft/sleeping.py`, `waking.py`), by one member alone."""

from collections.abc import Callable

import msgspec
import pytest

from fleet.raft.core import Core
from fleet.raft.entries import Entry, MemberDemoted, SnapshotMeta
from fleet.raft.freshness import fresh_at
from fleet.raft.lease import ReadRound
from fleet.raft.messages import (
    AppendReply,
    LeaderCheck,
    PreVote,
    PreVoteReply,
    Stranger,
)
from fleet.raft.progress import Progress
from fleet.raft.sleeping import CHECK_MS, GONE_TIMEOUTS, may_sleep
from fleet.raft.state import NEVER, Handover, Leader, PendingWrite
from tests.raft.sleepers import ASLEEP_MS, ELECTION_MS, Sleepers, sleeping_group
from tests.raft.stage import member


@pytest.fixture
def group() -> Sleepers:
    return sleeping_group()


# -- one member at a time --------------------------------------------------------------------------------


def progress_of(group: Sleepers, name: str) -> Progress:
    role = group.core("n1").role
    assert isinstance(role, Leader)
    return role.progress[member(name)]


def has_a_read(core: Core, role: Leader) -> None:
    role.reads.append(ReadRound(9, 1, [1]))


def is_read_with_an_age_limit(core: Core, role: Leader) -> None:
    core.read_at = core.now


def has_a_change(core: Core, role: Leader) -> None:
    role.waiting[9] = 1


def hands_over(core: Core, role: Leader) -> None:
    role.handover = Handover(1, member("n2"), core.now + 60_000)


def has_not_committed(core: Core, role: Leader) -> None:
    role.first_index = core.log.commit + 1


def has_not_applied(core: Core, role: Leader) -> None:
    core.log.applied -= 1


def writes(core: Core, role: Leader) -> None:
    core.writes.append(PendingWrite(9, core.now, None, 1, 1, None))


def takes_a_snapshot(core: Core, role: Leader) -> None:
    core.taking = SnapshotMeta(1, 1, core.membership.current, core.config, 0, 0)


def failed_at_a_snapshot(core: Core, role: Leader) -> None:
    core.snapshot_failures = 1


def has_a_peer_that_lags(core: Core, role: Leader) -> None:
    role.progress[member("n2")].match -= 1


def has_a_peer_that_never_answered(core: Core, role: Leader) -> None:
    role.progress[member("n2")].has_answered = False


def has_a_peer_that_is_silent(core: Core, role: Leader) -> None:
    role.progress[member("n2")].acked_at -= 2 * core.config.election_ms


def has_nobody_left(core: Core, role: Leader) -> None:
    for progress in role.progress.values():
        progress.acked_at -= 2 * GONE_TIMEOUTS * core.config.election_ms


def votes_no_more(core: Core, role: Leader) -> None:
    core.membership.append([Entry(core.term, core.log.last_index, MemberDemoted(core.id))])


@pytest.mark.parametrize(
    "blocker",
    [
        has_a_read,
        is_read_with_an_age_limit,
        has_a_change,
        hands_over,
        has_not_committed,
        has_not_applied,
        writes,
        takes_a_snapshot,
        failed_at_a_snapshot,
        has_a_peer_that_lags,
        has_a_peer_that_never_answered,
        has_a_peer_that_is_silent,
        has_nobody_left,
        votes_no_more,
    ],
)
def test_a_leader_that_has_anything_left_to_do_does_not_sleep(
    group: Sleepers, blocker: Callable[[Core, Leader], None]
) -> None:
    core = group.core("n1")
    role = core.role
    assert isinstance(role, Leader) and may_sleep(core, role)
    blocker(core, role)
    assert not may_sleep(core, role)


def test_a_follower_that_is_read_with_an_age_limit_keeps_its_group_awake() -> None:
    """Asleep, it could not prove how old its state is."""
    group = Sleepers()
    for _ in range(0, 2 * ASLEEP_MS, ELECTION_MS):
        group.run(f"live {ELECTION_MS}")
        group.core("n2").read_at = group.now
    assert group.leading == ["n1"] and "n1" not in group.asleep and "n2" not in group.asleep
    assert group.now - fresh_at(group.core("n2")) < ELECTION_MS
    group.run(f"live {ASLEEP_MS}")
    assert group.asleep == ["n1", "n2", "n3"]


def test_a_leader_does_not_sleep_once_a_follower_that_slept_has_lost_its_tail() -> None:
    group = Sleepers()
    group.run("live 1000")
    group.core("n3").may_sleep = False
    group.run(f"live {ASLEEP_MS}")
    core = group.core("n1")
    assert group.leading == ["n1"] and group.asleep == ["n2"]
    progress_of(group, "n2").match -= 1
    last, sent_at = core.log.last_index, group.now
    reply = AppendReply(core.term, member("n3"), core.id, True, last, 0, 0, 0, sent_at, asleep=True)
    group.step("n1", reply)
    assert not core.asleep


def test_a_follower_that_is_awake_wakes_its_leader(group: Sleepers) -> None:
    core = group.core("n1")
    for asleep, expected in ((True, ["n1", "n2", "n3"]), (False, ["n2", "n3"])):
        reply = AppendReply(core.term, member("n2"), core.id, True, core.log.last_index, 0, 0, 0, 0)
        group.step("n1", msgspec.structs.replace(reply, asleep=asleep))
        assert group.asleep == expected


def asks_n2_for_a_vote(group: Sleepers, src: str) -> bool:
    core = group.core("n2")
    group.counted.clear()
    ask = PreVote(core.term + 1, member(src), core.id, core.log.last_index, core.log.last_term)
    group.step("n2", ask)
    (granted,) = [message.granted for message in group.counted if isinstance(message, PreVoteReply)]
    return granted


def test_a_leader_that_campaigns_leads_no_more(group: Sleepers) -> None:
    group.run(f"wait {2 * ELECTION_MS}")
    assert not asks_n2_for_a_vote(group, "n3")
    group.run("settle")
    group.run(f"wait {2 * ELECTION_MS}")
    assert group.asleep == ["n1", "n2", "n3"] and asks_n2_for_a_vote(group, "n1")


def test_the_grace_of_a_leader_ends_with_the_news_that_its_node_is_silent(group: Sleepers) -> None:
    group.run(f"wait {2 * ELECTION_MS}")
    group.run("cut n1")
    assert not asks_n2_for_a_vote(group, "n3") and not asks_n2_for_a_vote(group, "n3")
    group.silence("n1", "n2")
    assert asks_n2_for_a_vote(group, "n3")


def test_the_grace_of_a_leader_ends_with_its_term(group: Sleepers) -> None:
    group.run(f"wait {2 * ELECTION_MS}")
    group.run("cut n1")
    assert not asks_n2_for_a_vote(group, "n3")
    core = group.core("n2")
    group.step("n2", PreVoteReply(core.term + 1, member("n3"), core.id, False))
    assert asks_n2_for_a_vote(group, "n3")


def test_a_follower_that_is_awake_hears_for_itself_whether_its_leader_is_there(group: Sleepers) -> None:
    group.run("propose n1 x")
    group.run("settle")
    deadline = group.core("n2").deadline
    group.silence("n1", "n2")
    assert group.core("n2").deadline == deadline


def test_a_sleeping_member_that_hears_of_a_later_term_waits_no_longer_than_others(group: Sleepers) -> None:
    core = group.core("n2")
    group.step("n2", PreVoteReply(core.term + 1, member("n3"), core.id, False))
    assert not core.asleep and core.deadline <= group.now + 2 * ELECTION_MS


def test_a_sleeping_member_is_not_told_to_leave_by_a_late_message(group: Sleepers) -> None:
    core = group.core("n2")
    group.run(f"wait {2 * ELECTION_MS}")
    late = Stranger(core.term, member("n3"), core.id, core.log.last_index, core.log.last_term)
    group.step("n2", late)
    assert not core.removed


def test_a_leader_that_was_told_of_a_silent_node_looks_for_its_member_in_the_end(group: Sleepers) -> None:
    assert group.core("n1").deadline == NEVER
    group.silence("n3", "n1")
    assert group.core("n1").asleep and group.core("n1").deadline <= group.now + 2 * CHECK_MS


def test_a_check_of_an_old_term_is_answered_with_the_present_one(group: Sleepers) -> None:
    core = group.core("n2")
    group.counted.clear()
    group.step("n2", LeaderCheck(core.term - 1, member("n3"), core.id))
    (reply,) = group.counted
    assert isinstance(reply, AppendReply) and not reply.ok and reply.term == core.term
