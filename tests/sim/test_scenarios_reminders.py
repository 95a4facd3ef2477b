"""Reminders on whole simulated nodes (S52): once, not too early, not after a cancel, whatever happens."""

from concurrent.futures import Future
from typing import Any

import pytest

from fleet.actors.messages.operator import TransferLeader
from fleet.raft.entries import RemindersDue
from fleet.sim.checks.appliers import applier_of
from fleet.testing import Sim
from tests.sim.scenes import ask, config, hand_over, leader_of, member, others
from tests.sim.test_scenarios_sleep import is_asleep
from tests.support.stock import Stock

LATE_S = 3.0
"""An election and a round, with these settings."""


def opened(seed: int, executors: int = 0, **settings: object) -> tuple[Sim, Stock]:
    sim = Sim(seed=seed, nodes=3, executors=executors)
    return sim, sim.group("g", Stock, config=config(**settings))


def states(sim: Sim) -> list[Stock]:
    appliers = [applier_of(one) for one in sim.world.members_of("g")]
    return [one.executor._object for one in appliers if one is not None]  # type: ignore[attr-defined]


def called(sim: Sim) -> list[str]:
    """What the reminders have done, on the member that knows most; time does not pass."""
    return max(([what for what, _ in state.called] for state in states(sim)), key=len, default=[])


def log_now(sim: Sim) -> float:
    leader = member(sim, leader_of(sim))
    return float(leader.stamp_ms()) / 1000


def fired_in(sim: Sim) -> int:
    log = sim.world.members_of("g")[0].core.log
    entries = log.slice(log.base_index + 1, log.commit)
    return sum(type(entry.body) is RemindersDue for entry in entries)


@pytest.mark.parametrize("executors", [0, 1])
def test_s52_a_sleeping_group_wakes_for_a_reminder_and_sleeps_again(executors: int) -> None:
    sim, stock = opened(1, executors)
    stock.note("later", 100.0)
    due = log_now(sim) + 100
    assert sim.run("10s", lambda: is_asleep(sim))
    sim.run("80s")
    assert is_asleep(sim) and called(sim) == []
    assert sim.run("20s", lambda: fired_in(sim) == 1)
    ((what, at),) = stock.told()
    assert what == "later" and due - 0.5 <= at <= due + 0.5
    assert sim.run("10s", lambda: is_asleep(sim))
    sim.run("100s")
    assert called(sim) == ["later"] and fired_in(sim) == 1 and sim.states_equal("g")


@pytest.mark.parametrize("executors", [0, 1])
def test_s52_another_leader_fires_what_was_due_when_the_first_one_died(executors: int) -> None:
    sim, stock = opened(2, executors)
    stock.note("later", 5.0)
    first = leader_of(sim)
    sim.run("4.5s")
    sim.kill(first)
    assert sim.run(LATE_S, lambda: sim.leader("g") not in (None, first) and called(sim) == ["later"])
    sim.heal()
    sim.run("10s")
    assert called(sim) == ["later"] and sim.states_equal("g")


def test_s52_one_that_is_due_in_the_middle_of_an_outage_of_8_hours_is_fired_late_and_once() -> None:
    sim, stock = opened(3)
    stock.note("once", 3600.0)
    stock.note("daily", 60.0, 60.0, "d")
    for name in sim.nodes:
        sim.kill(name, power=True)
    sim.run("8h")
    sim.heal()
    assert sim.run("20s", lambda: called(sim) == ["daily", "once"]), called(sim)
    sim.run("60s")
    assert called(sim) == ["daily", "once", "daily"] and sim.states_equal("g")


def test_s52_a_cancel_that_is_committed_before_wins_and_one_after_finds_nothing() -> None:
    sim, stock = opened(4)
    stock.reserve("ann", 2.0)
    stock.reserve("bob", 2.0)
    sim.run("1.9s")
    replies: list[Future[Any]] = [stock.buy.submit("ann"), stock.reserve.submit("cid", 0.0)]
    replies.append(stock.buy.submit("cid"))
    sim.run("5s")
    assert [reply.done() for reply in replies] == [True] * 3
    assert called(sim) == ["bob"] and stock.holders() == []
    assert not stock.buy("bob")
    assert sim.states_equal("g")


def test_s52_two_leaders_at_once_fire_a_reminder_once() -> None:
    """The one that is cut off proposes, and what it proposed is overwritten."""
    sim, stock = opened(5)
    stock.note("later", 1.0)
    first = leader_of(sim)
    sim.run("0.95s")
    sim.partition(first)
    assert sim.run(LATE_S, lambda: sim.leader("g") not in (None, first))
    sim.run(LATE_S)
    sim.heal()
    sim.run("5s")
    assert called(sim) == ["later"] and sim.states_equal("g")


def test_s52_a_clock_that_is_far_off_fires_nothing_before_the_majority_does() -> None:
    sim, stock = opened(6)
    node = others(sim, leader_of(sim))[0]
    stock.note("later", 60.0)
    sim.nodes[node].clock.jump(3_600_000_000)
    hand_over(sim, node)
    sim.run("30s")
    assert called(sim) == []
    sim.run("31s")
    assert called(sim) == ["later"]


def test_s52_a_reminder_that_is_due_while_the_leadership_is_handed_over_is_fired() -> None:
    sim, stock = opened(7)
    first = leader_of(sim)
    target = others(sim, first)[0]
    stock.note("later", 1.0)
    sim.run("0.9s")
    ask(sim, TransferLeader(member(sim, target).core.id), "g")
    sim.run("5s")
    assert called(sim) == ["later"] and sim.states_equal("g")


def test_s52_a_thousand_that_are_due_at_once_are_all_fired() -> None:
    sim, stock = opened(8)
    replies = [stock.note.submit(f"n{number}", 5.0) for number in range(1000)]
    sim.run("20s")
    assert all(reply.done() for reply in replies)
    assert called(sim) == [f"n{number}" for number in range(1000)]
    assert sim.states_equal("g")


def test_s52_reminders_outlive_the_log_that_set_them() -> None:
    """In a snapshot, on members that were away and on one that is restored from it."""
    sim, stock = opened(9, snapshot_floor_bytes=2000, snapshot_ceiling_bytes=4000, log_tail=5)
    stock.note("later", 60.0)
    away = others(sim, leader_of(sim))[0]
    sim.kill(away)
    for number in range(100):
        stock.note("x" * 100, 1000.0, None, f"k{number % 3}")
    sim.heal()
    sim.run("10s")
    for name in sim.nodes:
        sim.kill(name)
    sim.heal()
    assert sim.run("60s", lambda: called(sim) == ["later"]) and sim.states_equal("g")
