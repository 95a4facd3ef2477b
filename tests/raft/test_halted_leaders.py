"""Who leads when some members have halted, and that a group with a halted member stays awake."""

import pytest

from fleet.raft.core import Core
from fleet.raft.entries import Halt, Skipped
from fleet.raft.events import (
    ExecutionHalted,
    ExecutionResumed,
    ExecutorAway,
    NodeSilent,
    Skip,
    Tick,
    Transfer,
)
from fleet.raft.halting import AWAY_MS, EVASION_MS_MAX, GRACE_TIMEOUTS, successor
from fleet.raft.ids import MemberId, NodeName
from fleet.raft.messages import NO_PLACE, AppendReply, TimeoutNow, VoteReply
from fleet.raft.ready import TARGET_HALTED, TRANSFERRING
from fleet.raft.sleeping import may_sleep
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    N3,
    N4,
    N5,
    THREE,
    answered,
    append,
    campaign,
    follower,
    leading,
    said,
    settle,
    settled,
    step,
)
from tests.raft.poison import DONE, POISON, poisoned_group
from tests.raft.sleepers import ASLEEP_MS, ELECTION_MS, Sleepers, sleeping_group
from tests.raft.stage import member

HALT = Halt(2, 0, "add hangs")
GRACE_MS = GRACE_TIMEOUTS * CONFIG.election_ms


def replies(core: Core, *halted: MemberId) -> None:
    """All peers have all there is, and these report that they have halted where the leader has."""
    for peer in leading(core).progress:
        at = (HALT.index, HALT.place) if peer in halted else (0, 0)
        last = core.log.last_index
        core.step(
            core.now, AppendReply(core.term, peer, core.id, True, last, 0, 0, 0, core.now, 0, 0, False, *at)
        )
    settle(core)


def pass_time(core: Core, duration: int, *halted: MemberId) -> list[MemberId]:
    """Heartbeats and their replies; who was told to campaign."""
    told, end = [], core.now + duration
    while core.now < end:
        readies = step(core, Tick(), later=min(CONFIG.heartbeat_ms, end - core.now))
        told += [message.dst for message in said(readies, TimeoutNow)]
        replies(core, *halted)
    return told


def halted(voters: tuple[MemberId, ...] = THREE, learners: tuple[MemberId, ...] = ()) -> Core:
    core = settled(voters=voters, learners=learners)
    replies(core)
    step(core, ExecutionHalted(HALT))
    return core


# -- handing over ----------------------------------------------------------------------------------


def test_a_command_that_hangs_at_the_leader_alone_costs_it_the_leadership() -> None:
    group, index = poisoned_group(hang="n1")
    group.run("live 6000")
    (name,) = group.leading
    assert name != "n1" and group.of(index) == {"n1": None, "n2": DONE, "n3": DONE}
    term = group.core(name).term
    assert group.works("after") and not group.skips()
    group.run("live 20000")
    assert group.core(name).term == term, "it stays where it is"


@pytest.mark.parametrize("hang", ["n1 n2", "n1 n3"])
def test_leadership_ends_up_at_the_one_that_executes(hang: str) -> None:
    group, index = poisoned_group(hang)
    group.run("live 10000")
    (name,) = group.leading
    assert name not in hang and group.of(index)[name] == DONE and not group.skips()
    term = group.core(name).term
    group.run("live 20000")
    assert group.core(name).term == term


def test_members_that_halt_late_hand_it_on_until_all_have_reported() -> None:
    """Their executors come to the command one after the other, each longer than the grace after the last."""
    group, index = poisoned_group()
    group.stuck = {"n2", "n3"}
    group.run(f"propose n1 {POISON}")
    group.run("live 100")
    for name in ("n2", "n3"):
        group.run("live 5000")
        group.wake(name)
    group.run("live 10000")
    assert len(set(group.of(index + 1).values())) == 1 and None not in group.of(index + 1).values()


def test_the_others_get_time_to_halt_first() -> None:
    core = halted()
    assert pass_time(core, GRACE_MS - CONFIG.heartbeat_ms) == []
    assert set(pass_time(core, 2 * CONFIG.heartbeat_ms)) == {N2}


def test_a_new_leader_that_halted_before_gives_the_others_time_to_report() -> None:
    core = follower(term=1, terms=(1,))
    append(core, (1, 1), commit=1)
    settle(core)
    core.unconfirmed, core.log.applied = False, 1
    step(core, ExecutionHalted(Halt(1, 0, "hangs")))
    core.now += 5 * CONFIG.election_ms
    campaign(core)
    core.step(core.now, VoteReply(2, N2, N1, granted=True))
    settle(core)
    assert core.is_leader
    assert pass_time(core, GRACE_MS - CONFIG.heartbeat_ms) == []
    assert set(pass_time(core, 3 * CONFIG.heartbeat_ms)) == {N2}


def lags(core: Core) -> None:
    core.log.commit += CONFIG.batch_entries_max + 1


def has_not_answered(core: Core) -> None:
    leading(core).progress[N2].has_answered = False


def is_silent(core: Core) -> None:
    leading(core).progress[N2].acked_at -= CONFIG.election_ms


def has_halted(core: Core) -> None:
    leading(core).progress[N2].halted = (HALT.index, HALT.place)


def has_halted_elsewhere(core: Core) -> None:
    leading(core).progress[N2].halted = (1, 0)


def is_from_another_term(core: Core) -> None:
    leading(core).progress[N2].match = leading(core).first_index - 1


@pytest.mark.parametrize(
    "flaw", [lags, has_not_answered, is_silent, has_halted, has_halted_elsewhere, is_from_another_term]
)
def test_only_a_voter_that_could_lead_at_once_is_chosen(flaw: object) -> None:
    core = halted(voters=(N1, N2), learners=(N4,))
    core.now += GRACE_MS
    for progress in leading(core).progress.values():
        progress.heard(core.now)
    evasion = leading(core).evasion
    assert evasion is not None and successor(core, leading(core)) == N2
    evasion.not_before = 0
    flaw(core)  # type: ignore[operator]
    assert successor(core, leading(core)) is None


def test_a_transfer_that_fails_is_tried_with_another_one_and_later_each_time() -> None:
    core = halted()
    at: list[tuple[int, MemberId]] = []
    start = core.now
    while core.now < start + 200_000:
        at += [(core.now, target) for target in dict.fromkeys(pass_time(core, CONFIG.heartbeat_ms))]
    first = [target for number, (_, target) in enumerate(at) if not number or at[number - 1][1] != target]
    assert first[:4] == [N2, N3, N2, N3]
    begun = [
        when for number, (when, target) in enumerate(at) if not number or when - at[number - 1][0] > GRACE_MS
    ]
    waits = [later - earlier for earlier, later in zip(begun, begun[1:], strict=False)]
    assert waits[:3] == [2 * GRACE_MS, 4 * GRACE_MS, 8 * GRACE_MS] and max(waits) == EVASION_MS_MAX
    assert core.is_leader


def test_a_new_halt_is_a_new_start() -> None:
    core = halted()
    pass_time(core, 5 * GRACE_MS)
    evasion = leading(core).evasion
    step(core, ExecutionResumed())
    step(core, ExecutionHalted(HALT))
    assert leading(core).evasion is evasion
    step(core, ExecutionHalted(Halt(2, 1, "hangs")))
    assert leading(core).evasion is not evasion
    assert pass_time(core, GRACE_MS + 2 * CONFIG.heartbeat_ms) != []


def test_a_leader_that_skips_the_command_stays() -> None:
    core = halted()
    step(core, Skip(1, 2))
    assert pass_time(core, 2 * GRACE_MS, N2, N3) == [] and isinstance(core.skips[0].body, Skipped)
    core = halted()
    step(core, Skip(1, 2))
    assert pass_time(core, 2 * GRACE_MS) == []


def test_a_leader_that_executes_again_stays() -> None:
    core = halted()
    step(core, ExecutionResumed())
    assert pass_time(core, 2 * GRACE_MS) == []


def test_nobody_is_answered_for_a_transfer_that_nobody_asked_for() -> None:
    core = halted()
    pass_time(core, GRACE_MS + CONFIG.heartbeat_ms)
    assert leading(core).handover is not None
    assert answered(step(core, Transfer(5, N3))) == {}
    readies = step(core, Transfer(6, None))
    assert answered(readies).keys() == {5, 6}
    assert TRANSFERRING not in answered(readies).values()


def test_a_leadership_is_not_transferred_to_a_member_that_has_halted() -> None:
    """Or the node that should lead takes it back each time it is handed over."""
    core = settled()
    replies(core, N2)
    assert answered(step(core, Transfer(1, N2))) == {1: TARGET_HALTED}
    assert answered(step(core, Transfer(2, N3))) == {}
    core = halted(voters=(N1, N2, N3, N4, N5))
    replies(core, N2, N3, N4, N5)
    assert answered(step(core, Transfer(1, N2))) == {}


# -- campaigning -----------------------------------------------------------------------------------


def test_a_halted_member_waits_an_election_timeout_longer_before_it_campaigns() -> None:
    waits = []
    for is_halted in (False, True):
        core = follower(term=2, terms=(2,))
        append(core, (1, 2), commit=1)
        settle(core)
        if is_halted:
            step(core, ExecutionHalted(Halt(1, 0, "hangs")))
        append(core, (1, 2), commit=1)
        waits.append(core.deadline - core.now)
    assert CONFIG.election_ms <= waits[0] < 2 * CONFIG.election_ms <= waits[1] < 3 * CONFIG.election_ms


def test_a_halted_member_campaigns_and_votes_and_receives_entries_all_the_same() -> None:
    group, index = poisoned_group()
    group.stuck = {"n3"}
    group.run("crash n1")
    group.run("live 6000")
    assert group.leading and group.works("after")
    assert group.of(index) == {"n1": None, "n2": None, "n3": None}


# -- sleep -----------------------------------------------------------------------------------------


def asleep_after(group: Sleepers) -> list[str]:
    group.run(f"live {2 * ASLEEP_MS}")
    return group.asleep


@pytest.mark.parametrize("name", ["n1", "n2"])
def test_a_group_with_a_halted_member_stays_awake_until_it_executes_again(name: str) -> None:
    group = Sleepers()
    group.run("live 1000")
    group.step(name, ExecutionHalted(Halt(group.core(name).log.applied, 0, "hangs")))
    assert name not in asleep_after(group) and not set(group.leading) & set(group.asleep)
    group.step(name, ExecutionResumed())
    assert asleep_after(group) == ["n1", "n2", "n3"]


@pytest.mark.parametrize("name", ["n1", "n2"])
def test_a_member_that_halts_in_its_sleep_wakes_its_leader(name: str) -> None:
    group = sleeping_group()
    applied = group.core(name).log.applied
    group.step(name, ExecutionHalted(Halt(applied, 0, "hangs")))
    group.run("live 50")
    assert not group.core("n1").asleep and not group.core(name).asleep
    group.run("live 300")
    role = leading(group.core("n1"))
    assert name == "n1" or role.progress[member(name)].halted == (applied, 0)


def test_a_member_that_halts_in_its_sleep_wakes_its_leader_in_the_end_when_messages_are_lost() -> None:
    group = sleeping_group()
    group.run("cut n2")
    group.step("n2", ExecutionHalted(Halt(group.core("n2").log.applied, 0, "hangs")))
    group.run("heal")
    group.run(f"live {4 * ELECTION_MS}")
    assert not group.core("n1").asleep


def test_a_leader_that_knows_of_a_halted_follower_does_not_sleep() -> None:
    group = sleeping_group()
    core = group.core("n1")
    role = leading(core)
    assert may_sleep(core, role)
    role.progress[member("n2")].halted = (1, 0)
    assert not may_sleep(core, role)


def test_a_halted_member_in_doubt_of_its_leader_is_in_no_hurry_either() -> None:
    group = sleeping_group()
    core = group.core("n2")
    group.step("n2", ExecutionHalted(Halt(core.log.applied, 0, "hangs")))
    group.step("n2", NodeSilent(NodeName("n1")))
    assert core.deadline >= group.now + ELECTION_MS


# -- a leader whose executor is away ----------------------------------------------------------------------


def test_a_leader_without_an_executor_hands_over_after_a_while() -> None:
    core = settled()
    replies(core)
    step(core, ExecutorAway(True))
    assert pass_time(core, AWAY_MS - CONFIG.heartbeat_ms) == []
    assert pass_time(core, 2 * CONFIG.heartbeat_ms) != []


def test_it_stays_if_its_executor_returns_in_time() -> None:
    core = settled()
    step(core, ExecutorAway(True))
    assert pass_time(core, AWAY_MS - CONFIG.heartbeat_ms) == []
    step(core, ExecutorAway(False))
    assert pass_time(core, 2 * AWAY_MS) == []


def test_a_new_leader_without_an_executor_waits_as_long_before_it_hands_back() -> None:
    """Else two that load the same slow class would hand over to each other all the time."""
    core = follower()
    step(core, ExecutorAway(True))
    core.now += 10 * AWAY_MS
    campaign(core)
    core.step(core.now, VoteReply(core.term, N2, core.id, granted=True))
    settle(core)
    assert core.is_leader
    replies(core)
    assert pass_time(core, AWAY_MS - CONFIG.heartbeat_ms) == []
    assert pass_time(core, 2 * CONFIG.heartbeat_ms) != []


def test_the_leadership_is_not_handed_to_a_member_without_an_executor() -> None:
    """Neither by a leader that has none itself, nor by reconciliation, which prefers a certain leader."""
    core = follower(terms=(1, 1))
    step(core, ExecutorAway(True))
    for later, told in ((AWAY_MS - 1, (0, 0)), (1, (2, NO_PLACE))):
        core.now += later
        append(core, (2, 1), commit=2)
        (reply,) = said(settle(core), AppendReply)
        assert (reply.halted_index, reply.halted_place) == told


def test_a_leader_hands_over_for_its_halt_as_before_while_its_executor_is_away() -> None:
    core = settled(terms=(1, 1, 1))
    replies(core)
    step(core, ExecutorAway(True))
    step(core, ExecutionHalted(HALT))
    assert pass_time(core, GRACE_MS - CONFIG.heartbeat_ms) == []
    assert pass_time(core, 2 * CONFIG.heartbeat_ms) != []


def test_a_leader_without_an_executor_does_not_fall_asleep() -> None:
    """Asleep it would hand over to nobody."""
    core = sleeping_group().core("n1")
    assert may_sleep(core, leading(core))
    core.away_since = core.now
    assert not may_sleep(core, leading(core))
