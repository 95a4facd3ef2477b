"""Groups that sleep on whole simulated nodes, and everything that must end with a working group."""

import pytest

from fleet.actors.messages.operator import DAMAGED
from fleet.actors.messages.peer import PeerMail
from fleet.raft.codec import encode_messages
from fleet.raft.ids import node_of
from fleet.raft.messages import AppendEntries
from fleet.testing import Sim
from tests.sim.scenes import (
    Log,
    agree,
    config,
    leader_of,
    member,
    others,
    terms,
    wait_for_leader_but,
)

ASLEEP_S = 5.0
"""Within this a group of these settings sleeps, after whatever happened."""


def sleeping(seed: int, nodes: int = 3, **settings: object) -> Sim:
    sim = Sim(seed=seed, nodes=nodes)
    group = sim.group("g", Log, config=config(**settings))
    group.append(0)
    wait_for_sleep(sim)
    return sim


def is_asleep(sim: Sim) -> bool:
    return all(one.core.asleep for one in sim.world.members_of("g"))


def wait_for_sleep(sim: Sim) -> None:
    assert sim.run(ASLEEP_S, lambda: is_asleep(sim)), "the group does not sleep"


def member_follows(sim: Sim, name: str) -> bool:
    members = [one.core for one in sim.world.members_of("g") if node_of(one.core.id) == name]
    return bool(members) and members[0].leader is not None


def append(sim: Sim, value: int, within: float = 2.0) -> None:
    sim.group("g", Log).append.options(timeout=within)(value)


def test_a_group_to_which_nothing_happens_sleeps_and_keeps_its_leader() -> None:
    """For longer than a sleeping member waits until it checks on its leader."""
    sim = sleeping(1)
    leader, before = leader_of(sim), terms(sim)
    for _ in range(100):
        sim.run("10s")
        assert is_asleep(sim)
    assert leader_of(sim) == leader and terms(sim) == before
    append(sim, 1)
    agree(sim)


def test_nodes_with_sleeping_groups_say_little() -> None:
    sim = sleeping(2)
    sim.run("2s")  # the cluster group falls asleep, too
    network = sim.world.network
    frames = network.frames
    sim.run("10s")
    a_second = (network.frames - frames) / 10
    # of each of six ways: four heartbeats in an election timeout of 300 ms, and a hello a second
    assert 6 * (4 / 0.3 + 1) * 0.8 <= a_second <= 6 * (4 / 0.3 + 1) * 1.2


@pytest.mark.parametrize("power", [False, True])
def test_s60_a_sleeping_leader_that_dies_is_replaced(power: bool) -> None:
    for seed in range(3, 8):
        sim = sleeping(seed)
        old = leader_of(sim)
        sim.kill(old, power=power)
        died = sim.now
        assert sim.run("3s", lambda: sim.leader("g") not in (None, old)), "nobody else is elected"
        assert sim.now - died < 1.5  # silence, the random part, and one grace
        append(sim, 1)
        agree(sim)


def test_a_follower_that_dies_wakes_nobody() -> None:
    sim = sleeping(9)
    leader = leader_of(sim)
    dead, other = others(sim, leader)
    sim.kill(dead)
    for _ in range(50):
        sim.run("100ms")
        assert member(sim, leader).core.asleep and member(sim, other).core.asleep
    append(sim, 1)
    agree(sim)


def test_a_group_sleeps_although_a_member_is_gone_for_long() -> None:
    sim = sleeping(10)
    leader = leader_of(sim)
    sim.kill(others(sim, leader)[0])
    append(sim, 1)
    assert sim.run("20s", lambda: is_asleep(sim))
    sim.heal()
    assert sim.run("5s", lambda: len(sim.world.members_of("g")) == 3)
    assert sim.states_equal("g")
    wait_for_sleep(sim)
    assert leader_of(sim) == leader
    agree(sim)


def test_s60_a_sleeping_leader_that_is_cut_off_makes_room() -> None:
    """It is told that no majority is alive, wakes, and steps down, although nobody calls it."""
    sim = sleeping(11)
    old = leader_of(sim)
    sim.partition(old)
    wait_for_leader_but(sim, old)
    assert sim.run("2s", lambda: not member(sim, old).core.is_leader)
    append(sim, 1)
    agree(sim)


@pytest.mark.parametrize("lease", [False, True])
def test_s60_a_sleeping_leader_answers_no_read_from_before_its_sleep(lease: bool) -> None:
    """It is cut off and stands still while another is elected; what it sees first is its client's read."""
    for seed in range(12, 16):
        sim = sleeping(seed, lease_reads=lease)
        reader = sim.group("g", Log, client="c2")
        assert reader.all() == (0,)
        wait_for_sleep(sim)
        old = leader_of(sim)
        cut = sim.world.network.weather.cut
        for name in others(sim, old):
            cut.update((("c2", name), (name, "c2")))
        cut.update((("c1", old), (old, "c1")))
        sim.partition(old)
        sim.pause(old, "2s")
        wait_for_leader_but(sim, old)
        append(sim, 1)
        reading = reader.all.options(timeout=5.0).submit()
        sim.run("3s")
        assert not member(sim, old).core.is_leader
        agree(sim)
        assert sim.run("6s", reading.done) and sim.explain("g") is None


def test_s60_a_leader_that_one_follower_does_not_hear_stays() -> None:
    """A partial partition: one follower takes the leader's node for lost, the other protects it."""
    for seed in range(20, 24):
        sim = sleeping(seed)
        leader = leader_of(sim)
        alone = others(sim, leader)[0]
        before = terms(sim)
        sim.world.network.weather.cut.update(((leader, alone), (alone, leader)))
        sim.run("20s")
        assert sim.leader("g") == leader and terms(sim) == before
        append(sim, 1)
        agree(sim)


def test_a_member_that_is_restarted_on_a_node_that_lives_finds_its_group() -> None:
    for seed in range(30, 34):
        sim = sleeping(seed)
        for leads in (False, True):
            leader = leader_of(sim)
            name = leader if leads else others(sim, leader)[0]
            sim.restart(name)
            assert sim.run("2s", lambda: member_follows(sim, name))
            append(sim, seed)
            wait_for_sleep(sim)
        agree(sim)


def test_a_node_that_stood_still_takes_nobody_for_lost() -> None:
    sim = sleeping(40)
    leader, before = leader_of(sim), terms(sim)
    follower = others(sim, leader)[0]
    sim.pause(follower, "5s")
    for _ in range(800):
        sim.run("10ms")
        assert is_asleep(sim)
    assert leader_of(sim) == leader and terms(sim) == before
    agree(sim)


def test_a_node_that_was_suspended_takes_nobody_for_lost() -> None:
    """Nothing reached it meanwhile, and its clock went on."""
    sim = sleeping(45)
    for name in sim.nodes:
        sim.nodes[name].clock.jump(5_000_000)
        for _ in range(300):
            sim.run("10ms")
            assert is_asleep(sim)


def test_a_node_whose_clock_jumps_disturbs_nobody() -> None:
    sim = sleeping(50)
    leader, before = leader_of(sim), terms(sim)
    for name in sim.nodes:
        sim.nodes[name].clock.jump(3_600_000_000)
        sim.run("3s")
        assert leader_of(sim) == leader and terms(sim) == before
    append(sim, 1)
    agree(sim)


def test_the_first_command_to_a_sleeping_group_takes_one_round_trip() -> None:
    sim = sleeping(60)
    asked = sim.now
    append(sim, 1)
    assert sim.now - asked < 0.02


def test_s60_a_sleeping_leader_whose_disk_hangs_makes_room_when_it_is_called() -> None:
    sim = sleeping(70)
    old = leader_of(sim)
    sim.hang(old, "10s")
    append(sim, 1, within=5.0)
    wait_for_leader_but(sim, old)
    append(sim, 2, within=5.0)
    agree(sim)


def test_a_leader_that_ends_on_a_node_that_lives_is_replaced() -> None:
    """Nobody is silent: the nodes' heartbeats go on for another group that it leads."""
    sim = Sim(seed=80)
    for name in ("g", "g1", "g2", "g3"):
        sim.group(name, Log, config=config()).append(0)
    old = leader_of(sim, "g")
    assert any(leader_of(sim, name) == old for name in ("g1", "g2", "g3"))
    assert sim.run("10s", lambda: all(one.core.asleep for _, one in sim.world.members()))
    leader, process = member(sim, old), sim.nodes[old].process
    assert process is not None
    process.do(lambda: leader._stop(removed=False, error="its records are damaged", ill=DAMAGED))
    assert sim.run("10s", lambda: sim.leader("g") not in (None, old)), "nobody else is elected"
    append(sim, 1)
    agree(sim)


# -- reads under a lease --------------------------------------------------------------------------------


def test_reads_under_a_lease_leave_a_group_asleep() -> None:
    """Its followers' nodes have confirmed that they sleep; at first, and while they do not, reads wake it."""
    for seed in range(40, 45):
        sim = sleeping(seed, lease_reads=True)
        sim.run("1s")
        for _ in range(20):
            assert sim.group("g", Log).all() == (0,)
            assert is_asleep(sim)
            sim.run("70ms")
        append(sim, 1)
        assert not is_asleep(sim)
        assert sim.group("g", Log).all() == (0, 1)


def test_without_leases_a_read_wakes_a_group() -> None:
    sim = sleeping(45)
    sim.run("1s")
    assert sim.group("g", Log).all() == (0,)
    assert not is_asleep(sim)


def test_s60_a_sleeping_leader_that_is_cut_off_has_no_lease_when_others_elect_one() -> None:
    """It had one a moment ago, and its followers were asked for it."""
    for seed in range(46, 56):
        sim = sleeping(seed, lease_reads=True)
        sim.run("1s")
        old = leader_of(sim)
        assert sim.group("g", Log).all() == (0,) and is_asleep(sim)
        sim.partition(old)
        core = member(sim, old).core
        assert sim.run("3s", lambda: sim.leader("g") not in (None, old)), "nobody else is elected"
        assert not core.lease_holds(member(sim, old).start.clock.now_ms())
        append(sim, 1)
        sim.heal()
        assert sim.group("g", Log).all() == (0, 1)
        agree(sim)


def late_heartbeat(sim: Sim, leader: str, follower: str) -> None:
    """One that left before the leader offered to sleep arrives now."""
    core, receiver = member(sim, leader).core, member(sim, follower)
    last, term = core.log.last_index, core.log.last_term
    heartbeat = AppendEntries(core.term, core.id, receiver.core.id, last, term, (), last, 0, core.now - 5000)
    mail = PeerMail(receiver.core.id, encode_messages([heartbeat]))
    process = sim.world.nodes[follower].process
    assert process is not None
    process.do(lambda: process.kernel.send(receiver.myAddress, process.kernel.system_address, mail))


def test_s60_followers_that_were_woken_promise_their_leader_nothing() -> None:
    """It sleeps on, and their nodes and its own go on to hear each other, since other groups sleep there."""
    slow = {"election_ms": 1000, "heartbeat_ms": 100, "clock_drift_margin_ms": 200}
    for seed in range(60, 70):
        sim = sleeping(seed, lease_reads=True, **slow)
        old = leader_of(sim)
        for number in range(3):
            sim.group(f"other{number}", Log, config=config(**slow)).append(0)
        sim.run("5s")
        assert sim.group("g", Log).all() == (0,) and is_asleep(sim)
        sim.partition(old)
        for other in others(sim, old):
            late_heartbeat(sim, old, other)
        network = sim.world.network
        sim.run("10ms")
        network.weather.cut.clear()
        for link in [link for link in network.links if old in (link.process.name, link.other.process.name)]:
            network.break_link(link)  # their answers are lost
        sim.run("300ms")
        for other in others(sim, old):
            network.weather.slow_us.update({(old, other): 150_000, (other, old): 150_000})
        for _ in range(100):  # the first wakes the group; else another leader would be elected meanwhile
            assert sim.group("g", Log).all() == (0,)
            sim.run("20ms")
        append(sim, 1)
        assert sim.group("g", Log).all() == (0, 1)
        agree(sim)
