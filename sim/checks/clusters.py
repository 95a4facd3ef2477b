"""The cluster's state against what its nodes hold and see of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, Protocol

from fleet.cluster.membership_events import SendCommand
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, GroupInfo, NodeRecord
from fleet.raft.ids import NodeName
from fleet.sim.checks.rare import returns


class JudgedNodes(Protocol):
    @property
    def nodes(self) -> Mapping[str, Any]: ...

    def violated(self, sentence: str) -> NoReturn: ...


def watch_node(manager: Any, accuse: Callable[[str], None], look: Callable[[Any], None]) -> None:
    """What a node says of itself to its cluster is so at that moment, and what it sees of it makes sense.
    `look(view)` is called with everything that it sees."""
    name, members = manager.start.name, manager.hosted_members.by_number

    def decided(effects: list[Any]) -> None:
        for effect in effects:
            if type(effect) is SendCommand and effect.method == "cleaned":
                held = [one.member for one in members.values() if one.spec.uid in effect.args[0]]
                if held:
                    accuse(f"{name} says that it holds nothing of removed groups, and has {held}")
            elif type(effect) is SendCommand and effect.method == "left":
                held = [one.member for one in members.values() if one.spec.name != CLUSTER_GROUP]
                if held:
                    accuse(f"{name} leaves its cluster with {held}")
        view = manager.view
        look(view)
        twice = view.groups.keys() & {removal.name for removal in view.removed.values()}
        if twice:
            accuse(f"{name} sees {sorted(twice)} as groups and as removed")

    returns(manager.cluster.membership, "step", decided)


def held_after_removal(world: JudgedNodes, settled: Iterable[int]) -> str:
    """A removal is settled when every node has said that it holds nothing of the group any more: it must not
    then hold a member of it. Returns what is wrong."""
    gone = set(settled)
    for name, node in world.nodes.items():
        if node.manager is None:
            continue
        for hosted in node.manager.hosted_members.by_number.values():
            if hosted.spec.uid in gone and not hosted.is_dropped:
                return f"{name} holds {hosted.member} of {hosted.spec.name}, whose removal is settled"
    return ""


def seen_differently(view: Any, cluster: Any) -> str:
    """What of the cluster's state a node sees otherwise, at the same revision; "" for nothing."""
    for what in ("nodes", "groups", "removed", "purge_after_ms", "cluster_leader"):
        seen, true = getattr(view, what), getattr(cluster, what)
        if seen != true:
            return f"{what}: {seen}, and they are {true}"
    return ""


def zones_wasted(group: GroupInfo, voters: Iterable[NodeName], nodes: Mapping[NodeName, NodeRecord]) -> str:
    """A group that is placed by the placement has members in as many zones as it can; "" if so."""
    if group.pinned:
        return ""
    zones = {nodes[name].zone for name in voters if name in nodes}
    possible = {node.zone for node in nodes.values() if node.state == ACTIVE and node.weight > 0}
    count = min(group.replicas, len(possible))
    return "" if len(zones) >= count else f"{group.name} is in zones {sorted(zones)} of {sorted(possible)}"
