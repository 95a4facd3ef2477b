"""Scenarios of disks, damage and snapshots on whole simulated nodes."""

import copy
from unittest.mock import patch

import pytest

from fleet.actors.messages.operator import CONFLICT, DAMAGED, DISK_FULL
from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.node.hosted_members import HostedMembers
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import OutcomeUnknown, Unavailable
from fleet.interfaces import DropGroup
from fleet.raft.ids import node_of
from fleet.sim.checks.invariants import Invariants
from fleet.sim.search.settling import cluster_of, nodes_missing
from fleet.sim.world import host
from fleet.sim.world.disk import SimDisk
from fleet.sim.world.host import SimNode
from fleet.sim.world.timeline import S
from fleet.storage import keys
from fleet.testing import Sim
from tests.sim.scenes import Log, agree, ask_cluster, config, leader_of, member, others


def test_s08_s37_a_rotten_snapshot_is_not_sent_and_the_group_goes_on() -> None:
    """Its leader meets the damage while it sends, and is replaced; it is no bug of its own."""
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
    damaged = member(sim, leader).core.id
    part = disk.image[number]
    for key in [key for key in part if key[4] == 3]:
        part[key] = part[key][:-1] + bytes([part[key][-1] ^ 1])
    sim.restart(behind)
    sim.run("30s")
    assert member(sim, sim.leader("g") or "").core.id != damaged
    assert group.append(99) == 61
    assert damaged in member(sim, leader).core.membership.current.removed


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
    for key in sorted(key for key in part if key[4] == keys.ENTRY)[-3:]:
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
        assert sim.run("2s", lambda: len(sim.world.members_of("g")) == 3, 0.0001)
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
    forget(sim)
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


@pytest.mark.parametrize("name", ["g", CLUSTER_GROUP])
def test_s81_a_damaged_member_is_replaced_by_a_new_one_from_the_quorum(name: str) -> None:
    sim = Sim(seed=81, nodes=3)
    group = sim.group("g", Log)
    for value in range(20):
        group.append(value)
    victim = next(node for node in others(sim, leader_of(sim)) if sim.leader(name) != node)
    host = sim.nodes[victim]
    before = host.manager.hosted_members.by_name[name]
    host.kill()
    flip_an_entry(host.disk, before.record.number)
    host.start()
    assert sim.world.run(60 * S, lambda: is_whole(sim, name, victim, before.member))
    removed = [one.core.membership.current.removed for one in sim.world.members_of(name)]
    assert all(before.member in members for members in removed)
    group.append(99)
    sim.run("2s")
    agree(sim)


def flip_an_entry(disk: SimDisk, number: int) -> None:
    entry = max(key for key in disk.image[number] if keys.locate(key)[1].startswith("entry"))
    assert disk.flip(entry, 9, 0)


def is_whole(sim: Sim, name: str, victim: str, before: str) -> bool:
    """A new member votes there."""
    hosted = sim.nodes[victim].manager.hosted_members.by_name.get(name)
    if hosted is None or hosted.member == before:
        return False
    return all(hosted.member in one.core.membership.current.voters for one in sim.world.members_of(name))


def test_s84_what_a_majority_lost_by_older_copies_is_kept_by_the_member_that_has_it() -> None:
    sim = Sim(seed=84, nodes=3)
    group = sim.group("g", Log)
    group.append(0)
    sim.run("1s")
    for name in ("n1", "n2"):  # at once: neither remembers a later start of the other
        sim.nodes[name].kill()
    copies = {name: copy.deepcopy(sim.nodes[name].disk.image) for name in ("n1", "n2")}
    for name in copies:
        sim.nodes[name].start()
    sim.run("10s")
    for value in range(1, 40):
        group.append(value)
    sim.run("1s")
    for name in ("n1", "n2", "n3"):
        sim.nodes[name].kill()
    forget(sim)
    for name, image in copies.items():
        sim.nodes[name].disk.image = image
        sim.nodes[name].start()
    sim.run("10s")
    assert group.append(1000) == 2
    keeper = sim.nodes["n3"]
    for _ in range(2):
        forget(sim)
        keeper.start()
        sim.run("10s")
        hosted = keeper.manager.hosted_members.by_name["g"]
        assert hosted.ill == CONFLICT and "committed data conflicts" in hosted.trouble
        held = keeper.manager.store.load(hosted.record.number)
        assert held.entries[-1].index >= 40 and held.hard.commit >= 40
        keeper.kill()
    assert list(group.all()) == [0, 1000]


def forget(sim: Sim) -> None:
    """What the invariants remember is what an older copy contradicts."""
    sim.world.invariants = Invariants(sim.world)
    sim.world.may_conflict = True


def test_s83_an_older_copy_of_a_directory_rejoins_as_a_new_one() -> None:
    sim = Sim(seed=83, nodes=3)
    group = sim.group("g", Log)
    group.append(0)
    sim.run("2s")
    victim = others(sim, leader_of(sim))[0]
    host = sim.nodes[victim]
    host.kill()
    older = copy.deepcopy(host.disk.image)
    for _ in range(2):  # the copy's next start is not the newest one that others remember
        host.start()
        sim.run("3s")
        for value in range(10):
            group.append(value)
        before = {name: hosted.member for name, hosted in host.manager.hosted_members.by_name.items()}
        incarnation = host.manager.store.identity.incarnation
        host.kill()
    host.disk.image = older
    disks = sim.world.invariants.disks
    for former in [one for one in disks if node_of(one) == victim]:
        del disks[former]  # what it had written is gone
    host.start()
    for name, former in before.items():
        assert sim.world.run(60 * S, lambda: is_whole(sim, name, victim, former)), name
    now = host.manager.store.identity.incarnation
    assert now != incarnation and host.manager.view.nodes[victim].incarnation == now
    assert len(group.all()) == 21
    sim.run("2s")
    agree(sim)
    host.kill()
    host.start()
    sim.run("5s")
    assert not [one for one in host.manager.hosted_members.by_number.values() if one.ill]
    assert list(nodes_missing(sim.world, cluster_of(sim.world))) == []


@pytest.mark.parametrize("seed", range(830, 836))
def test_s83_an_older_copy_casts_no_vote_while_a_witness_answers(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It voted and acknowledged until the first witness had told it what it is."""
    sim = Sim(seed=seed, nodes=3)
    group = sim.group("g", Log)
    group.append(0)
    sim.run("2s")
    victim = others(sim, leader_of(sim))[0]
    host = sim.nodes[victim]
    host.kill()
    older = copy.deepcopy(host.disk.image)
    host.start()
    sim.run("3s")
    group.append(1)
    before = {hosted.member for hosted in host.manager.hosted_members.by_name.values()}
    host.kill()
    host.disk.image = older
    forget(sim)
    sim.kill(leader_of(sim))  # who is left asks the copy for its vote
    started: list[str] = []  # its replacements may
    start_member = HostedMembers.start_member

    def start(self: HostedMembers, hosted: HostedMember) -> None:
        started.append(hosted.member)
        start_member(self, hosted)

    monkeypatch.setattr(HostedMembers, "start_member", start)
    host.start()
    sim.run("5s")
    assert not before & set(started)
    left = [one for one in host.manager.hosted_members.by_number.values() if one.member in before]
    assert {one.ill for one in left} <= {DAMAGED} and host.manager.store.identity.incarnation.endswith("-3")


def test_s83_who_is_alone_starts_its_members_all_the_same() -> None:
    sim = Sim(seed=838, nodes=3)
    group = sim.group("g", Log)
    group.append(0)
    for node in sim.nodes.values():
        node.kill()
    first = next(iter(sim.nodes.values()))
    first.start()
    sim.run("200ms")
    assert {info.state for info in first.manager.hosted_members.infos()} == {"waiting"}
    sim.run("200ms")
    assert {info.state for info in first.manager.hosted_members.infos()} == {"running"}


def test_s83_a_restart_beside_others_does_not_wait_for_its_time() -> None:
    sim = Sim(seed=839, nodes=3)
    group = sim.group("g", Log)
    group.append(0)
    sim.run("1s")
    host = sim.nodes[others(sim, leader_of(sim))[0]]
    host.kill()
    host.start()
    sim.run("100ms")
    assert {info.state for info in host.manager.hosted_members.infos()} == {"running"}


@pytest.mark.parametrize("full", [("n1", "n2"), ("n1", "n2", "n3")])
def test_s86_callers_and_doctor_are_told_that_disks_are_full(full: tuple[str, ...]) -> None:
    sim = Sim(seed=86, nodes=3)
    group = sim.group("g", Log)
    group.append(0)
    for name in full:
        sim.nodes[name].disk.is_full = True
    for _ in range(3):
        with pytest.raises((Unavailable, OutcomeUnknown), match="disk full") as told:
            group.append.options(timeout=10.0)(1)
        assert any(f"node={name}" in str(told.value) for name in full)
    states = {name: sim.nodes[name].manager.hosted_members.infos() for name in full}
    said = {name for name, infos in states.items() for info in infos if info.state.startswith(DISK_FULL)}
    assert said == {*full}
    for name in full:
        sim.nodes[name].disk.is_full = False
    sim.run("40s")
    group.append(2)
    sim.run("70s")
    infos = [info for name in full for info in sim.nodes[name].manager.hosted_members.infos()]
    assert {info.state for info in infos} == {"running"}


@pytest.mark.parametrize("transactions", [0, 1, 2, 3])
def test_a_founder_that_dies_while_it_deletes_its_member_does_not_found_it_again(transactions: int) -> None:
    """Whatever of that reached its disk: that it left is durable with the end of its data."""
    sim = Sim(seed=1)
    group = sim.group("g", Log, config=config())
    group.append(1)
    uid = member(sim, "n1").spec.uid
    for one in sim.nodes.values():
        one.disk.sync_us = (20_000, 30_000)
    ask_cluster(sim, "set_replicas", "g", 1)

    def deleting() -> list[SimNode]:
        writers = [(node, node.process.writer) for node in sim.nodes.values() if node.process is not None]
        return [
            node
            for node, writer in writers
            if writer is not None and any(isinstance(one, DropGroup) for one in writer._taken)
        ]

    assert sim.run("10s", lambda: bool(deleting()), every=0.002)
    (node,) = deleting()
    with patch.object(host, "LAST_TRANSACTIONS", (transactions,)):
        node.kill()
    node.start()
    sim.run("100ms")
    members = node.manager.hosted_members
    assert uid in members.left or uid in [one.spec.uid for one in members.by_number.values()]
    sim.run("10s")
    assert len(sim.world.members_of("g")) == 1 and group.append(2) == 2
