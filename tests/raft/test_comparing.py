"""Members compare digests of their states: who halts, who never does, and how a halted one is repaired."""

from typing import Any
from zlib import crc32

import pytest

from fleet.raft.comparison import ASKED_MAX, POINTS_KEPT
from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import Halt, MemberPromoted, Members, SnapshotMeta
from fleet.raft.events import Change, ExecutionHalted, ExecutorAway, Repair, Skip, StateDigested, Tick
from fleet.raft.halting import may_retry, reported_halt
from fleet.raft.ids import MemberId
from fleet.raft.messages import (
    DIVERGED,
    REPAIRING,
    AppendReply,
    CompareState,
    InstallSnapshot,
    StateDiffers,
    StateDigest,
    TimeoutNow,
)
from fleet.raft.ready import NOT_HALTED, TARGET_HALTED, Ready, StateDiffered, StatesUndecided
from tests.raft.cores import (
    FIVE,
    N1,
    N2,
    N3,
    N4,
    N5,
    THREE,
    answered,
    follower,
    leading,
    said,
    settled,
    step,
    take,
)

RIGHT, WRONG, OTHER = b"\1\x0bright", b"\1\x0bwrong", b"\1\x0bother"
OTHER_KIND = b"\1\x0cother"
AT = 2
"""The last entry of a settled leader."""


def hooks(readies: list[Ready]) -> list[Any]:
    return [
        one for ready in readies for one in ready.hooks if isinstance(one, StateDiffered | StatesUndecided)
    ]


def heartbeat(core: Core) -> list[Ready]:
    """At the next one the peers answer, so that the leader still leads."""
    core.step(core.deadline, Tick())
    readies = take(core)
    for peer, progress in core.role.progress.items():  # type: ignore[union-attr]
        at = progress.halted or (0, 0)
        reply = AppendReply(
            core.term, peer, core.id, True, core.log.last_index, 0, 0, 0, core.now, 0, 0, False, *at
        )
        core.step(core.now, reply)
    return readies + take(core)


def comparing(own: bytes = RIGHT, voters: tuple[MemberId, ...] = THREE, **how: Any) -> Core:
    """A leader that has asked for the digests of a point."""
    core = settled(voters=voters, **how)
    step(core, StateDigested(AT, 7, own))
    asked = said(heartbeat(core), CompareState)
    assert {(m.dst, m.index) for m in asked} == {(peer, AT) for peer in voters if peer != N1}
    return core


def answers(core: Core, **digests: bytes) -> list[Ready]:
    names = {"n2": N2, "n3": N3, "n4": N4, "n5": N5}
    readies = []
    for name, digest in digests.items():
        readies += step(core, StateDigest(core.term, names[name], N1, AT, digest))
    return readies


def test_s48_equal_states_are_compared_once_and_nobody_halts() -> None:
    core = comparing()
    assert hooks(answers(core, n2=RIGHT, n3=RIGHT)) == []
    assert said(heartbeat(core), CompareState) == []
    step(core, StateDigested(AT + 100, 107, RIGHT))
    assert {m.index for m in said(heartbeat(core), CompareState)} == {AT + 100}


def test_s48_a_member_that_differs_from_the_majority_is_told_and_no_other_is() -> None:
    core = comparing()
    readies = answers(core, n2=RIGHT, n3=WRONG)
    assert [(m.dst, m.index, m.digest) for m in said(readies, StateDiffers)] == [(N3, AT, RIGHT)]
    assert hooks(readies) == [StateDiffered(N3, AT, 0)]


def test_s48_it_is_told_again_until_it_says_that_it_has_halted() -> None:
    core = comparing()
    answers(core, n2=RIGHT, n3=WRONG)
    assert [m.dst for m in said(heartbeat(core), CompareState)] == [N3]
    readies = answers(core, n3=WRONG)
    assert [m.dst for m in said(readies, StateDiffers)] == [N3] and hooks(readies) == []
    last = core.log.last_index
    core.step(core.now, AppendReply(2, N3, N1, True, last, 0, 0, 0, core.now, 0, 0, False, AT, DIVERGED))
    assert said(heartbeat(core), CompareState) == []


def test_s48_one_of_five_halts_and_two_that_agree_with_each_other_only_do_too() -> None:
    core = comparing(voters=FIVE)
    readies = answers(core, n2=RIGHT, n3=WRONG, n4=WRONG, n5=RIGHT)
    assert {m.dst for m in said(readies, StateDiffers)} == {N3, N4}


def test_s48_a_leader_in_the_minority_halts_itself_and_hands_over_at_once() -> None:
    core = comparing(own=WRONG)
    assert hooks(answers(core, n2=RIGHT, n3=RIGHT)) == [StateDiffered(N1, AT, 0)]
    step(core, ExecutionHalted(Halt(AT, DIVERGED, "differs", True)))
    assert len(said(heartbeat(core), TimeoutNow)) == 1


@pytest.mark.parametrize(("n2", "n3"), [(WRONG, OTHER), (WRONG, b""), (OTHER, OTHER_KIND)])
def test_s48_without_a_majority_nobody_halts_and_there_is_an_alarm(n2: bytes, n3: bytes) -> None:
    core = comparing()
    readies = answers(core, n2=n2, n3=n3)
    assert hooks(readies) == [StatesUndecided(AT)] and said(readies, StateDiffers) == []


def test_s48_of_two_voters_nobody_knows_who_is_right() -> None:
    core = comparing(voters=(N1, N2))
    readies = answers(core, n2=WRONG)
    assert hooks(readies) == [StatesUndecided(AT)] and said(readies, StateDiffers) == []


def test_s48_two_of_three_that_differ_are_an_alarm_although_the_third_never_answers() -> None:
    core = comparing()
    answers(core, n2=WRONG)
    told = [one for _ in range(ASKED_MAX + 1) for one in hooks(heartbeat(core))]
    assert told == [StatesUndecided(AT)]


@pytest.mark.parametrize("digest", [b"", OTHER_KIND])
def test_digests_that_cannot_be_compared_halt_nobody(digest: bytes) -> None:
    core = comparing()
    readies = answers(core, n2=RIGHT, n3=digest)
    assert hooks(readies) == [] and said(readies, StateDiffers) == []


def test_a_learner_is_compared_and_has_no_voice() -> None:
    core = settled(learners=(N4, N5))
    step(core, StateDigested(AT, 7, RIGHT))
    heartbeat(core)
    readies = answers(core, n4=WRONG, n5=WRONG, n2=RIGHT, n3=RIGHT)
    assert {m.dst for m in said(readies, StateDiffers)} == {N4, N5}


@pytest.mark.parametrize("place", [DIVERGED, REPAIRING])
def test_a_learner_that_halts_while_its_group_is_moved_does_not_become_a_voter(place: int) -> None:
    core = settled(learners=(N4,))
    heartbeat(core)
    leading(core).progress[N4].halted = AT, place
    assert answered(step(core, Change(5, MemberPromoted(N4)))) == {5: TARGET_HALTED}
    leading(core).progress[N4].halted = None
    step(core, Change(6, MemberPromoted(N4)))
    assert N4 in core.membership.current.voters


def test_a_late_answer_about_another_point_is_ignored() -> None:
    """Planted: digests are compared whatever their index."""
    core = comparing()
    readies = answers(core, n2=RIGHT)
    readies += step(core, StateDigest(core.term, N3, N1, AT - 1, WRONG))
    assert hooks(readies) == [] and said(readies, StateDiffers) == []


def test_a_comparison_does_not_wait_for_a_member_that_has_halted_for_its_state() -> None:
    core = settled(voters=FIVE)
    leading(core).progress[N5].halted = AT, DIVERGED
    step(core, StateDigested(AT, 7, RIGHT))
    heartbeat(core)
    answers(core, n2=RIGHT, n3=RIGHT, n4=RIGHT)
    assert said(heartbeat(core), CompareState) == []
    step(core, StateDigested(AT + 1, 8, RIGHT))
    assert {m.index for m in said(heartbeat(core), CompareState)} == {AT + 1}


def test_a_member_that_has_halted_for_its_state_hands_over_with_its_first_heartbeat_as_the_leader() -> None:
    core = settled()
    core.halt = Halt(AT, DIVERGED, "differs", True)
    assert len(said(heartbeat(core), TimeoutNow)) == 1


def test_skipped_commands_that_the_log_no_longer_has_count_for_who_is_behind_them() -> None:
    core = settled(terms=(1, 1, 1))
    core.log.compact(2)
    step(core, StateDigested(4, 7, RIGHT))
    assert {m.skips for m in said(heartbeat(core), CompareState)} == {2}


# -- who is asked ------------------------------------------------------------------------------------


def asked_follower(**how: Any) -> Core:
    core = follower(term=2, terms=(1, 2, 2), **how)
    core.log.commit_to(3)
    take(core)
    step(core, StateDigested(3, 7, RIGHT))
    return core


def test_a_member_says_its_digest_if_it_is_there() -> None:
    core = asked_follower()
    (reply,) = said(step(core, CompareState(2, N2, N1, 3, 0)), StateDigest)
    assert (reply.dst, reply.index, reply.digest) == (N2, 3, RIGHT)
    assert said(step(core, CompareState(2, N2, N1, 2, 0)), StateDigest) == []


def test_a_member_that_may_have_executed_a_skipped_command_says_nothing() -> None:
    core = asked_follower()
    assert said(step(core, CompareState(2, N2, N1, 3, 4)), StateDigest) == []
    step(core, ExecutorAway(True))  # its object is made again
    assert said(step(core, CompareState(2, N2, N1, 3, 3)), StateDigest) == []


def test_a_member_that_is_told_a_digest_of_its_own_goes_on() -> None:
    core = asked_follower()
    assert hooks(step(core, StateDiffers(2, N2, N1, 3, RIGHT, 0))) == []
    assert hooks(step(core, StateDiffers(2, N2, N1, 2, WRONG, 0))) == []
    assert hooks(step(core, StateDiffers(2, N2, N1, 3, WRONG, 2))) == [StateDiffered(N1, 3, 2)]


def test_what_a_leaders_snapshot_has_replaced_halts_nobody() -> None:
    """Both arrive in one turn; and a digest of the former state was still under way."""
    core = asked_follower()
    core.step(core.now, StateDiffers(2, N2, N1, 3, WRONG, 2))
    core.step(core.now, chunk(9))
    core.step(core.now, StateDigested(3, 7, RIGHT))
    readies = take(core)
    assert any(ready.restore for ready in readies) and hooks(readies) == []
    assert hooks(step(core, StateDiffers(2, N2, N1, 3, WRONG, 2))) == []
    step(core, StateDigested(10, 7, RIGHT))
    assert hooks(step(core, StateDiffers(2, N2, N1, 10, WRONG, 2))) == [StateDiffered(N1, 10, 2)]


def test_points_are_forgotten_in_their_order() -> None:
    core = asked_follower()
    for index in range(4, 10 + POINTS_KEPT):
        step(core, StateDigested(index, 7, RIGHT))
    assert len(core.points) == POINTS_KEPT and 3 not in core.points


# -- a halted member, and its repair ---------------------------------------------------------------------


def halted(**how: Any) -> Core:
    core = asked_follower(**how)
    step(core, ExecutionHalted(Halt(3, DIVERGED, "differs", True)))
    return core


def test_a_halted_member_reports_it_and_never_executes_on_by_itself() -> None:
    core = halted()
    assert reported_halt(core) == (3, DIVERGED) and not may_retry(core)
    assert said(step(core, CompareState(2, N2, N1, 3, 0)), StateDigest) == []
    assert answered(step(settled(), Skip(5, 3))) == {5: NOT_HALTED}


def test_a_member_halts_for_its_state_although_its_own_snapshot_is_newer() -> None:
    """Its snapshot has that state, too."""
    core = asked_follower()
    core.snapshot = SnapshotMeta(3, 2, Members(THREE), GroupConfig(), 5, 0)
    step(core, ExecutionHalted(Halt(2, DIVERGED, "differs", True)))
    assert reported_halt(core) == (2, DIVERGED)
    step(core, Repair(9))
    assert reported_halt(core) == (3, REPAIRING), "an older snapshot of the leader would not replace its own"


def chunk(index: int) -> InstallSnapshot:
    meta = SnapshotMeta(index, 2, Members(THREE), GroupConfig(), 5, crc32(b"state"))
    return InstallSnapshot(2, N2, N1, meta, 0, b"state", 0, 0)


def test_a_halted_member_takes_no_state_before_it_is_to_be_repaired() -> None:
    core = halted()
    assert not any(ready.restore for ready in step(core, chunk(3)))
    assert answered(step(core, Repair(9))) == {9: None}
    assert reported_halt(core) == (3, REPAIRING)
    (restored,) = [ready.restore for ready in step(core, chunk(3)) if ready.restore]
    assert restored[0].index == 3 and core.halt is None and core.log.last_index == 3


def test_with_auto_repair_it_asks_for_a_state_at_once() -> None:
    core = halted(config=GroupConfig(auto_repair=True))
    assert reported_halt(core) == (3, REPAIRING)


def test_a_member_whose_driver_knows_that_its_state_is_wrong_asks_for_one_at_once() -> None:
    core = asked_follower()
    core.snapshot = SnapshotMeta(3, 2, Members(THREE), GroupConfig(), 5, 0)
    step(core, ExecutionHalted(Halt(2, REPAIRING, "it executed what is skipped", True)))
    assert reported_halt(core) == (3, REPAIRING), "an older snapshot of the leader would not replace its own"


def test_repair_of_a_member_that_has_not_halted_is_refused() -> None:
    assert answered(step(asked_follower(), Repair(9))) == {9: NOT_HALTED}


def test_a_leader_takes_a_snapshot_for_a_member_that_waits_for_one_and_sends_it() -> None:
    core = settled()
    last = core.log.last_index
    core.step(core.now, AppendReply(2, N3, N1, True, last, 0, 0, 0, core.now, 0, 0, False, AT, REPAIRING))
    assert [ready.take_snapshot for ready in take(core) if ready.take_snapshot] == [last]


def test_a_leader_whose_own_state_is_wrong_gives_it_to_nobody() -> None:
    """Two of five differ, and the one that leads has a snapshot that is new enough for the other one."""
    core = settled(voters=FIVE)
    core.snapshot = SnapshotMeta(AT, 2, Members(FIVE), GroupConfig(), 5, 0)
    last = core.log.last_index
    reply = AppendReply(2, N3, N1, True, last, 0, 0, 0, core.now, 0, 0, False, AT, REPAIRING)
    core.halt = Halt(AT, DIVERGED, "differs", True)
    assert [one for ready in step(core, reply) for one in ready.chunks] == []
    core.halt = None
    assert len([one for ready in step(core, reply) for one in ready.chunks]) == 1


def test_a_leader_takes_none_for_a_member_that_nobody_repairs() -> None:
    core = settled()
    last = core.log.last_index
    core.step(core.now, AppendReply(2, N3, N1, True, last, 0, 0, 0, core.now, 0, 0, False, AT, DIVERGED))
    assert [ready.take_snapshot for ready in take(core) if ready.take_snapshot] == []
