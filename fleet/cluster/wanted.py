"""Where a group's members belong, from its record and the nodes of the cluster. The first should lead."""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from msgspec.structs import replace

from fleet.cluster.placement import Site, members_for
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING, GroupInfo, NodeRecord
from fleet.raft.ids import GroupName, NodeName

VOTERS_MAX: Final = 5
"""Voters of the cluster group."""


def sites(nodes: Iterable[NodeRecord]) -> list[Site]:
    """The nodes that members are placed on."""
    return [Site(node.name, node.zone, node.weight) for node in nodes if node.state == ACTIVE]


def led_from(leader: NodeName, nodes: tuple[NodeName, ...]) -> tuple[NodeName, ...]:
    """The same nodes, the preferred one first if it is one of them."""
    if leader not in nodes:
        return nodes
    return (leader, *(node for node in nodes if node != leader))


def choose_nodes(
    group: GroupInfo,
    active: Collection[NodeName],
    place: Callable[[GroupName, int], tuple[NodeName, ...]],
) -> tuple[NodeName, ...]:
    """Where the group's members should be, the desired leader first. A group whose pinned nodes are all
    removed or leaving is placed like any other."""
    pinned = tuple(node for node in group.pinned if node in active)
    return led_from(group.leader, pinned or place(GroupName(group.name), group.replicas))


def wanted_nodes(group: GroupInfo, nodes: Iterable[NodeRecord]) -> tuple[NodeName, ...]:
    able = sites(nodes)
    return choose_nodes(group, {site.name for site in able}, lambda name, n: members_for(name, able, n))


def cluster_voters(nodes: Iterable[NodeRecord]) -> tuple[NodeName, ...]:
    """The nodes that vote in the cluster group: an odd number, at most five, spread over zones."""
    able = [replace(node, weight=1.0) for node in nodes if node.state != LEAVING]
    chosen = [Site(node.name, node.zone, 1.0) for node in able]
    count = min(VOTERS_MAX, len(chosen))
    return members_for(GroupName(CLUSTER_GROUP), chosen, count - (count + 1) % 2) if chosen else ()
