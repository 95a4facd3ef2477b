"""A node's copy of the cluster group's state, updated by increments from its own member of the group."""

from dataclasses import dataclass, field

from fleet.cluster.healing import Wanted
from fleet.cluster.placement import Placement
from fleet.cluster.state import ACTIVE, LEAVING, GroupInfo, NodeRecord, RemovedGroup, View
from fleet.cluster.wanted import choose_nodes, cluster_voters, led_from, sites
from fleet.raft.ids import Index, NodeName


@dataclass(slots=True)
class ClusterView:
    """May be older than the committed state; decisions based on outdated state are refused."""

    rev: Index = 0
    nodes: dict[NodeName, NodeRecord] = field(default_factory=dict)
    groups: dict[str, GroupInfo] = field(default_factory=dict)
    removed: dict[Index, RemovedGroup] = field(default_factory=dict)
    purge_after_ms: int = 0
    purge_after_rev: Index = 0
    cluster_leader: NodeName = NodeName("")
    version: int = 0
    finalizing: int = 0
    _placement: Placement | None = None
    _voters: tuple[NodeName, ...] | None = None

    def update(self, view: View) -> tuple[bool, set[str]]:
        """Returns whether nodes or the preferred leader of the cluster group changed, and which groups
        changed or were removed."""
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
        self.purge_after_ms, self.purge_after_rev = view.purge_after_ms, view.purge_after_rev
        self.version, self.finalizing = view.version, view.finalizing
        self.rev = view.rev
        nodes_changed = self.nodes != nodes_before
        if nodes_changed:
            self._placement = self._voters = None
        leader_before, self.cluster_leader = self.cluster_leader, view.cluster_leader
        return nodes_changed or self.cluster_leader != leader_before, changed

    def whole(self) -> View:
        """The complete state, as one change."""
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
            self.cluster_leader,
            self.purge_after_rev,
            self.version,
            self.finalizing,
        )

    def wanted(self, group: GroupInfo) -> tuple[NodeName, ...]:
        """As `fleet.cluster.state.wanted_nodes`, with the nodes hashed once for all groups."""
        if self._placement is None:
            self._placement = Placement(sites(self.nodes.values()))
        active = {node.name for node in self.nodes.values() if node.state == ACTIVE} if group.pinned else ()
        return choose_nodes(group, active, self._placement.members)

    def voters(self) -> tuple[NodeName, ...]:
        """The voters of the cluster group."""
        if self._voters is None:
            self._voters = cluster_voters(self.nodes.values())
        return self._voters

    def cluster_wanted(self) -> Wanted:
        """Where the cluster group's members belong: all nodes have one, and some of them vote."""
        voters = led_from(self.cluster_leader, self.voters())
        return Wanted(voters, tuple(node for node in self.nodes if node not in voters))

    def staying(self) -> frozenset[NodeName]:
        return frozenset(name for name, node in self.nodes.items() if node.state != LEAVING)

    def disks(self) -> dict[NodeName, str]:
        return {name: node.incarnation for name, node in self.nodes.items()}
