"""Scenarios of reads, leases and transfers on whole simulated nodes."""

from typing import Any

import pytest

from fleet.actors.messages.operator import TransferLeader
from fleet.errors import TooStale
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


def is_too_stale(query: Any) -> bool:
    """Whether it is refused for that reason."""
    try:
        query()
    except TooStale:
        return True
    return False


def cut_clients(sim: Sim, ways: dict[str, set[str]]) -> None:
    """Each client reaches these nodes only."""
    for client, reached in ways.items():
        for name in set(sim.nodes) - reached:
            sim.world.network.weather.cut.update(((client, name), (name, client)))


def test_s21_a_member_that_is_cut_off_with_its_old_leader_refuses_reads_with_an_age_limit() -> None:
    """The old leader does not know that it was deposed, sends heartbeats, and thinks itself fresh, too."""
    patient = {
        "heartbeat_ms": 100,
        "election_ms": 3000,
        "clock_drift_margin_ms": 600,
        "storage_timeout_ms": 9000,
    }
    sim = Sim(seed=21, nodes=5)
    writer = sim.group("g", Log, replicas=5, config=config(**patient))
    writer.append(0)
    sim.run("1s")
    old = leader_of(sim)
    kept, new, *rest = others(sim, old)
    for node in (old, kept):
        reader = sim.group("g", Log, client=f"at {node}")
        cut_clients(sim, {f"at {node}": {node}})
        assert reader.all.stale(1.0)() == (0,)
    sim.world.network.weather.cut.update((far, near) for far in (new, *rest) for near in (old, kept))
    ask(sim, TransferLeader(member(sim, new).core.id))
    assert sim.run("1s", lambda: member(sim, new).core.is_leader), (
        "it was told before the others were cut off"
    )
    sim.partition(old, kept)
    other = sim.group("g", Log, client="c3")
    cut_clients(sim, {"c3": {new, *rest}})
    assert other.append(1) == 2
    sim.run("300ms")
    assert member(sim, old).core.is_leader and member(sim, kept).core.leader == member(sim, old).core.id
    for node in (old, kept):
        reader = sim.group("g", Log, client=f"at {node}")
        assert reader.all.stale(5.0)() == (0,) == reader.all.stale(None)()
        assert is_too_stale(reader.all.stale(0.25).options(timeout=0.1))
    agree(sim)
    sim.run("1s")
    assert [sim.group("g", Log, client=f"at {node}").all.stale(1.0)() for node in (old, kept)] == [(0, 1)] * 2


def test_s21_reads_of_one_client_never_go_back_whichever_member_answers() -> None:
    sim = Sim(seed=22)
    writer = sim.group("g", Log, config=config())
    writer.append(0)
    sim.run("1s")
    behind, *_ = others(sim, leader_of(sim))
    sim.partition(behind)
    value, revision = writer.append.with_revision(1)
    assert value == 2 and writer.all.with_revision() == ((0, 1), revision)
    reader = sim.group("g", Log, client="c2")
    cut_clients(sim, {"c1": {behind}, "c2": {behind}})
    assert reader.all.stale(None)() == (0,), "it has seen nothing newer"
    for query in (writer.all.stale(None), reader.all.at_least(revision)):
        with pytest.raises(TooStale, match=f"at_least={revision}"):
            query.options(timeout=1.0)()
    sim.heal()
    assert writer.all.stale(None)() == reader.all.at_least(revision)() == (0, 1)
    with pytest.raises(TooStale):
        reader.all.at_least(revision + 1)()
    agree(sim)


def test_a_group_that_sleeps_answers_reads_with_an_age_limit() -> None:
    """Its followers can prove nothing, and refuse; the client asks the leader then."""
    sim = Sim(seed=23)
    writer = sim.group("g", Log, config=config(lease_reads=True))
    writer.append(0)
    assert sim.run("10s", lambda: all(m.core.asleep for m in sim.world.members_of("g")))
    sim.run("10s")
    for number in range(2, 6):
        reader = sim.group("g", Log, client=f"c{number}")
        began = sim.now
        assert reader.all.stale(0.5)() == (0,)
        assert sim.now - began < 0.5
    agree(sim)
