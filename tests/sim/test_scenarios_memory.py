"""Scenarios of groups in memory only on whole simulated nodes."""

from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from fleet.actors.messages.local import AskHealth, Health
from fleet.actors.messages.operator import LOST
from fleet.actors.node.health import tell_health
from fleet.errors import Unavailable
from fleet.raft.ids import MemberId, node_of
from fleet.sim.checks.memory import lost_groups
from fleet.sim.search.settling import cluster_of
from fleet.sim.world.timeline import S
from fleet.testing import Sim
from tests.sim.scenes import Log, agree, ask_cluster, config, leader_of, member, others, voters


def hosted_at(sim: Sim, node: str, group: str = "g") -> Any:
    return sim.nodes[node].manager.hosted_members.by_name.get(group)


def restart(sim: Sim, *nodes: str) -> None:
    for node in nodes:
        sim.nodes[node].kill()
    for node in nodes:
        sim.nodes[node].start()


def is_replaced(sim: Sim, node: str, former: MemberId) -> bool:
    at_node = {voter for voter in voters(sim) if node_of(voter) == node}
    return len(voters(sim)) == 3 and bool(at_node - {former}) and former not in voters(sim)


def lost(sim: Sim) -> list[str]:
    return lost_groups(sim.world, cluster_of(sim.world).groups)


@pytest.mark.parametrize("leads", [True, False])
def test_a_member_in_memory_is_replaced_under_another_id_after_its_node_restarted(leads: bool) -> None:
    sim = Sim(seed=151 + leads)
    group = sim.group("g", Log, config=config(), persist=False)
    for value in range(20):
        group.append(value)
    leader = leader_of(sim)
    node = leader if leads else others(sim, leader)[0]
    former = member(sim, node).core.id
    restart(sim, node)
    sim.run("1ms")
    assert hosted_at(sim, node).ill == LOST and hosted_at(sim, node).member == former
    assert sim.run("60s", lambda: is_replaced(sim, node, former))
    assert group.append(20) == 21
    assert former in member(sim, leader_of(sim)).core.membership.current.removed
    agree(sim)


def test_members_in_memory_are_restarted_one_after_the_other_and_nothing_is_lost() -> None:
    """As by an upgrade that waits until the lost member is replaced. Later ones get a snapshot."""
    sim = Sim(seed=153)
    keep_little = config(snapshot_floor_bytes=300, snapshot_factor=1, log_tail=0)
    group = sim.group("g", Log, config=keep_little, persist=False)
    for node in sim.nodes:
        for value in range(30):
            group.append(value)
        former = member(sim, node).core.id
        restart(sim, node)
        assert sim.run("60s", partial(is_replaced, sim, node, former))
    assert len(group.all()) == 90
    agree(sim)


@pytest.mark.parametrize("count", [2, 3])
def test_a_group_in_memory_is_lost_with_a_majority_and_callers_are_told(count: int) -> None:
    sim = Sim(seed=155 + count)
    group = sim.group("g", Log, config=config(), persist=False)
    kept = sim.group("kept", Log, config=config())
    assert group.append(0) == kept.append(0) == 1
    before = {m.core.id for m in sim.world.members_of("kept")}
    restart(sim, *list(sim.nodes)[:count])
    sim.run("30s")
    assert lost(sim) == ["g"] and sim.leader("g") is None
    with pytest.raises(Unavailable, match="in memory only and was lost"):
        group.append.options(timeout=3.0)(1)
    assert kept.append(1) == 2 and {m.core.id for m in sim.world.members_of("kept")} == before
    ask_cluster(sim, "remove_group", "g")
    assert sim.run("30s", lambda: not any(hosted_at(sim, node) for node in sim.nodes))
    del sim.groups["g"]
    sim.run("5s")
    again = sim.group("g", Log, config=config(), persist=False)
    assert again.append(0) == 1 and lost(sim) == []


def test_a_minority_that_is_left_of_a_group_in_memory_never_leads() -> None:
    """The restarted ones would vote for it, if they could."""
    sim = Sim(seed=159)
    group = sim.group("g", Log, config=config(), persist=False)
    group.append(0)
    left = leader_of(sim)
    restart(sim, *others(sim, left))
    sim.run("60s")
    assert sim.leader("g") is None and group.all.stale(max_age=None)() == (0,)


def test_a_member_in_memory_that_only_failed_is_the_same_member_with_its_log() -> None:
    sim = Sim(seed=160)
    group = sim.group("g", Log, config=config(), persist=False)
    for value in range(5):
        group.append(value)
    sim.run("1s")
    here = member(sim, others(sim, leader_of(sim))[0])
    node, last = node_of(here.core.id), here.core.log.last_index
    process = sim.nodes[node].process
    assert process is not None
    process.do(lambda: here._stop(removed=False, error="it failed", restart=True))
    assert sim.run("10s", lambda: hosted_at(sim, node).address is not None)
    sim.run("1s")
    again = member(sim, node)
    assert again is not here and again.core.id == here.core.id and again.core.log.last_index >= last
    assert group.append(5) == 6
    agree(sim)


def test_nothing_of_a_group_in_memory_reaches_the_disk_but_that_it_is_there() -> None:
    sim = Sim(seed=161)
    little = config(snapshot_floor_bytes=300, snapshot_factor=1)
    group = sim.group("g", Log, config=little, persist=False)
    sim.run("2s")
    numbers = {node: hosted_at(sim, node).record.number for node in sim.nodes}
    for value in range(100):
        group.append(value)
    sim.run("1s")
    assert all(m.core.snapshot is not None for m in sim.world.members_of("g"))
    for node, number in numbers.items():
        assert len(sim.nodes[node].disk.image[number]) == 1  # the empty hard state of its creation


def test_disks_that_are_full_or_hang_do_not_hold_up_a_group_in_memory() -> None:
    sim = Sim(seed=162)
    group = sim.group("g", Log, config=config(), persist=False)
    group.append(0)
    sim.run("2s")
    for node in sim.nodes.values():
        node.disk.is_full = True
        node.disk.hangs_until = sim.world.now + 60 * S
    began = sim.now
    for value in range(1, 100):
        group.append(value)
    assert sim.now - began < 5
    sim.run("10s")
    assert group.append(100) == 101


def why_not_ready(sim: Sim, node: str) -> tuple[str, ...]:
    manager, told = sim.nodes[node].manager, list[Health]()
    with patch.object(manager, "send", lambda to, message: told.append(message)):
        tell_health(manager, AskHealth(1), manager.myAddress)
    return told[0].why_not_ready


@pytest.mark.parametrize("count", [1, 2])
def test_a_node_is_ready_when_its_lost_members_are_replaced_or_cannot_be(count: int) -> None:
    """So nodes that are restarted one after the other, each when the last one is ready, lose no group."""
    sim = Sim(seed=163 + count)
    group = sim.group("g", Log, config=config(), persist=False)
    group.append(0)
    restarted = others(sim, leader_of(sim))[:count]
    restart(sim, *restarted)
    began = sim.now
    assert sim.run("60s", lambda: not why_not_ready(sim, restarted[0]))
    hosted = hosted_at(sim, restarted[0])
    is_lost = hosted is not None and hosted.ill == LOST
    assert (is_lost, sim.now - began > 25) == ((False, False) if count == 1 else (True, True))


@pytest.mark.parametrize("persist", [True, False])
def test_a_node_knows_which_of_its_members_vote(persist: bool) -> None:
    """Founders, those that were restarted, and those that were brought in by a snapshot."""
    sim = Sim(seed=173)
    keep_little = config(snapshot_floor_bytes=300, snapshot_factor=1, log_tail=0)
    group = sim.group("g", Log, config=keep_little, persist=persist)
    for value in range(30):
        group.append(value)
    assert all(hosted_at(sim, node).votes for node in sim.nodes)
    node = others(sim, leader_of(sim))[0]
    former = member(sim, node).core.id
    restart(sim, node)
    sim.run("1ms")
    assert not hosted_at(sim, node).votes, "it does not run yet"
    learned = False

    def votes_again() -> bool:
        nonlocal learned
        hosted = hosted_at(sim, node)
        learned |= hosted is not None and hosted.address is not None and not hosted.votes
        return hosted is not None and hosted.votes

    assert sim.run("60s", votes_again)
    assert persist or (learned and is_replaced(sim, node, former))
    sim.run("5s")
    assert all(hosted_at(sim, node).votes for node in sim.nodes)


@pytest.mark.parametrize("seed", range(164, 172))
def test_the_next_node_may_restart_as_soon_as_one_is_ready(seed: int) -> None:
    """A learner counted as a replacement, and a member that was still to come was not missed."""
    sim = Sim(seed=seed)
    groups = [sim.group(f"g{at}", Log, config=config(), persist=False) for at in range(3)]
    for group in groups:
        group.append(0)
    for node in sim.nodes:
        restart(sim, node)
        assert sim.run("60s", lambda at=node: not why_not_ready(sim, at))  # type: ignore[misc]
    sim.run("10s")
    assert lost(sim) == []
    for group in groups:
        assert group.append(1) == 2


def test_a_node_is_ready_when_the_group_of_its_lost_member_was_removed() -> None:
    sim = Sim(seed=172)
    sim.group("g", Log, config=config(), persist=False).append(0)
    node, other = others(sim, leader_of(sim))
    restart(sim, node, other)
    sim.run("2s")
    ask_cluster(sim, "remove_group", "g")
    assert sim.run("10s", lambda: not why_not_ready(sim, node))
