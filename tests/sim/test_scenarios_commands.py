"""Scenarios of commands and their clients on whole simulated nodes."""

import pytest

import fleet
from fleet.errors import Overloaded
from fleet.objects.context import ctx
from fleet.testing import Sim
from tests.sim.scenes import Log, agree, config, leader_of, member, others
from tests.sim.storms import Ledger


def test_s42_a_retry_after_a_change_of_leaders_and_many_foreign_commands_runs_once() -> None:
    sim = Sim(seed=42)
    group = sim.group("g", Log, config=config())
    group.append(0)
    old = leader_of(sim)
    sim.partition(*others(sim, old))
    cut = sim.world.network.weather.cut
    for name in others(sim, old):
        cut.update(((old, "c1"), (name, "c1")))  # the command arrives, no answer does
    with pytest.raises(fleet.OutcomeUnknown) as unknown:
        group.append.options(timeout=1.0)(1)
    cut.difference_update({way for way in cut if "c1" not in way})
    sim.world.network.heal()
    foreign = sim.group("g", Log, client="c2")
    for value in range(100, 140):
        foreign.append(value)
    sim.heal()
    again = unknown.value.again(20.0)
    values = foreign.all()
    assert values.count(1) == 1
    assert values[again - 1] == 1
    agree(sim)


def test_what_was_executed_in_a_session_that_expired_is_not_executed_again() -> None:
    """The command arrives, no answer does, and commands of others let the session expire meanwhile."""
    sim = Sim(seed=43)
    group = sim.group("g", Log, config=config(session_ttl_ms=1000))
    foreign = sim.group("g", Log, client="c2")
    group.append(0)
    cut = sim.world.network.weather.cut
    cut.update((name, "c1") for name in sim.nodes)
    reply = group.append.options(timeout=15.0).submit(1)
    sim.run("50ms")
    cut.update(("c1", name) for name in sim.nodes)
    for value in range(100, 130):
        foreign.append(value)
        sim.run("250ms")  # the links are given up after 5 s, with the answer
    assert foreign.all().count(1) == 1
    sim.heal()
    assert sim.run("20s", reply.done)
    assert isinstance(reply.exception(), fleet.OutcomeUnknown)
    assert group.append(2) == len(foreign.all())
    assert foreign.all().count(1) == 1
    agree(sim)


def test_s62_overload_is_refused_and_passes_by_itself() -> None:
    sim = Sim(seed=62)
    group = sim.group("g", Log, config=config(uncommitted_max=10))
    group.append(0)
    leader = leader_of(sim)
    for name in others(sim, leader):
        sim.slow(name, "100ms")
    clients = [sim.group("g", Log, client=f"c{n}") for n in range(1, 6)]
    replies = [one.append.options(timeout=1.0).submit(n) for one in clients for n in range(50)]
    sim.run("5s")
    assert all(reply.done() for reply in replies)
    log = member(sim, leader_of(sim)).core.log
    assert log.last_index - log.commit <= 10
    errors = [error for reply in replies if (error := reply.exception()) is not None]
    assert errors and any(isinstance(error, Overloaded | fleet.OutcomeUnknown) for error in errors)
    sim.heal()
    sim.run("30s")
    assert group.append(1) == len(group.all())
    assert sim.states_equal("g")


def test_s46_a_command_that_raises_fails_alike_everywhere_and_changes_nothing() -> None:
    sim = Sim(seed=46)
    group = sim.group("g", Ledger, config=config())
    group.append(1)
    with pytest.raises(fleet.FleetError, match="half done"):
        group.spoil(2)
    sim.restart(leader_of(sim))
    group.append(3)
    assert group.all() == (1, 3)
    agree(sim)


class Moments(fleet.Data):
    @fleet.command
    def now(self) -> float:
        return ctx.now


@pytest.mark.parametrize("hours", [24, -24])
def test_s85_a_leaders_wall_clock_that_jumps_moves_no_time(hours: int) -> None:
    """Not when it jumps, and it does not stand still when another one leads afterwards."""
    sim = Sim(seed=85)
    group = sim.group("g", Moments)
    sim.run("2s")
    began, leader = group.now(), leader_of(sim)
    sim.nodes[leader].clock.jump_wall(hours * 3600 * 1_000_000)
    times = [began, group.now()]
    for _ in range(8):
        sim.run("1s")
        times.append(group.now())
    sim.kill(leader)
    sim.run("5s")
    for _ in range(8):
        sim.run("1s")
        times.append(group.now())
    assert times == sorted(times)
    assert times[-1] - began == pytest.approx(21, abs=8)
    assert times[-1] - times[10] >= 6
