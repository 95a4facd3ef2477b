"""What a node knows of the fleet: the cluster group's state, followed by increments from its own replica."""

from dataclasses import dataclass, field

from fleet.cluster import (
    ACTIVE,
    LEAVING,
    GroupInfo,
    NodeRecord,
    RemovedGroup,
    View,
    cluster_voters,
    sites,
)
from fleet.healing import Wanted
from fleet.placement import Placement
from fleet.raft.ids import GroupName, Index, NodeName


@dataclass(slots=True)
class ClusterView:
    """Never newer than what is committed, and perhaps older: what is decided from it is refused when it
    no longer holds."""

    rev: Index = 0
    nodes: dict[NodeName, NodeRecord] = field(default_factory=dict)
    groups: dict[str, GroupInfo] = field(default_factory=dict)
    removed: dict[Index, RemovedGroup] = field(default_factory=dict)
    purge_after_ms: int = 0
    _placement: Placement | None = None
    _voters: tuple[NodeName, ...] | None = None

    def update(self, view: View) -> tuple[bool, set[str]]:
        """Whether nodes changed, and the groups that did or are gone."""
        changed = {group.name for group in view.groups} | set(view.gone_groups)
        if view.whole:
            changed |= set(self.groups)
            self.nodes, self.groups, self.removed = {}, {}, {}
        nodes_before = dict(self.nodes)
        for name in view.gone_nodes:
            self.nodes.pop(name, None)
        for gone in view.gone_groups:
            self.groups.pop(gone, None)
        for uid in view.settled_removals:
            self.removed.pop(uid, None)
        self.nodes.update({node.name: node for node in view.nodes})
        self.groups.update({group.name: group for group in view.groups})
        self.removed.update({removal.uid: removal for removal in view.removed})
        self.purge_after_ms = view.purge_after_ms
        self.rev = view.rev
        nodes_changed = self.nodes != nodes_before
        if nodes_changed:
            self._placement = self._voters = None
        return nodes_changed, changed

    def whole(self) -> View:
        return View(
            self.rev,
            tuple(self.nodes.values()),
            tuple(self.groups.values()),
            tuple(self.removed.values()),
            (),
            (),
            (),
            self.purge_after_ms,
            True,
        )

    def wanted(self, group: GroupInfo) -> tuple[NodeName, ...]:
        """As `fleet.cluster.wanted_nodes`, with the nodes hashed once for all groups."""
        pinned = tuple(node for node in group.pinned if node in self.nodes and self.is_active(node))
        if pinned:
            return pinned
        if self._placement is None:
            self._placement = Placement(sites(self.nodes.values()))
        return self._placement.members(GroupName(group.name), group.replicas)

    def voters(self) -> tuple[NodeName, ...]:
        """Of the cluster group."""
        if self._voters is None:
            self._voters = cluster_voters(self.nodes.values())
        return self._voters

    def cluster_wanted(self) -> Wanted:
        """Every node has a replica of the cluster group; the voters among them lead and decide."""
        voters = self.voters()
        return Wanted(voters, tuple(node for node in self.nodes if node not in voters))

    def is_active(self, node: NodeName) -> bool:
        return self.nodes[node].state == ACTIVE

    def staying(self) -> frozenset[NodeName]:
        return frozenset(name for name, node in self.nodes.items() if node.state != LEAVING)

    def disks(self) -> dict[NodeName, str]:
        return {name: node.incarnation for name, node in self.nodes.items()}

    def by_uid(self, uid: Index) -> GroupInfo | None:
        return next((group for group in self.groups.values() if group.uid == uid), None)
