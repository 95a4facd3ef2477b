"""Scenarios of disks, damage and snapshots on whole simulated nodes."""

from fleet.testing import Sim
from tests.sim.scenes import Log, agree, config, leader_of, member, others


def test_s08_s37_a_rotten_snapshot_is_not_sent_and_the_group_goes_on() -> None:
    """Its leader meets the damage while it sends, and makes room; it is no bug of the leader's."""
    sim = Sim(seed=37)
    keep_little = config(snapshot_floor_bytes=300, snapshot_factor=1, log_tail=0)
    group = sim.group("g", Log, config=keep_little)
    leader = leader_of(sim)
    behind = others(sim, leader)[0]
    sim.kill(behind)
    for value in range(60):
        group.append(value)
    sim.run("1s")
    disk, number = sim.nodes[leader].disk, member(sim, leader).number
    part = disk.image[number]
    for key in [key for key in part if key[4] == 3]:
        part[key] = part[key][:-1] + bytes([part[key][-1] ^ 1])
    sim.restart(behind)
    sim.run("30s")
    assert sim.leader("g") not in (None, leader)
    assert group.append(99) == 61


def test_s37_s38_a_rotten_tail_is_not_cut_off_to_vote_on() -> None:
    """Two of three have what was acknowledged; one of them finds the end of its log rotten."""
    sim = Sim(seed=38)
    group = sim.group("g", Log, config=config())
    group.append(0)
    sim.run("1s")
    old = leader_of(sim)
    rotten, behind = others(sim, old)
    sim.partition(behind)
    for value in range(1, 4):
        group.append(value)
    sim.run("1s")
    number = member(sim, rotten).number
    sim.kill(rotten)
    part = sim.nodes[rotten].disk.image[number]
    for key in sorted(key for key in part if key[4] == 4)[-3:]:
        part[key] = part[key][:-1] + bytes([part[key][-1] ^ 1])
    sim.kill(old, power=True)
    sim.heal_links()
    sim.restart(rotten)
    sim.run("10s")
    assert sim.leader("g") is None
    sim.restart(old)
    assert group.all.options(timeout=30.0)() == (0, 1, 2, 3)


def test_s34_no_moment_of_an_installation_loses_what_was_acknowledged() -> None:
    for moment in range(8):
        sim = Sim(seed=340 + moment)
        keep_little = config(snapshot_floor_bytes=300, snapshot_factor=1, log_tail=0)
        group = sim.group("g", Log, config=keep_little)
        group.append(0)
        sim.run("1s")
        behind = others(sim, leader_of(sim))[0]
        sim.kill(behind)
        for value in range(60):
            group.append(value)
        sim.restart(behind)
        assert sim.run("10s", lambda: member(sim, behind).core.log.base_index > 0, 0.0001)
        sim.run(moment * 0.0006)
        sim.kill(behind, power=True)
        sim.restart(behind)
        agree(sim)


def test_s36_one_lying_disk_is_repaired_from_the_others() -> None:
    """What it had synced is gone after its power was: a follower lags, and the group goes on."""
    sim = Sim(seed=36)
    group = sim.group("g", Log, config=config())
    for value in range(10):
        group.append(value)
    sim.run("1s")
    leader = leader_of(sim)
    liar = others(sim, leader)[0]
    number = member(sim, liar).number
    sim.kill(liar, power=True)
    part = sim.nodes[liar].disk.image[number]
    for key in sorted(key for key in part if key[4] == 4)[-4:]:
        del part[key]
    sim.restart(liar)
    assert group.append(10) == 11
    agree(sim)


def test_s38_a_member_starts_again_with_all_that_its_former_life_had_written() -> None:
    """Its disk is slow: with what was there already it would go on, and the rest would come on top."""
    sim = Sim(seed=66)
    group = sim.group("g", Log, config=config())
    group.append(0)
    sim.run("1s")
    slow = others(sim, leader_of(sim))[0]
    former = member(sim, slow)
    sim.hang(slow, 2.0)
    group.append(1)
    last = former.core.log.last_index
    assert former.core.log.durable < last
    former.fail(RuntimeError("planted"), None)
    sim.run("1500ms")
    assert len(sim.world.members_of("g")) == 2
    assert sim.run("2s", lambda: len(sim.world.members_of("g")) == 3, 0.001)
    assert member(sim, slow).core.log.last_index >= last
    agree(sim)
