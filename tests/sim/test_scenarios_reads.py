"""Scenarios of reads, leases and transfers on whole simulated nodes."""

import pytest

from fleet.actors.messages.operator import TransferLeader
from fleet.testing import Sim
from tests.sim.scenes import Log, agree, ask, config, leader_of, member, others, wait_for_leader_but


@pytest.mark.parametrize("lease", [False, True])
def test_s17_a_new_leader_never_answers_with_the_old_value(lease: bool) -> None:
    """It has what was acknowledged, and neither it knows that, nor has the other follower it at all."""
    sim = Sim(seed=17)
    slower = {"heartbeat_ms": 100, "election_ms": 1000, "clock_drift_margin_ms": 200}
    one_by_one = {"batch_entries_max": 1, "window_max": 1}
    group = sim.group("g", Log, config=config(lease_reads=lease, **slower, **one_by_one))
    group.append(0)
    sim.run("1s")
    old = leader_of(sim)
    new, behind = others(sim, old)
    sim.partition(behind)
    sim.run("20ms")
    for value in range(1, 5):
        group.append(value)
    sim.kill(old, power=True)
    sim.heal_links()
    weather = sim.world.network.weather
    weather.slow_us.update({(new, behind): 300_000, (behind, new): 300_000})
    clients = [f"c{number}" for number in range(2, 12)]
    readers = [sim.group("g", Log, client=client) for client in clients]
    weather.cut.update((client, name) for client in clients for name in (old, behind))
    reads = [reader.all.options(timeout=20.0).submit() for reader in readers]
    assert sim.run("20s", lambda: all(read.done() for read in reads))
    assert [read.result() for read in reads] == [(0, 1, 2, 3, 4)] * len(reads)
    assert sim.leader("g") == new


@pytest.mark.parametrize("lease", [False, True])
def test_rv26_s20_late_answers_prolong_no_lease_and_confirm_no_read(lease: bool) -> None:
    """A leader's words do not arrive any more, answers to earlier ones do, for longer than an election."""
    for seed in range(200, 204):
        sim = Sim(seed=seed)
        group = sim.group("g", Log, config=config(lease_reads=lease))
        group.append(0)
        sim.run("1s")
        old = leader_of(sim)
        weather = sim.world.network.weather
        reader = sim.group("g", Log, client="c2")
        assert reader.all() == (0,)
        for name in others(sim, old):
            weather.cut.update((("c2", name), (name, "c2")))
        weather.cut.update((("c1", old), (old, "c1")))
        for slow_us in range(100_000, 700_000, 100_000):
            weather.slow_us.update({(name, old): slow_us for name in others(sim, old)})
            reader.all.options(timeout=1.0).submit()  # so that the group stays awake
            sim.run("300ms")
        assert sim.leader("g") == old and not member(sim, old).core.asleep
        weather.cut.update((old, name) for name in others(sim, old))
        writing = group.append.options(timeout=5.0).submit(1)
        for _ in range(60):
            reader.all.options(timeout=0.5).submit()
            sim.run("10ms")
        sim.run("5s")
        assert writing.done()
        agree(sim)


def test_s19_a_restarted_member_is_as_loyal_as_it_was() -> None:
    """It had made a lease possible, dies, is back at once, and is asked for its vote."""
    slow = config(lease_reads=True, election_ms=1000, storage_timeout_ms=2000)  # it is back long before
    for seed in range(198, 212):
        sim = Sim(seed=seed)
        group = sim.group("g", Log, config=slow)
        group.append(0)
        sim.run("1s")
        old = leader_of(sim)
        eager, loyal = others(sim, old)
        sim.world.network.weather.cut.update(((old, eager), (eager, old)))
        sim.run("1400ms")
        sim.partition(old)
        sim.restart(loyal)
        wait_for_leader_but(sim, old)
        agree(sim)


def test_s18_the_lease_ends_before_another_is_told_to_lead() -> None:
    """The old leader is cut off just when its successor was told; a client of its side reads on."""
    handed_over = 0
    for seed in range(180, 186):
        sim = Sim(seed=seed)
        group = sim.group("g", Log, config=config(lease_reads=True))
        group.append(0)
        sim.run("1s")
        old = leader_of(sim)
        target = others(sim, old)[0]
        reader = sim.group("g", Log, client="c2")
        ask(sim, TransferLeader(member(sim, target).core.id))
        if not sim.run("1s", lambda: member(sim, target).core.term > member(sim, old).core.term, 0.0001):
            continue
        handed_over += 1
        sim.partition(old)
        for name in others(sim, old):
            sim.world.network.weather.cut.update((("c2", name), (name, "c2")))
        wait_for_leader_but(sim, old)
        reader.all.options(timeout=0.4).submit()
        assert group.append(1) == 2
        for _ in range(10):
            reader.all.options(timeout=0.4).submit()
            sim.run("10ms")
        sim.run("1s")
        sim.heal()
        assert sim.explain("g") is None
    assert handed_over
