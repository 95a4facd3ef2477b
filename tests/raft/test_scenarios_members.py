"""Scenarios of membership and leadership, by their ids."""

import pytest

from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    ConfigChanged,
    MemberAdded,
    MemberChange,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
)
from fleet.raft.events import Change, LocalEvent, Propose, ReadQuery, Tick, Transfer
from fleet.raft.ids import member_id
from fleet.raft.messages import AppendEntries, PreVote, Removed, SnapshotReply, VoteReply, VoteRequest
from fleet.raft.ready import (
    CANNOT_REMOVE_LEADER,
    CHANGE_IN_PROGRESS,
    NOT_LEADER,
    NOT_MEMBER,
    TARGET_UNRESPONSIVE,
    TRANSFERRING,
    WOULD_BREAK_QUORUM,
    Answer,
)
from fleet.raft.restart import start_core
from fleet.raft.state import Follower
from tests.raft.asking import call
from tests.raft.cores import (
    CONFIG,
    FIVE,
    N1,
    N2,
    N3,
    N4,
    accept,
    all_said,
    answered,
    append,
    command,
    entries,
    follower,
    leading,
    read,
    said,
    settle,
    settled,
    step,
    written,
)
from tests.raft.world import QUICK, World, member


def test_s22_overlapping_changes_of_two_leaders_are_refused_until_a_commit() -> None:
    """raft-dev 2015, W8: else the majorities of both changes need not meet."""
    world = World.of(4)
    old = world.make_leader(member(1))
    world.run(200)
    world.isolate(member(1))
    world.ask(old.id, lambda t: Change(t, MemberAdded(member(5), "a5")))
    assert world.run(5000, lambda: world.leader not in (None, old))
    new = world.leader
    assert new is not None
    token = world.ask(new.id, lambda t: Change(t, MemberRemoved(member(1))))
    assert world.answers[token].error == CHANGE_IN_PROGRESS
    world.elect()
    world.run(100)
    token = world.ask(new.id, lambda t: Change(t, MemberRemoved(member(1))))
    world.run(500)
    assert world.answers[token].error is None


def test_s23_a_change_that_is_overwritten_never_was() -> None:
    """RV9; also a promotion goes back, and with it the right to campaign."""
    core = follower(voters=(N2, N3), learners=(N1,), terms=(1, 2), bodies={2: MemberPromoted(N1)}, term=2)
    assert core.is_voter
    append(core, (1, 1), entries(3, first=2), term=3)
    assert not core.is_voter and core.membership.current.learners == (N1,)
    step(core, Tick(), later=10_000)
    step(core, Tick(), later=10_000)
    assert type(core.role) is Follower and core.term == 3


def test_s24_an_appended_change_is_in_force_after_a_restart() -> None:
    core = follower(terms=(1, 1), bodies={2: MemberAdded(N4, "a4")})
    assert core.log.commit == 0 and core.membership.current.learners == (N4,)


def test_s24_a_member_votes_also_for_who_counts_it_before_it_knows() -> None:
    core = start_core(N4, 0, follower().rng)
    (reply,) = said(step(core, VoteRequest(3, N2, N4, last_index=5, last_term=2, transfer=False)), VoteReply)
    assert reply.granted


def test_s25_a_removed_member_that_missed_it_is_told_and_disturbs_nobody() -> None:
    world = World.of(4)
    host = world.make_leader(member(1))
    world.isolate(member(4))
    token = call(world, lambda t: Change(t, MemberRemoved(member(4))))
    assert world.answers[token].error is None
    world.run(3000)
    term = host.core.term
    assert not world.hosts[member(4)].gone
    world.heal()
    world.run(3000)
    assert world.hosts[member(4)].gone and world.leader is host and host.core.term == term


def test_s25_a_member_is_not_told_before_its_removal_is_committed() -> None:
    core = settled(voters=FIVE)
    assert said(step(core, Change(1, MemberRemoved(N4))), Removed) == []
    assert said(step(core, PreVote(3, N4, N1, last_index=9, last_term=9)), Removed) == []
    accept(core, N2)
    accept(core, N3)
    assert said(settle(core), Removed) == [Removed(2, N1, N4)]
    assert said(step(core, PreVote(3, N4, N1, last_index=9, last_term=9)), Removed) == [Removed(2, N1, N4)]


def test_s25_a_removed_member_that_asks_to_be_added_is_told() -> None:
    """Seed 5174: it knows nobody who could tell it, since it heard nothing yet, or all were replaced."""
    core = settled(voters=FIVE)
    step(core, Change(1, MemberRemoved(N4)))
    accept(core, N2)
    assert said(step(core, Change(2, MemberAdded(N4, "a4"))), Removed) == []
    accept(core, N3)
    settle(core)
    asked = step(core, Change(3, MemberAdded(N4, "a4")))
    assert answered(asked) == {3: NOT_MEMBER} and said(asked, Removed) == [Removed(2, N1, N4)]


def test_s26_votes_and_acknowledgements_of_an_earlier_life_do_not_count() -> None:
    second = member_id("n4", "d", 2)
    core = settled(voters=(*FIVE[:4],))
    step(core, Change(1, MemberRemoved(N4)))
    for peer in (N2, N3):
        accept(core, peer)
    settle(core)
    step(core, Change(2, MemberAdded(second, "a4")))
    accept(core, N4)
    assert core.log.commit == 3 and N4 not in leading(core).progress
    accept(core, N2)
    settle(core)
    assert answered(step(core, Change(3, MemberAdded(N4, "a4")))) == {3: NOT_MEMBER}
    assert said(step(core, VoteRequest(9, N4, N1, last_index=99, last_term=9, transfer=False)), Removed) != []
    assert core.is_leader and core.term == 2


ADDED = MemberAdded(N4, "a4")


@pytest.mark.parametrize(
    "changes",
    [[ADDED], [ADDED, MemberPromoted(N4)], [MemberDemoted(N3)], [MemberRemoved(N3)]],
    ids=["added", "promoted", "demoted", "removed"],
)
def test_rv3_a_change_that_is_in_force_is_done_already(changes: list[MemberChange]) -> None:
    core = settled()
    for token, change in enumerate(changes, 1):
        step(core, Change(token, change))
        for peer in core.membership.current.everyone:
            if peer != N1:
                accept(core, peer)
        settle(core)
    made_at = core.membership.changed_at
    assert made_at == core.log.last_index == core.log.commit
    readies = step(core, Change(9, changes[-1]))
    assert [answer for ready in readies for answer in ready.answers] == [Answer(9, None, made_at, N1)]
    assert written(readies) == [] and core.log.last_index == made_at


def test_rv3_a_member_that_is_added_again_at_another_address_is_found_there() -> None:
    core = settled()
    step(core, Change(1, ADDED))
    accept(core, N2)
    settle(core)
    assert answered(step(core, Change(2, MemberAdded(N4, "elsewhere")))) == {}
    assert core.membership.current.addresses[N4] == "elsewhere"
    assert core.membership.current.learners == (N4,)


def test_rv4_rv5_rv7_what_cannot_be_removed_is_refused() -> None:
    core = settled()
    assert answered(step(core, Change(1, MemberRemoved(N1)))) == {1: CANNOT_REMOVE_LEADER}
    assert answered(step(core, Change(2, MemberRemoved(N4)))) == {2: NOT_MEMBER}
    assert answered(step(core, Change(3, MemberPromoted(N4)))) == {3: NOT_MEMBER}
    core.step(core.now + 900, Tick())
    accept(core, N2)
    core.step(core.now + 200, Tick())
    assert answered(step(core, Change(4, MemberRemoved(N2)))) == {4: WOULD_BREAK_QUORUM}
    assert answered(step(core, Change(5, MemberRemoved(N3)))) == {}, "the silent one may go"


def test_rv8_a_removed_member_costs_no_message_any_more() -> None:
    core = settled()
    step(core, Change(1, MemberRemoved(N3)))
    core.step(core.deadline + CONFIG.heartbeat_ms, Tick())
    assert {m.dst for m in all_said(settle(core))} == {N2}


def test_s28_a_learner_that_lags_is_not_promoted() -> None:
    core = settled(learners=(N4,), terms=(1,) * 2000)
    leading(core).progress[N4].match = 100
    assert answered(step(core, Change(1, MemberPromoted(N4)))) == {1: TARGET_UNRESPONSIVE}
    accept(core, N4)
    assert answered(step(core, Change(2, MemberPromoted(N4)))) == {}


def test_a_leader_that_is_given_a_new_address_does_not_follow_itself() -> None:
    core = settled()
    step(core, Change(1, MemberAdded(N1, "elsewhere")))
    assert set(leading(core).progress) == {N2, N3}
    assert core.membership.current.addresses[N1] == "elsewhere"


def test_rv10_rv11_rv12_rv13_transfers_answer_once_each() -> None:
    core = settled(voters=FIVE)
    core.step(core.now, Propose(1, (command(),)))
    assert answered(step(core, Transfer(2, N2))) == {}
    assert answered(step(core, Transfer(3, N3))) == {2: TARGET_UNRESPONSIVE}
    assert answered(step(core, Transfer(4, None))) == {3: TARGET_UNRESPONSIVE, 4: None}
    assert answered(step(core, Transfer(5, N1))) == {5: None}
    core.step(core.now + 999, Tick())
    for peer in (N2, N3):
        accept(core, peer)
    core.step(core.now + 2, Tick())
    assert answered(step(core, Transfer(6, N4))) == {6: TARGET_UNRESPONSIVE}


def test_rv10_a_transfer_is_answered_when_the_new_leader_is_heard() -> None:
    core = settled()
    step(core, Transfer(9, N2))
    step(core, VoteRequest(3, N2, N1, last_index=2, last_term=2, transfer=True))
    assert not core.is_leader
    append(core, (2, 2), entries(3, first=3), src=N2, term=3)
    assert answered(settle(core)) == {9: None} and core.leader == N2


def test_rv12_a_transfer_that_is_stuck_is_cancelled_and_the_leader_goes_on() -> None:
    world = World.of(3)
    host = world.elect()
    world.run(500)
    dead = next(id for id in world.hosts if id != host.id)
    world.kill(dead)
    stuck = world.ask(host.id, lambda t: Transfer(t, dead))
    refused = world.ask(host.id, lambda t: Change(t, MemberRemoved(dead)))
    assert stuck not in world.answers and world.answers[refused].error == TRANSFERRING
    cancelled = world.ask(host.id, lambda t: Transfer(t, None))
    assert world.answers[stuck].error == TARGET_UNRESPONSIVE and world.answers[cancelled].error is None
    removed = call(world, lambda t: Change(t, MemberRemoved(dead)))
    assert world.answers[removed].error is None and world.leader is host


def test_rv14_others_name_the_leader() -> None:
    core = follower()
    append(core, (1, 1))
    events: list[LocalEvent] = [ReadQuery(0), Propose(1, (command(),)), Transfer(2, N2)]
    for token, event in enumerate(events):
        (ready, *_) = step(core, event)
        (answer,) = ready.answers
        assert (answer.token, answer.error, answer.leader) == (token, NOT_LEADER, N2)


def test_rv18_rv27_a_lonely_leader_answers_at_once_and_stays() -> None:
    core = settled(voters=(N1,))
    assert core.log.commit == 2
    readies = step(core, ReadQuery(7), later=100_000)
    assert read(readies) == [7] and written(readies) == [] and all_said(readies) == []
    step(core, Tick())
    assert core.is_leader


@pytest.mark.parametrize(("count", "failures"), [(3, 1), (4, 1), (5, 2), (6, 2), (7, 3)])
def test_rv19_rv20_a_group_survives_the_loss_of_a_minority(count: int, failures: int) -> None:
    world = World.of(count)
    for _ in range(failures):
        world.kill(world.elect().id)
    host = world.elect()
    world.kill(next(h.id for h in world.hosts.values() if h.alive and h is not host))
    world.run(1000)
    assert world.leader is None


def test_rv23_a_leader_stays_when_nothing_happens() -> None:
    world = World.of(3)
    host = world.elect()
    term = host.core.term
    world.run(60_000)
    assert world.leader is host and host.core.term == term


def test_rv24_w9_a_configuration_is_answered_when_committed_and_reaches_all() -> None:
    world = World.of(3)
    host = world.elect()
    changed = GroupConfig(heartbeat_ms=40, election_ms=300)
    token = world.ask(host.id, lambda t: Change(t, ConfigChanged(changed)))
    assert token not in world.answers and host.core.config == QUICK
    world.run(200)
    assert world.answers[token].error is None and world.answers[token].index == host.core.log.last_index
    assert all(h.core.config == changed == h.applier.config for h in world.hosts.values())


def test_rv25_a_message_for_another_life_is_for_nobody() -> None:
    core = settled()
    other = member_id("n1", "d", 2)
    assert (
        step(
            core,
            AppendEntries(99, N2, other, prev_index=0, prev_term=0, entries=(), commit=0, round=0, sent_at=0),
        )
        == []
    )
    assert core.is_leader and core.term == 2


@pytest.mark.parametrize("kind", [MemberRemoved, MemberDemoted])
def test_s77_a_fresh_leader_keeps_the_only_voter_that_answered(
    kind: type[MemberRemoved | MemberDemoted],
) -> None:
    """The third one is dead, and looks responsive only because nobody had time to miss it."""
    world = World.of(3, seed=3)
    dead = world.elect().id
    world.kill(dead)
    new = world.elect()
    alive = next(id for id in world.hosts if id not in (dead, new.id))
    token = world.ask(new.id, lambda t: Change(t, kind(alive)))
    world.run(20)
    assert world.answers[token].error == CHANGE_IN_PROGRESS
    world.run(400)
    token = world.ask(new.id, lambda t: Change(t, kind(alive)))
    world.run(20)
    assert world.answers[token].error == WOULD_BREAK_QUORUM
    token = world.ask(new.id, lambda t: Change(t, kind(dead)))
    world.run(100)
    assert world.answers[token].error is None


def test_a_member_that_reads_of_its_own_removal_in_the_log_leaves() -> None:
    """The leader's word of it was lost, and another one sends it the entry."""
    core = follower(term=2, terms=(1, 2), bodies={2: MemberRemoved(N1)})
    append(core, (2, 2), commit=2)
    assert [ready.removed for ready in settle(core)] == [True] and core.removed


def test_no_change_begins_while_the_leadership_is_handed_over() -> None:
    core = settled()
    step(core, Transfer(1, N2))
    last = core.log.last_index
    assert answered(step(core, Change(2, MemberAdded(N4, "a4")))) == {2: TRANSFERRING}
    assert core.log.last_index == last


def test_what_a_removed_member_says_of_a_snapshot_counts_for_nothing() -> None:
    core = settled()
    step(core, Change(1, MemberRemoved(N3)))
    late = SnapshotReply(2, N3, N1, index=9, offset=0, installed=True, round=7, sent_at=core.now)
    assert step(core, late) == [] and N3 not in leading(core).progress
