"""Effects on whole simulated nodes (S51): at least once, in order, none lost, not again by who joins."""

from collections.abc import Iterator
from typing import Any

import pytest

from fleet.sim.checks.appliers import applier_of
from fleet.testing import Sim
from tests.sim.scenes import config, leader_of, member, others
from tests.support import orders
from tests.support.orders import Orders


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    orders.DONE.clear()
    orders.FAILS.clear()
    yield
    orders.DONE.clear()
    orders.FAILS.clear()


def opened(seed: int, executors: int = 0, **settings: object) -> tuple[Sim, Orders]:
    sim = Sim(seed=seed, nodes=3, executors=executors, strict=False)
    return sim, sim.group("g", Orders, config=config(**settings))


def done() -> list[Any]:
    return [value for _, _, value in orders.DONE]


def is_acknowledged(sim: Sim) -> bool:
    appliers = [applier_of(one) for one in sim.world.members_of("g")]
    return bool(appliers) and all(one is not None and not one.events.pending for one in appliers)


@pytest.mark.parametrize("executors", [0, 1])
def test_s51_effects_are_told_in_order_and_acknowledged(executors: int) -> None:
    sim, group = opened(1, executors)
    for number in range(10):
        group.order(f"a{number}", f"b{number}")
    assert sim.run("10s", lambda: is_acknowledged(sim))
    assert done() == [f"{which}{number}" for number in range(10) for which in "ab"]
    sim.run("60s")
    assert len(done()) == 20 and sim.states_equal("g")
    assert len({id for _, id, _ in orders.DONE}) == 20


@pytest.mark.parametrize("executors", [0, 1])
def test_s51_one_that_fails_is_tried_again_with_pauses_and_those_behind_it_wait(executors: int) -> None:
    sim, group = opened(2, executors)
    orders.FAILS["b"] = 4
    for name in "abc":
        group.order(name)
    sim.run("0.5s")
    assert done() == ["a"]
    assert sim.run("30s", lambda: is_acknowledged(sim))
    assert done() == ["a", "b", "c"] and orders.FAILS["b"] == 0


def test_s51_what_a_dead_leader_left_is_told_by_the_next_one() -> None:
    sim, group = opened(3)
    orders.FAILS["b"] = 10_000
    for name in "abc":
        group.order(name)
    sim.run("2s")
    first = leader_of(sim)
    orders.FAILS.clear()
    sim.kill(first)
    assert sim.run("20s", lambda: done()[-1:] == ["c"])
    assert done() == ["a", "b", "c"], "a was acknowledged"
    sim.heal()
    assert sim.run("20s", lambda: is_acknowledged(sim)) and sim.states_equal("g")
    assert done() == ["a", "b", "c"]


def test_s51_a_leader_that_dies_before_it_acknowledged_has_it_told_again_under_the_same_id() -> None:
    sim, group = opened(4)
    leader = leader_of(sim)
    reply: Any = group.order.submit("a")
    assert sim.run("5s", lambda: done() == ["a"], every=0.001)
    sim.kill(leader)
    sim.run("10s")
    assert reply.done() and set(done()) == {"a"}
    assert len({id for _, id, _ in orders.DONE}) == 1
    sim.heal()
    assert sim.run("20s", lambda: is_acknowledged(sim)) and sim.states_equal("g")


def test_s51_all_nodes_restart_and_who_joins_tells_nothing_again() -> None:
    sim, group = opened(5, snapshot_floor_bytes=2000, snapshot_ceiling_bytes=4000, log_tail=5)
    away = others(sim, leader_of(sim))[0]
    sim.kill(away)
    for number in range(60):
        group.order(f"{number}" * 20)
    assert sim.run("10s", lambda: not applier_of(member(sim, leader_of_now(sim))).events.pending)  # type: ignore[union-attr]
    count = len(done())
    sim.heal()
    sim.run("10s")
    for name in sim.nodes:
        sim.kill(name)
    sim.heal()
    assert sim.run("20s", lambda: sim.leader("g") is not None and is_acknowledged(sim))
    sim.run("10s")
    assert count == 60 and len(done()) == 60 and sim.states_equal("g")


def leader_of_now(sim: Sim) -> str:
    leader = sim.leader("g")
    assert leader is not None
    return leader


@pytest.mark.parametrize("executors", [0, 1])
def test_a_group_that_sleeps_tries_a_failing_hook_with_pauses_and_does_not_forget_it(executors: int) -> None:
    """The clock of its core stands while it sleeps: the pause was over before it began."""
    sim, group = opened(6, executors)
    orders.FAILS["a"] = plenty = 1_000_000
    group.order("a")
    sim.run("10min")
    tries = plenty - orders.FAILS["a"]
    assert 15 <= tries <= 40 and done() == []
    core = member(sim, leader_of(sim)).core
    assert core.asleep
    orders.FAILS.clear()
    assert sim.run("35s", lambda: done() == ["a"])
    assert sim.run("10s", lambda: is_acknowledged(sim)) and sim.states_equal("g")
