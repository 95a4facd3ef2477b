"""Scenarios of nodes that come, go and come back, with all their groups."""

from fleet.actors.mail import TransferLeader
from fleet.cluster import CLUSTER_GROUP, LEAVING
from fleet.raft.ids import node_of
from fleet.testing import Sim
from tests.sim.scenes import Log, ask, config, leader_of, member, others


def test_s31_two_of_five_are_split_off_for_longer_than_the_purge_window() -> None:
    sim = Sim(seed=31, nodes=5)
    sim._ask_cluster("set_purge_after", (30_000,))
    groups = {f"g{n}": sim.group(f"g{n}", Log) for n in range(2)}
    for group in groups.values():
        group.append(0)
    minority = list(sim.nodes)[-2:]
    sim.partition(*minority)
    sim.run("90s")
    for group in groups.values():
        assert group.append.options(timeout=20.0)(1) == 2
    here = [m for m in sim.world.members_of(CLUSTER_GROUP) if node_of(m.core.id) in minority]
    assert not any(m.core.is_leader for m in here)
    sim.heal()
    sim.run("60s")
    for name, group in groups.items():
        assert group.all() == (0, 1)
        assert sim.explain(name) is None


def test_a_founder_that_left_does_not_found_again() -> None:
    sim = Sim(seed=20)
    sim._ask_cluster("set_state", ("n1", LEAVING))
    known = sim.nodes["n2"].manager.view.nodes
    assert sim.run("60s", lambda: "n1" not in sim.nodes["n2"].manager.view.nodes), known
    sim.run("10s")
    sim.restart("n1")
    sim.run("20s")  # the invariants know of one cluster and what each disk has promised


def test_a_node_that_was_back_soon_is_asked_although_its_former_link_dies_late() -> None:
    sim = Sim(seed=2066)
    group = sim.group("g", Log, config=config())
    group.append(0)
    sim.run("1s")
    leader = leader_of(sim)
    sim.kill(leader, power=True)
    sim.run("200ms")
    sim.restart(leader)
    sim.run("10s")
    if sim.leader("g") != leader:
        ask(sim, TransferLeader(member(sim, leader).core.id))
        assert sim.run("10s", lambda: sim.leader("g") == leader)
    for name in others(sim, leader):
        sim.world.network.weather.cut.update((("c1", name), (name, "c1")))
    assert group.append.options(timeout=10.0)(1) == 2


def test_s56_everything_acknowledged_is_there_after_all_lost_power_and_one_stays_away() -> None:
    sim = Sim(seed=56, nodes=4)
    groups = {f"g{number}": sim.group(f"g{number}", Log, config=config()) for number in range(6)}
    for number, group in enumerate(groups.values()):
        for value in range(number + 1):
            group.append(value)
    for name in sim.nodes:
        sim.kill(name, power=True)
    for name in ("n3", "n1", "n4"):
        sim.restart(name)
        sim.run("400ms")
    for number, group in enumerate(groups.values()):
        assert group.all.options(timeout=30.0)() == tuple(range(number + 1))


def test_s57_two_nodes_leave_at_once_and_one_is_killed_while_it_does() -> None:
    sim = Sim(seed=57, nodes=5)
    groups = {f"g{number}": sim.group(f"g{number}", Log, config=config()) for number in range(4)}
    for group in groups.values():
        group.append(0)
    for name in ("n1", "n2"):
        sim._ask_cluster("set_state", (name, LEAVING))
    sim.run("2s")
    sim.kill("n1")
    sim.run("1s")
    sim.restart("n1")
    view = sim.nodes["n3"].manager.view
    assert sim.run("180s", lambda: not {"n1", "n2"} & set(view.nodes))
    for name, group in groups.items():
        assert group.append.options(timeout=20.0)(1) == 2
        members = {node_of(m.core.id) for m in sim.world.members_of(name)}
        assert members == {"n3", "n4", "n5"}
