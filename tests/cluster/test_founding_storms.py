"""Exactly one cluster from one list of founders, whatever happens to them (S55)."""

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cluster.founding import Founding
from fleet.cluster.founding_messages import Found, Join, from_bytes
from tests.cluster.founding_world import Host, Pool, World, haste, storm

FIRST, _, LAST = os.environ.get("FLEET_SEEDS", "0:300").partition(":")
STORMS = (int(FIRST), int(LAST))
"""`FLEET_SEEDS=1000:5000` runs those instead."""


@pytest.mark.parametrize("first", range(*STORMS, 50))
def test_s55_whatever_happens_there_is_one_decision_and_soon_after_it_all_know(first: int) -> None:
    for seed in range(first, first + 50):
        try:
            storm(seed).settle()
        except AssertionError as error:
            raise AssertionError(f"storm({seed})") from error


@given(
    st.integers(0, 1 << 32),
    st.sampled_from((3, 5)),
    st.lists(st.tuples(st.integers(1, 150), st.booleans()), max_size=8),
)
def test_deaths_at_chosen_moments_do_not_divide_the_founders(
    seed: int, count: int, deaths: list[tuple[int, bool]]
) -> None:
    world = World(seed, count)
    world.kill_at = {moment: Host.stop for moment, _ in deaths}
    for moment, _ in [death for death in deaths if death[1]][: count // 2]:
        world.kill_at[moment] = Host.lose
    for host in world.hosts.values():
        host.start()
    world.run(5000)
    world.settle()


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_no_order_of_anything_makes_two_decisions(first: int) -> None:
    decided = 0
    for seed in range(first, first + 50):
        world = Pool(seed, 3 if seed % 3 else 5)
        with haste(random.Random(seed)):
            for _ in range(600):
                world.turn()
        decided += len(world.decisions)
    assert decided > 5, "else it says nothing"


def test_a_storm_is_one_history() -> None:
    first, second = storm(11), storm(11)
    assert (first.count, first.moments, first.outcomes) == (second.count, second.moments, second.outcomes)


def moments_of(count: int) -> int:
    world = World(1, count)
    world.settle()
    return world.moments


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("death", [Host.stop, Host.lose], ids=["restarted", "lost"])
def test_s55_any_listed_node_may_die_at_any_moment(count: int, death: Callable[[Host], None]) -> None:
    """Between any two effects of the whole founding: before and after each send and each write."""
    for moment in range(1, moments_of(count) + 1):
        world = World(1, count)
        world.kill_at = {moment: death}
        world.settle()
        assert len(world.decisions) == 1


@pytest.mark.parametrize("count", [3, 5])
def test_s55_a_proposer_is_lost_for_good_at_every_step_and_one_of_the_others_dies_too(count: int) -> None:
    """And the next one is killed and comes back: the second proposal meets what is left of the first."""
    for moment in range(1, moments_of(count) + 1, 2):
        for later in range(2, 40, 7):
            world = World(moment * 100 + later, count)
            smallest = world.hosts["a:1"]

            def lose(host: Host, smallest: Host = smallest) -> None:
                smallest.lose()
                host.stop()

            world.kill_at = {moment: lose, moment + later: Host.stop}
            world.settle()
            assert len(world.decisions) == 1


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("seed", range(10))
def test_s55_twenty_nodes_at_once_are_one_cluster(count: int, seed: int) -> None:
    world = World(seed, count, 20 - count)
    world.settle()
    (founders,) = world.decisions
    assert {founder.address for founder in founders} == set(world.listed), "all were here in time"
    assert len(world.outcomes) == 20
    assert sum(isinstance(outcome, Found) for outcome in world.outcomes.values()) == count


@pytest.mark.parametrize("seed", range(10))
def test_a_minority_that_is_down_is_not_waited_for_and_joins_later(seed: int) -> None:
    world = World(seed, 5)
    early = ["b:1", "c:1", "e:1"]
    for address in early:
        world.hosts[address].start()
    world.run(4000)
    assert sorted(world.outcomes) == early
    assert all(isinstance(outcome, Found) for outcome in world.outcomes.values())
    world.hosts["b:1"].lose()
    world.settle()
    assert isinstance(world.outcomes["a:1"], Join) and isinstance(world.outcomes["d:1"], Join)


def test_a_minority_founds_nothing() -> None:
    world = World(1, 5)
    for address in ("a:1", "b:1"):
        world.hosts[address].start()
    world.run(100_000)
    assert not world.decisions
    part = world.hosts["a:1"].part
    assert isinstance(part, Founding)
    assert part.problems() == ("2 of 5 founders answer; a majority must",)


@pytest.mark.parametrize("seed", range(60))
def test_a_minority_of_wiped_disks_makes_no_second_cluster(seed: int) -> None:
    """Wiped when the others have heard of the disk: from then on nobody counts that address."""
    world = World(seed, random.Random(seed).choice((3, 5)))
    world.loss, world.delay_ms, world.disk_ms = 0.2, 200, 50
    doomed = world.rng.sample(world.listed, len(world.listed) // 2)
    for host in world.hosts.values():
        host.start()

    def is_known(host: Host) -> bool:
        mine = (host.me.address, host.me.incarnation)
        others = [other for other in world.hosts.values() if other.me.address not in doomed]
        return all(other.disk and mine in from_bytes(other.disk).disks for other in others)

    for _ in range(12):
        world.run(world.now + world.rng.randrange(600))
        host = world.hosts[world.rng.choice(doomed)]
        if is_known(host):
            host.wipe()
        host.start()
        crashed = world.hosts[world.rng.choice(world.listed)]
        crashed.stop()
        world.at(world.now + world.rng.randrange(2000), crashed.start)
    world.settle()
