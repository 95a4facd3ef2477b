"""How a fleet should be, once nothing goes wrong any more: what is not so yet, in words."""

from collections.abc import Iterable, Iterator
from typing import Any

from fleet.cluster.state import CLUSTER_GROUP, LEAVING
from fleet.cluster.wanted import cluster_voters, wanted_nodes
from fleet.raft.ids import node_of
from fleet.raft.switching import is_switch_open
from fleet.sim.checks.appliers import applier_of
from fleet.sim.checks.clusters import held_after_removal, seen_differently, zones_wasted
from fleet.sim.world.world import World


def state_of(member: Any) -> Any:
    """The object itself, None while it is not open."""
    applier: Any = applier_of(member)
    return applier and applier.executor._object


def cluster_of(world: World) -> Any:
    """The cluster's state as its leader has it; None while nobody leads."""
    leading = [member for member in world.members_of(CLUSTER_GROUP) if member.core.is_leader]
    if not leading:
        return None
    newest = max(leading, key=lambda member: int(member.core.term))
    return state_of(newest)


def newest_cluster(world: World) -> Any:
    """The cluster's state as the member has it that has executed most; somebody may be about to lead."""
    return state_of(max(world.members_of(CLUSTER_GROUP), key=lambda member: int(member.core.log.applied)))


def troubles(world: World, groups: Iterable[str]) -> Iterator[str]:
    """`groups`: those that operators know to be there. Cheap questions come first."""
    for node in world.nodes.values():
        if not node.is_up:
            yield f"{node.name} does not run: {node.trouble}"
    managers = [node.manager for node in world.nodes.values() if node.manager is not None]
    if not all(manager.is_serving for manager in managers):
        yield "a node is starting"
        return
    for manager in managers:
        for hosted in manager.hosted_members.by_number.values():
            if hosted.trouble:
                yield f"{hosted.member} does not run: {hosted.trouble}"
            elif waits_in_vain(manager, hosted):
                yield f"{hosted.member} waits for a snapshot that nobody writes"
    cluster = cluster_of(world)
    if cluster is None:
        yield f"{CLUSTER_GROUP} has no leader"
        return
    yield from nodes_missing(world, cluster)
    for name in groups:
        if name not in cluster.groups:
            yield f"the cluster has no group {name}, which was added"
    for manager in managers:
        yield from badly_seen(manager, cluster)
    for name in (CLUSTER_GROUP, *cluster.groups):
        yield from group_troubles(world, cluster, name)
    held = held_after_removal(world, cluster.settled)
    if held or cluster.removed:
        yield held or f"removals are not settled: {list(cluster.removed.values())}"


def waits_in_vain(manager: Any, hosted: Any) -> bool:
    """Whether a member relies on a snapshot of its own that is not on its way to the disk."""
    kernel = manager._myRef.kernel
    member = hosted.address and kernel.instance(hosted.address)
    writer = kernel.instance(manager.disk)
    if writer is None or not hasattr(member, "core") or member.core.storing is None:
        return False
    return (hosted.record.number, True) not in writer.waiting


def nodes_missing(world: World, cluster: Any) -> Iterator[str]:
    for node in world.nodes.values():
        record, disk = cluster.nodes.get(node.name), node.manager.store.identity.incarnation
        if record is None or record.incarnation != disk:
            yield f"{node.name} is not in the cluster with disk {disk}"
        elif record.state == LEAVING:
            yield f"{node.name} is leaving"
        elif record.reports:
            yield f"{node.name} is reported as lost by {list(record.reports)}"


def badly_seen(manager: Any, cluster: Any) -> Iterator[str]:
    own = manager.cluster.own()
    replica = own and own.address and manager._myRef.kernel.instance(own.address)
    if not hasattr(replica, "core"):
        yield f"{manager.start.name} has no replica of the cluster's state"
    elif manager.view.rev != replica.object.revision:
        yield f"{manager.start.name} sees the cluster as of {manager.view.rev}"
    else:
        different = seen_differently(manager.view, state_of(replica))
        if different:
            yield f"{manager.start.name} sees other {different}"


def group_troubles(world: World, cluster: Any, name: str) -> Iterator[str]:
    """Not where it is wanted, not led from there, or not of one state and one mind about its settings."""
    members = world.members_of(name)
    leaders = [member for member in members if member.core.is_leader]
    if not leaders:
        yield f"{name} has no leader among {[member.core.id for member in members]}"
        return
    leader = max(leaders, key=lambda member: int(member.core.term)).core
    membership = leader.membership.current
    here = {member.core.id for member in members if member.core.log.last_index}  # was ever added
    if here != set(membership.everyone):
        yield f"{name} should live as {sorted(membership.everyone)}, there are {sorted(here)}"
    nodes = cluster.nodes.values()
    is_own = name == CLUSTER_GROUP
    wanted = cluster_voters(nodes) if is_own else wanted_nodes(cluster.groups[name], nodes)
    voting = {node_of(voter) for voter in membership.voters}
    learning = {node_of(learner) for learner in membership.learners}
    if voting != {*wanted} or learning != ({*cluster.nodes} - {*wanted} if is_own else set()):
        yield f"{name} is wanted on {wanted}, has {membership.voters} and learners {membership.learners}"
    preferred = cluster.cluster_leader if is_own else cluster.groups[name].leader
    first = preferred if preferred in wanted else wanted[0] if wanted else None
    if node_of(leader.id) != first:
        yield f"{name} is led from {node_of(leader.id)}, not from {first}"
    last = leader.log.last_index
    closed = [m.core.id for m in members if not m.object.is_open]
    if closed:
        yield f"{name}: the objects of {closed} are not open"
    late = [m.core.id for m in members if m.core.id in here and m.object.index != last]
    if late:
        yield f"{name}: {late} have not applied {last}"
    switching = [m.core.id for m in members if is_switch_open(m.core)]
    if switching:
        yield f"{name}: {switching} are not behind the switch of their class"
    if not is_own:
        yield from unlike(cluster.groups[name], members)
        wasted = zones_wasted(cluster.groups[name], voting, cluster.nodes)
        if wasted:
            yield wasted


def unlike(group: Any, members: list[Any]) -> Iterator[str]:
    for member in members:
        applier = applier_of(member)
        if applier is None:
            yield f"{member.core.id} has no object"
        elif member.core.config != applier.config:
            yield f"{member.core.id} follows settings that its object does not have"
        elif member.core.config != group.config:
            yield f"{member.core.id} has other settings than the cluster shows of {group.name}"
