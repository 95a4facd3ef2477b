"""Scenarios of nodes that come, go and come back, with all their groups."""

from typing import Any

from msgspec.structs import replace

from fleet.actors.messages.local import WriteFailed
from fleet.actors.messages.operator import HostMember, RemoveMember
from fleet.cluster.membership_events import ReadView
from fleet.cluster.state import CLUSTER_GROUP, LEAVING
from fleet.raft.ids import node_of
from fleet.testing import Sim
from tests.sim.scenes import Log, agree, ask, config, hand_over, leader_of, member, others, voters


def test_s48_the_clusters_own_group_is_not_compared() -> None:
    sim = Sim(seed=48, nodes=3)
    sim.group("g", Log)
    assert [m.core.config.compare_every for m in sim.world.members_of(CLUSTER_GROUP)] == [0, 0, 0]


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


def test_a_whole_zone_is_lost_and_no_group_loses_its_majority_or_a_command() -> None:
    """Two of six nodes, in one of three zones: each group has one member there. It is replaced in the zones
    that are left."""
    sim = Sim(seed=6, nodes=6, zones=3)
    sim._ask_cluster("set_purge_after", (30_000,))
    groups = {f"g{n}": sim.group(f"g{n}", Log) for n in range(8)}
    for group in groups.values():
        assert group.append(0) == 1
    sim.run("20s")
    zone = {name: node.zone for name, node in sim.nodes.items()}
    lost = {name for name in zone if zone[name] == "z2"}
    for name in groups:
        homes = [zone[node_of(m.core.id)] for m in sim.world.members_of(name)]
        assert sorted(homes) == ["z1", "z2", "z3"]
    for name in lost:
        sim.kill(name)
    for group in groups.values():
        assert group.append.options(timeout=5.0)(1) == 2
    assert sim.run("180s", lambda: set(sim.nodes["n1"].manager.view.nodes) == zone.keys() - lost)

    def is_whole(name: str) -> bool:
        leader = sim.leader(name)
        voters = leader and {node_of(v) for v in member(sim, leader, name).core.membership.current.voters}
        return bool(voters) and len(voters or ()) == 3 and not lost & (voters or set())

    assert sim.run("120s", lambda: all(map(is_whole, groups)))
    for name, group in groups.items():
        assert group.append(2) == 3 and group.all() == (0, 1, 2)
        assert sim.states_equal(name) and sim.explain(name) is None


def test_nodes_that_all_stood_still_for_longer_than_the_purge_window_report_nobody() -> None:
    """A host that was frozen with all its virtual machines. Each took the others for lost, and healthy
    nodes were purged."""
    sim = Sim(seed=2)
    sim._ask_cluster("set_purge_after", (30_000,))
    sim.run("5s")
    revisions = [node.rev for node in sim.nodes["n1"].manager.view.nodes.values()]
    for name in sim.nodes:
        sim.pause(name, "60s")
    sim.run("80s")
    for node in sim.nodes.values():
        assert [known.rev for known in node.manager.view.nodes.values()] == revisions


def test_a_founder_that_left_does_not_found_again() -> None:
    sim = Sim(seed=20)
    sim._ask_cluster("set_state", ("n1", LEAVING))
    known = sim.nodes["n2"].manager.view.nodes
    assert sim.run("60s", lambda: "n1" not in sim.nodes["n2"].manager.view.nodes), known
    sim.run("10s")
    sim.restart("n1")
    sim.run("20s")  # the invariants know of one cluster and what each disk has promised


def is_cleaned_up(sim: Sim) -> bool:
    """Each node has said that it holds nothing of removed groups, and the cluster heard it."""
    managers = [node.manager for node in sim.nodes.values()]
    return not any(manager.view.groups or manager.view.removed for manager in managers)


def test_a_node_that_was_back_soon_is_asked_although_its_former_link_dies_late() -> None:
    """The cluster's leader: the others want something of it, and nobody else can say yes."""
    for seed in (2086, 2090, 2099):
        sim = Sim(seed=seed)
        sim.group("g", Log, config=config())
        leader = leader_of(sim, CLUSTER_GROUP)
        sim.kill(leader, power=True)
        sim.run("200ms")
        sim.restart(leader)
        sim.run("10s")
        hand_over(sim, leader, CLUSTER_GROUP)
        sim._ask_cluster("remove_group", ("g",))
        assert sim.run("15s", lambda: is_cleaned_up(sim))


def test_a_node_that_gave_up_waiting_for_the_cluster_asks_again() -> None:
    """It hears of a removal and is not heard when it says that it has done its part; of the next it is."""
    sim = Sim(seed=2095)
    for name in ("g", "h"):
        sim.group(name, Log, config=config())
    node = others(sim, leader_of(sim, CLUSTER_GROUP))[0]
    sim.world.network.weather.cut.update((node, name) for name in others(sim, node))
    sim._ask_cluster("remove_group", ("g",))
    sim.run("8s")  # longer than it waits for an answer
    sim.heal_links()
    sim._ask_cluster("remove_group", ("h",))
    assert sim.run("15s", lambda: is_cleaned_up(sim))


def test_a_node_leaves_whose_others_were_all_restarted_since_it_met_them() -> None:
    """The founder joined nobody: it knows the others by their own words only, and the first are void."""
    sim = Sim(seed=2124)
    sim.group("g", Log, config=config())
    for name in ("n2", "n3"):
        sim.restart(name)
        sim.run("2s")
    sim._ask_cluster("set_state", ("n1", LEAVING))
    assert sim.run("30s", lambda: "n1" not in sim.nodes["n2"].manager.view.nodes)


def test_a_founding_member_is_not_founded_again_while_it_stops() -> None:
    """Its node has not heard of its removal. In one turn it is asked to make room for a successor, and looks
    which groups name it a founder."""
    sim = Sim(seed=3375)
    sim.group("g", Log, config=config())
    sim.run("1s")
    leader = leader_of(sim)
    node = others(sim, leader)[0]
    hand_over(sim, others(sim, leader, node)[0])
    sim.run("1s")
    gone = member(sim, node)
    sim.partition(node)
    ask(sim, RemoveMember(gone.core.id))
    sim.run("1s")
    sim.pause(node, "2s")
    successor = replace(gone.spec, member="", founded=None)
    ask(sim, HostMember(successor, (gone.core.id,)), "", sim.nodes[node].endpoint)
    sim.run("4s")
    sim.heal()
    assert sim.run("30s", lambda: node in {node_of(voter) for voter in voters(sim)})
    assert gone.core.id not in voters(sim)
    agree(sim)


def test_a_node_that_knows_no_cluster_hosts_no_group() -> None:
    """Seed 20131 of `recovered`: it took a client of a lost cluster for one of its own."""
    sim = Sim(seed=1)
    sim.group("g", Log)
    stranger = sim.world.add_node("n4")
    stranger.join = ("nowhere:7400",)
    stranger.start()
    sim.run("1s")
    spec = replace(member(sim, leader_of(sim)).spec, member="", founded=None)
    ask(sim, HostMember(spec, ()), "", stranger.endpoint)
    sim.run("1s")
    assert {node_of(one.core.id) for one in sim.world.members_of("g")} == {"n1", "n2", "n3"}


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


def test_s73_a_node_goes_on_seeing_the_cluster_when_its_replica_restarts_before_it_answers() -> None:
    """The member was asked to read the cluster's state, and a failed write restarts it before it does."""
    sim = Sim(seed=1, nodes=4)
    sim.group("a", Log).append(1)
    sim.run("5s")
    manager = sim.nodes["n3"].manager
    restarted: list[Any] = []
    membership = manager.cluster.membership
    step = membership.step

    def restart_then_read(now: int, event: Any) -> Any:
        effects = step(now, event)
        if any(isinstance(effect, ReadView) for effect in effects) and not restarted:
            own = manager.cluster.own()
            restarted.append(own.address)
            manager.send(own.address, WriteFailed(own.record.number, "the disk is full"))
        return effects

    membership.step = restart_then_read
    sim.group("b", Log, replicas=4).append(1)
    sim.run("20s")
    assert restarted and manager.cluster.own().address not in (None, restarted[0])
    assert sorted(manager.view.groups) == ["a", "b"]
    assert "n3" in {node_of(member.core.id) for member in sim.world.members_of("b")}
