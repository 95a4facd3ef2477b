"""Scenarios of replication and elections on whole simulated nodes."""

import pytest

from fleet.testing import Sim
from tests.sim.scenes import Log, agree, config, leader_of, member, others, terms, wait_for_leader_but


@pytest.mark.parametrize("was_reelected", [True, False], ids=["S01", "S02"])
def test_s01_s02_an_isolated_leader_gives_up_what_nobody_acknowledged(was_reelected: bool) -> None:
    sim = Sim(seed=1)
    group = sim.group("g", Log, config=config())
    if was_reelected:
        first = leader_of(sim)
        sim.partition(first)
        wait_for_leader_but(sim, first)
        sim.heal()
        sim.run("15s")  # the one that should lead leads again
    group.append(0)
    old = leader_of(sim)
    sim.partition(old, "c1")
    lost = [group.append.options(timeout=1.0).submit(value) for value in range(1, 9)]
    sim.run("10ms")
    wait_for_leader_but(sim, old)
    sim.run("7s")  # links die, and what was on the way with them
    new = leader_of(sim)
    assert new != old
    assert member(sim, old).core.log.last_index > member(sim, new).core.log.last_index
    for name in sim.nodes:
        sim.world.network.weather.cut.update(((name, "c1"), ("c1", name)))
    sim.world.network.weather.cut.difference_update(
        {(one, other) for one in sim.nodes for other in sim.nodes}
    )
    sim.world.network.heal()
    sim.run("2s")
    assert member(sim, old).core.log.last_index == member(sim, new).core.log.last_index
    assert sim.states_equal("g")
    sim.heal()
    assert sim.run("60s", lambda: all(reply.done() for reply in lost))
    agree(sim)


def test_s03_a_late_heartbeat_commits_nothing_that_it_has_not_verified() -> None:
    """The suffix of a former leader stands where the commit index of the new one points."""
    sim = Sim(seed=3)
    group = sim.group("g", Log, config=config(batch_entries_max=1, window_max=1))
    group.append(0)
    old = leader_of(sim)
    sim.partition(old, "c1")
    for value in range(1, 9):
        group.append.options(timeout=1.0).submit(value)
    wait_for_leader_but(sim, old)
    second = sim.group("g", Log, client="c2")
    for value in range(10, 14):
        second.append(value)
    agree(sim)
    assert set(second.all()) >= {10, 11, 12, 13}


def test_s05_a_conflicting_entry_at_the_tail_costs_bounded_rounds_also_behind_big_entries() -> None:
    sim = Sim(seed=5)
    group = sim.group("g", Log, config=config(batch_bytes_max=1 << 18))
    group.append(0)
    old = leader_of(sim)
    sim.partition(old)
    group.append.options(timeout=0.5).submit(1)  # conflicts with the next leader's first entry
    wait_for_leader_but(sim, old)
    for _ in range(6):
        group.put(bytes(700_000))
    frames = sim.world.network.frames
    sim.heal()
    new = leader_of(sim)
    assert sim.run("10s", lambda: member(sim, old).object.index == member(sim, new).object.index)
    assert sim.world.network.frames - frames < 1500
    agree(sim)


def test_s09_no_vote_is_forgotten_by_a_kill_at_any_moment() -> None:
    """Two candidates of one term, and a voter that dies around its vote; the invariants remember it."""
    for moment in range(12):
        sim = Sim(seed=900 + moment)
        sim.group("g", Log, config=config())
        old = leader_of(sim)
        voter, _ = others(sim, old)
        sim.kill(old)
        sim.run("300ms")
        assert sim.run("3s", lambda: not sim.is_up(voter) or member(sim, voter).core.vote is not None)
        sim.run(moment * 0.0003)
        sim.kill(voter, power=True)
        sim.restart(old)
        sim.restart(voter)
        leader_of(sim)
        agree(sim)


def test_s11_a_member_that_was_cut_off_for_a_hundred_elections_disturbs_nobody() -> None:
    sim = Sim(seed=11)
    group = sim.group("g", Log, config=config())
    group.append(1)
    sim.run("1s")
    leader, before = leader_of(sim), terms(sim)
    sim.partition(others(sim, leader)[0])
    sim.run("45s")
    sim.heal()
    sim.run("5s")
    assert sim.leader("g") == leader
    assert terms(sim) == before


def test_s11_a_group_to_which_nothing_happens_keeps_its_leader() -> None:
    sim = Sim(seed=12)
    group = sim.group("g", Log, config=config())
    sim.run("1s")
    leader, before = leader_of(sim), terms(sim)
    for value in range(20):
        group.append(value)
        sim.run("1s")
    assert sim.leader("g") == leader
    assert terms(sim) == before


@pytest.mark.parametrize("one_way", [False, True])
def test_s12_with_one_link_cut_there_is_a_stable_leader_in_bounded_time(one_way: bool) -> None:
    sim = Sim(seed=13)
    group = sim.group("g", Log, config=config())
    old = leader_of(sim)
    other = others(sim, old)[0]
    cut = sim.world.network.weather.cut
    cut.update([(other, old)] if one_way else [(old, other), (other, old)])
    sim.run("5s")
    leader, before = leader_of(sim), max(terms(sim))
    sim.run("20s")
    assert (sim.leader("g"), max(terms(sim))) == (leader, before)
    group.append(1)
    agree(sim)


def test_s12_a_leader_that_hears_nobody_makes_room() -> None:
    """Its heartbeats arrive: its followers stay loyal to it until it steps down itself."""
    sim = Sim(seed=14)
    group = sim.group("g", Log, config=config())
    old = leader_of(sim)
    sim.world.network.weather.cut.update((name, old) for name in others(sim, old))
    assert sim.run("3s", lambda: sim.leader("g") not in (None, old))
    assert group.append.options(timeout=5.0)(1) == 1


def test_s14_a_leader_whose_disk_hangs_makes_room_and_acknowledges_nothing() -> None:
    sim = Sim(seed=15)
    group = sim.group("g", Log, config=config())
    group.append(0)
    old = leader_of(sim)
    sim.hang(old, "60s")
    reply = group.append.options(timeout=20.0).submit(1)
    assert sim.run("3s", lambda: sim.leader("g") not in (None, old))
    assert sim.run("10s", reply.done) and reply.result() == 2
    assert member(sim, old).core.log.durable < member(sim, leader_of(sim)).core.log.commit
    sim.run("60s")
    agree(sim)


def test_s16_a_lost_majority_comes_back_one_by_one_and_needs_nobody() -> None:
    sim = Sim(seed=16, nodes=5)
    group = sim.group("g", Log, replicas=5, config=config())
    group.append(0)
    down = list(sim.nodes)[:4]
    for name in down:
        sim.kill(name)
    sim.run("20s")
    assert sim.leader("g") is None
    sim.restart(down[0])
    sim.run("20s")
    assert sim.leader("g") is None
    sim.restart(down[1])
    assert sim.run("5s", lambda: sim.leader("g") is not None)
    assert group.append(1) == 2
    sim.restart(down[2])
    sim.restart(down[3])
    agree(sim)
