"""What happens to a small fleet at rest: one trouble or deed each, drawn where there is a choice.

Each ends with a fleet that can heal, and says itself what must be so within a few seconds.
"""

import copy
from typing import TYPE_CHECKING

from fleet.actors.messages.operator import DAMAGED, AddMember, PromoteMember
from fleet.cluster.state import CLUSTER_GROUP, LEAVING
from fleet.interfaces import CreateGroups, DropGroup
from fleet.raft.ids import member_id
from fleet.sim.world.host import SimNode
from fleet.sim.world.timeline import S
from fleet.testing import Sim
from tests.sim.scenes import Log, ask, ask_cluster, config, leader_of, member, others

if TYPE_CHECKING:
    from tests.sim.one_by_one import OneByOne

QUICK_S = 5.0
"""Several times what an election takes, with the silence before it."""
DAY_US = 86_400 * S


def _some(one: "OneByOne") -> tuple[str, str]:
    """A group, and the node that leads it."""
    name = one.rng.choice(one.names)
    return name, leader_of(one.sim, name)


def _idle(one: "OneByOne") -> list[str]:
    """Nodes that lead nothing."""
    busy = {leader for leader, _ in one.leading().values()}
    return [name for name in one.sim.nodes if name not in busy]


def _is_asleep(sim: Sim) -> bool:
    return all(member.core.asleep for _, member in sim.world.members())


def _pass(one: "OneByOne", seconds: float) -> None:
    """With calls or without."""
    calls = one.rng.random() < 0.5
    for _ in range(round(seconds)):
        one.sim.run(1.0)
        if calls:
            one.append(one.rng.choice(one.names))


def _cut_inward(sim: Sim, name: str) -> None:
    sim.world.network.weather.cut.update((other, name) for other in others(sim, name))


def _cut_outward(sim: Sim, name: str) -> None:
    sim.world.network.weather.cut.update((name, other) for other in others(sim, name))


def _new_group(one: "OneByOne") -> str:
    """To be removed."""
    name = f"x{one.next_value()}"
    one.sim.group(name, Log, config=config())
    one.sim.run(one.rng.choice([0.1, 2.0]))
    return name


# -- what costs nothing ------------------------------------------------------------------------------


def nothing(one: "OneByOne") -> None:
    _pass(one, one.rng.choice([5.0, 20.0]))


def two_nodes_are_parted(one: "OneByOne") -> None:
    """Others hear both."""
    sim = one.sim
    _, leader = _some(one)
    other = one.rng.choice(others(sim, leader))
    sim.world.network.weather.cut.update(((leader, other), (other, leader)))
    _pass(one, one.rng.choice([2.0, 8.0]))


def a_node_that_leads_nothing_is_cut_off(one: "OneByOne") -> None:
    for name in _idle(one)[:1]:
        one.sim.partition(name)
        _pass(one, one.rng.choice([3.0, 15.0]))


def a_node_that_leads_nothing_stands_still(one: "OneByOne") -> None:
    for name in _idle(one)[:1]:
        one.sim.pause(name, one.rng.choice([0.3, 2.0, 5.0]))
        one.sim.run(6.0)


def a_machine_is_suspended_while_all_sleep(one: "OneByOne") -> None:
    sim = one.sim
    if sim.run(10.0, lambda: _is_asleep(sim)):
        clock, us = sim.nodes[one.rng.choice(list(sim.nodes))].clock, one.rng.choice([2, 5]) * S
        clock.jump(us)
        clock.jump_wall(-us)  # which was set at once
        is_woken = sim.run(3.0, lambda: not _is_asleep(sim), every=0.01)
        sim.world.need(not is_woken, "whoever stood still wakes a group that sleeps")


def disks_are_slow(one: "OneByOne") -> None:
    """Writes take longer than an election."""
    sim = one.sim
    name, _ = _some(one)
    for node in sim.nodes.values():
        node.disk.us_per_kb = 10_000
    for _ in range(5):
        one.handles[name].put(bytes(45_000))
    for node in sim.nodes.values():
        node.disk.us_per_kb = 0


# -- what costs a leader -----------------------------------------------------------------------------


def a_leading_node_dies(one: "OneByOne") -> None:
    sim = one.sim
    name, leader = _some(one)
    sim.kill(leader, power=one.rng.random() < 0.5)
    one.need(QUICK_S, lambda: sim.leader(name) not in (None, leader), f"{name}: nobody else is elected")
    one.append(name)


def a_node_is_restarted(one: "OneByOne") -> None:
    """Those there find their leaders, or are replaced as such, although nobody calls."""
    sim = one.sim
    name = one.rng.choice(list(sim.nodes))
    sim.restart(name)

    def follow() -> bool:
        members = [one for node, one in sim.world.members() if node.name == name]
        return bool(members) and all(one.core.leader is not None for one in members)

    one.need(QUICK_S, follow, f"members on {name} find no leader")


def a_leader_hears_nobody(one: "OneByOne") -> None:
    sim = one.sim
    name, leader = _some(one)
    _cut_inward(sim, leader)
    one.need(QUICK_S, lambda: sim.leader(name) not in (None, leader), f"{name}: nobody else is elected")


def a_leader_is_cut_off(one: "OneByOne") -> None:
    sim = one.sim
    name, leader = _some(one)
    sim.partition(leader)
    one.need(QUICK_S, lambda: sim.leader(name) not in (None, leader), f"{name}: nobody else is elected")
    here = member(sim, leader, name)
    one.need(QUICK_S, lambda: not here.core.is_leader, f"{name}: {leader} leads alone")


def a_leader_is_damaged(one: "OneByOne") -> None:
    """Its node lives, and may lead other groups."""
    sim = one.sim
    name, leader = _some(one)
    process, here = sim.nodes[leader].process, member(sim, leader, name)
    assert process is not None
    process.do(lambda: here._stop(removed=False, error="its records are damaged", ill=DAMAGED))
    one.need(2 * QUICK_S, lambda: sim.leader(name) not in (None, leader), f"{name}: nobody else is elected")


def a_newcomer_cannot_be_reached(one: "OneByOne") -> None:
    """It is added and promoted, then the leader dies: who is left is most of those that have the log."""
    sim = one.sim
    name, leader = _some(one)
    newcomer = member_id("n9", "n9d1", name)
    ask(sim, AddMember(newcomer, "n9:7400"), name)
    sim.run(one.rng.choice([0.001, 0.01, 0.1]))
    ask(sim, PromoteMember(newcomer), name)
    sim.run(0.001)
    sim.kill(leader)
    one.append(name)


# -- nodes that come back as something else ----------------------------------------------------------


def all_stand_still(one: "OneByOne") -> None:
    """For longer than a node may be silent."""
    sim = one.sim
    ask_cluster(sim, "set_purge_after", 30_000)
    sim.run(5.0)
    revisions = [node.rev for node in sim.nodes["n1"].manager.view.nodes.values()]
    for name in sim.nodes:
        sim.pause(name, 60.0)
    sim.run(80.0)
    for node in sim.nodes.values():
        known = [known.rev for known in node.manager.view.nodes.values()]
        sim.world.need(known == revisions, f"{node.name} saw nodes go that stood still like itself")
    ask_cluster(sim, "set_purge_after", 600_000)
    for _ in range(2):  # what others said of their clocks before is as old
        one.stamps.clear()
        for name in one.names:
            one.append(name)
    one.stamps.clear()


def a_node_leaves(one: "OneByOne") -> None:
    """It may know others by what they were before they were restarted. Restarted, it founds nothing; then an
    operator lets it join."""
    sim = one.sim
    name = one.rng.choice(list(sim.nodes))
    if one.rng.random() < 0.5:
        for other in others(sim, name):
            sim.restart(other)
            sim.run(2.0)
    ask_cluster(sim, "set_state", name, LEAVING)
    witness = sim.nodes[others(sim, name)[0]]
    one.need(60.0, lambda: name not in witness.manager.view.nodes, f"{name} does not leave")
    sim.run(one.rng.choice([0.1, 10.0]))
    sim.restart(name)
    sim.run(5.0)
    node = sim.nodes[name]
    node.stop()
    node.join = tuple(sim.nodes[other].endpoint for other in others(sim, name))
    node.start()


def an_older_copy_is_put_back(one: "OneByOne") -> None:
    """Of a node's disk: it must join as a new one."""
    sim = one.sim
    name = one.rng.choice(list(sim.nodes))
    node = sim.nodes[name]
    node.kill()
    older = copy.deepcopy(node.disk.image)
    for _ in range(2):
        node.start()
        sim.run(3.0)
        for group in one.names:
            one.append(group)
        before = node.manager.store.identity.incarnation
        node.kill()
    node.disk.image = older
    node.start()

    def is_renewed() -> bool:
        return bool(node.manager.is_serving and node.manager.store.identity.incarnation != before)

    one.need(60.0, is_renewed, f"{name} goes on with an older copy")
    node.disk.incarnation = node.manager.store.identity.incarnation


def a_node_dies_amid_a_chore(one: "OneByOne") -> None:
    """While it creates or deletes members: some transactions of that reach its disk, others do not."""
    sim, rng = one.sim, one.rng
    name, _ = _some(one)
    for node in sim.nodes.values():
        node.disk.sync_us = (20_000, 30_000)
    deed = rng.randrange(3)
    if deed == 0:
        ask_cluster(sim, "set_replicas", name, rng.choice([1, 2]))
    elif deed == 1:
        ask_cluster(sim, "remove_group", _new_group(one))
    else:
        fresh = sim.nodes[rng.choice(list(sim.nodes))]
        fresh.kill()
        fresh.replace_disk()
        fresh.join = tuple(sim.nodes[other].endpoint for other in others(sim, fresh.name))
        fresh.start()
    for _ in range(3):
        if sim.run(QUICK_S, lambda: bool(_at_a_chore(sim)), every=0.002):
            node = _at_a_chore(sim)[0]
            node.kill()
            node.start()
    one.need(60.0, lambda: all(map(_has_joined, sim.nodes.values())), "a node does not join its cluster")
    for node in sim.nodes.values():
        node.disk.sync_us = (300, 2_000)
    ask_cluster(sim, "set_replicas", name, 3)


def _has_joined(node: SimNode) -> bool:
    """Before, it tells clients that there are no groups."""
    return node.manager is not None and node.manager.is_serving and node.name in node.manager.view.nodes


def _at_a_chore(sim: Sim) -> list[SimNode]:
    """Nodes that are creating or deleting members on their disks."""
    processes = [(node, node.process) for node in sim.nodes.values()]
    writers = [(node, process.writer) for node, process in processes if process and process.is_alive]
    return [
        node
        for node, writer in writers
        if writer is not None and any(isinstance(chore, CreateGroups | DropGroup) for chore in writer._taken)
    ]


# -- operators whose words are lost, and clients' -----------------------------------------------------


def a_group_is_removed_while_a_node_is_not_heard(one: "OneByOne") -> None:
    """It may start again before it is, from what its disk has. What it says of the next one is heard."""
    sim, gone, next_one = one.sim, _new_group(one), _new_group(one)
    name = one.rng.choice(others(sim, leader_of(sim, CLUSTER_GROUP)))
    _cut_outward(sim, name)
    ask_cluster(sim, "remove_group", gone)
    sim.run(one.rng.choice([2.0, 7.0, 8.0]))
    if one.rng.random() < 0.4:
        sim.restart(name)
    sim.heal_links()
    ask_cluster(sim, "remove_group", next_one)


def a_group_is_removed_after_a_node_was_away(one: "OneByOne") -> None:
    """It leads the cluster, before or after it was away."""
    sim, gone = one.sim, _new_group(one)
    name = leader_of(sim, CLUSTER_GROUP) if one.rng.random() < 0.5 else one.rng.choice(list(sim.nodes))
    sim.kill(name, power=True)
    sim.run(0.2)
    sim.restart(name)
    sim.run(one.rng.choice([0.0, 10.0]))
    ask_cluster(sim, "prefer_leader", CLUSTER_GROUP, name)
    sim.run(one.rng.choice([0.0, 3.0]))
    ask_cluster(sim, "remove_group", gone)
    managers = [node.manager for node in sim.nodes.values()]

    def is_cleaned_up() -> bool:
        return not any(manager.view.removed for manager in managers)

    one.need(20.0, is_cleaned_up, f"the removal of {gone} is not settled")


def a_client_hears_nothing(one: "OneByOne") -> None:
    """Then it is not heard either, until its session has expired and the answer is lost with its link."""
    sim, cut = one.sim, one.sim.world.network.weather.cut
    name, _ = _some(one)
    cut.update((node, "c1") for node in sim.nodes)
    reply = one.begin_append(name, 15.0)
    sim.run(0.05)
    cut.update(("c1", node) for node in sim.nodes)
    for _ in range(30):
        one.append(name, client="c2")
        sim.run(0.25)
    sim.heal()
    one.need(20.0, reply.done, "a call is never answered")


def a_wall_clock_jumps(one: "OneByOne") -> None:
    sim = one.sim
    name, leader = _some(one)
    by_us = one.rng.choice([-DAY_US, DAY_US])
    sim.nodes[leader].clock.jump_wall(by_us)
    for _ in range(4):
        one.append(name)
        sim.run(1.0)
    sim.nodes[leader].clock.jump_wall(-by_us)


HARMLESS = (
    nothing,
    two_nodes_are_parted,
    a_node_that_leads_nothing_is_cut_off,
    a_node_that_leads_nothing_stands_still,
    a_machine_is_suspended_while_all_sleep,
    disks_are_slow,
)
"""Afterwards every group has the leader and the term that it had."""
ALL = (
    *HARMLESS,
    a_leading_node_dies,
    a_node_is_restarted,
    a_leader_hears_nobody,
    a_leader_is_cut_off,
    a_leader_is_damaged,
    a_newcomer_cannot_be_reached,
    all_stand_still,
    a_node_leaves,
    an_older_copy_is_put_back,
    a_node_dies_amid_a_chore,
    a_group_is_removed_while_a_node_is_not_heard,
    a_group_is_removed_after_a_node_was_away,
    a_client_hears_nothing,
    a_wall_clock_jumps,
)
