"""Scenarios of elections and of leaderships that end, by their ids."""

import pytest

from fleet.raft.entries import HardState
from fleet.raft.events import Propose, Tick, Transfer
from fleet.raft.messages import (
    PreVote,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from fleet.raft.ready import TARGET_UNRESPONSIVE, TRANSFERRING
from fleet.raft.restart import start_core
from fleet.raft.state import Candidate, Follower
from tests.raft.cores import (
    N1,
    N2,
    N3,
    N4,
    accept,
    all_said,
    answered,
    campaign,
    command,
    follower,
    said,
    settle,
    settled,
    step,
    take,
    write_of,
)
from tests.raft.host import Weather
from tests.raft.world import World, member, propose


@pytest.mark.parametrize("durable", [True, False])
def test_s09_no_second_vote_after_a_restart(durable: bool) -> None:
    """Killed before the write: no vote was told. After it: the vote is remembered."""
    core = follower()
    core.step(0, VoteRequest(2, N2, N1, last_index=1, last_term=1, transfer=True))
    (ready,) = take(core)
    told = ready.send_after if durable else []
    hard = write_of(ready).hard if durable else HardState(1, None)
    assert hard is not None
    again = start_core(N1, 0, core.rng, hard, core.snapshot, core.log.entries)
    (reply,) = said(step(again, VoteRequest(2, N3, N1, last_index=1, last_term=1, transfer=True)), VoteReply)
    assert reply.granted is not bool(told)


def test_s10_a_restart_of_all_keeps_terms_and_acknowledged_commands() -> None:
    world = World.of(3)
    for _ in range(3):
        world.make_leader(world.rng.choice([id for id in world.hosts if not world.hosts[id].core.is_leader]))
    host = world.elect()
    propose(world, host, b"kept")
    world.run(200)
    term, commit = host.core.term, host.core.log.commit
    for id in list(world.hosts):
        world.restart(id)
    assert all(host.core.term == term for host in world.hosts.values())
    assert world.elect().core.term > term
    world.run(500)
    assert all(host.core.log.commit > commit for host in world.hosts.values())
    assert (b"kept",) in [getattr(entry.body, "payloads", ()) for entry in world.witness.committed.values()]


def test_s11_a_member_that_was_cut_off_disturbs_nobody_when_it_returns() -> None:
    """RV21. A hundred elections in vain, and its term has not moved."""
    world = World.of(3)
    host = world.elect()
    cut = next(id for id in world.hosts if id != host.id)
    term = host.core.term
    world.isolate(cut)
    world.run(100 * 600)
    assert world.hosts[cut].core.term == term
    world.heal()
    world.run(3000)
    assert world.leader is host and host.core.term == term


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_s12_a_partial_partition_still_has_a_stable_leader(number: int, both_ways: bool) -> None:
    """A and B do not hear each other, both reach C; one way: B does not hear A."""
    world = World.of(3)
    a, b, _ = member(number), member(number % 3 + 1), None
    world.make_leader(a)
    world.cut((a, b), *([(b, a)] if both_ways else []))
    world.run(5000)
    host = world.elect()
    term = host.core.term
    assert term <= 4
    world.run(10_000)
    assert world.leader is host and host.core.term == term


def test_s12_a_leader_that_hears_nobody_makes_room() -> None:
    world = World.of(3)
    deaf = world.elect()
    world.cut(*[(id, deaf.id) for id in world.hosts if id != deaf.id])
    world.run(3000)
    host = world.elect()
    assert host is not deaf
    term = host.core.term
    world.run(5000)
    assert host.core.is_leader and host.core.term == term


def test_s13_a_longer_log_in_a_lower_term_wins_in_bounded_time() -> None:
    """And the shorter log in the higher term, without which there is no majority, votes for it."""
    world = World.of(3)
    old = world.make_leader(member(1))
    world.isolate(member(3))
    propose(world, old, b"long")
    world.run(300)
    world.kill(member(2))
    high = world.hosts[member(3)]
    world.kill(member(3))
    high.disk.hard = HardState(9, member(3))
    world.weather.cut.clear()
    world.restart(member(3))
    world.run(300)
    host = world.elect(within=3000)
    assert host.id == member(1) and host.core.term > 9


def test_s14_a_leader_whose_disk_hangs_makes_room() -> None:
    """W1-free twin of the storage watchdog: at most two election timeouts, and nothing acknowledged."""
    core = settled()
    core.step(core.now, Propose(1, (command(),)))
    take(core)
    hung = core.now
    while core.is_leader and core.now < hung + 60_000:
        core.step(core.deadline, Tick())
        for peer in (N2, N3):
            accept(core, peer, index=2)
    assert core.now - hung <= core.config.storage_timeout_ms + core.config.heartbeat_ms
    core.step(core.deadline, Tick())
    assert type(core.role) is Follower


def test_s15_a_dead_target_costs_the_deadline_and_no_more() -> None:
    core = settled()
    assert said(step(core, Transfer(9, N2)), TimeoutNow) != []
    assert answered(step(core, Propose(1, (command(),)))) == {1: TRANSFERRING}
    start = core.now
    answers: dict[int, str | None] = {}
    while 9 not in answers and core.now < start + 60_000:
        core.step(core.deadline, Tick())
        accept(core, N3)
        answers |= answered(settle(core))
    assert answers == {9: TARGET_UNRESPONSIVE}
    assert core.now - start <= core.config.transfer_timeout_ms + core.config.heartbeat_ms
    assert answered(step(core, Propose(2, (command(),)))) == {}


def test_s15_a_learner_refuses_the_leadership() -> None:
    core = settled(learners=(N4,))
    assert answered(step(core, Transfer(9, N4))) == {9: TARGET_UNRESPONSIVE}
    learner = follower(voters=(N2, N3), learners=(N1,))
    assert all_said(step(learner, TimeoutNow(1, N2, N1, round=0, life=learner.life))) == []
    assert type(learner.role) is Follower and learner.term == 1


def test_s15_a_word_of_an_earlier_term_starts_no_election() -> None:
    core = follower(term=2)
    assert said(step(core, TimeoutNow(1, N2, N1, round=0, life=core.life)), VoteRequest) == []
    assert core.term == 2


def test_s15_a_lost_word_is_said_again() -> None:
    core = settled()
    step(core, Transfer(9, N2))
    core.step(core.deadline, Tick())
    assert said(settle(core), TimeoutNow) == [TimeoutNow(2, N1, N2)]


def test_s15_writes_resume_when_the_target_dies_after_it_was_told() -> None:
    world = World.of(3)
    host = world.elect()
    target = next(id for id in world.hosts if id != host.id)
    world.weather = Weather(drop=lambda m: type(m) is TimeoutNow)
    world.ask(host.id, lambda token: Transfer(token, target))
    world.run(1)
    world.kill(target)
    world.run(world.config.transfer_timeout_ms + 2 * world.config.heartbeat_ms)
    before = host.core.log.commit
    propose(world, host, b"on")
    world.run(100)
    assert world.leader is host and host.core.log.commit == before + 1


def test_a_candidate_in_vain_asks_first_again() -> None:
    """It must not raise its term a second time alone."""
    core = follower()
    campaign(core)
    assert core.term == 2
    readies = step(core, Tick(), later=5000)
    assert [type(m) for m in all_said(readies)] == [PreVote, PreVote]
    assert type(core.role) is Candidate and core.term == 2
