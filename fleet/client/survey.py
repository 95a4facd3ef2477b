"""A cluster as it is now: its state, and what each node that answers says of itself and of the others."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from fleet.actors.messages.operator import ClusterSeen, MemberInfo, MemberList
from fleet.actors.messages.values import NodeInfo
from fleet.cluster.placement import Placement
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING, NodeRecord, View, choose_nodes, sites
from fleet.raft.ids import Millis, NodeName

CLUSTER_ID = "fleet"
"""What nodes and clients take for the cluster's id unless told otherwise."""
RUNNING = "running"
UNREACHABLE = "unreachable"
DRAINING = "draining"
PURGED = "purged"
OUTSIDE = "outside"


class NodeSeen(Struct, frozen=True):
    record: NodeRecord
    members: tuple[MemberInfo, ...] | None
    """None: it did not answer."""
    silent_ms: dict[NodeName, Millis]
    """Nodes that have not heard of it, and for how long."""
    trouble: str = ""
    """Who answers in its place, if somebody does."""

    @property
    def answers(self) -> bool:
        return self.members is not None

    @property
    def state(self) -> str:
        if not self.answers:
            return UNREACHABLE
        return DRAINING if self.record.state == LEAVING else self.record.state

    @property
    def leads(self) -> int:
        return sum(member.leads for member in self.hosted)

    @property
    def hosted(self) -> tuple[MemberInfo, ...]:
        """Members of groups; every node has its replica of the cluster's state besides."""
        return tuple(member for member in self.members or () if member.group != CLUSTER_GROUP)

    @property
    def unheard_ms(self) -> Millis | None:
        """Since somebody last heard of it; None while everybody does who answers."""
        return min(self.silent_ms.values(), default=None)


class Outsider(Struct, frozen=True):
    """A node that answers, and that the cluster's state does not name."""

    info: NodeInfo
    members: tuple[MemberInfo, ...]
    knows: bool
    """It has a copy of the cluster's state, which nobody gets before it joins, and who leaves gives up."""

    @property
    def state(self) -> str:
        return PURGED if self.knows or self.hosted else OUTSIDE

    @property
    def hosted(self) -> tuple[MemberInfo, ...]:
        return tuple(member for member in self.members if member.group != CLUSTER_GROUP)


class Survey(Struct, frozen=True):
    view: View
    nodes: dict[NodeName, NodeSeen]
    outside: tuple[Outsider, ...] = ()
    clones: dict[NodeName, str] = {}
    """Nodes whose directory ran twice lately, and where the second process was."""
    cluster: str = CLUSTER_ID
    foreign: tuple[str, ...] = ()
    """Of each address that was given and belongs to another cluster, what was found there."""

    @property
    def group_names(self) -> list[str]:
        """Of all groups, the cluster's own one first."""
        return [CLUSTER_GROUP, *sorted(group.name for group in self.view.groups)]

    @property
    def leaders(self) -> dict[str, NodeName]:
        """Groups whose leader answers."""
        return {
            member.group: name
            for name, node in self.nodes.items()
            for member in node.members or ()
            if member.leads
        }

    @property
    def leaderless(self) -> list[str]:
        leaders = self.leaders
        return [name for name in self.group_names if name not in leaders]

    @property
    def silent(self) -> list[NodeSeen]:
        """Nodes that do not answer, or that others have not heard of."""
        return [node for node in self.nodes.values() if not node.answers or node.silent_ms]

    @property
    def member_counts(self) -> Counter[str]:
        """Running members by group, on nodes that answer."""
        return Counter(
            member.group
            for node in self.nodes.values()
            for member in node.members or ()
            if member.state == RUNNING
        )

    @property
    def failed(self) -> list[tuple[NodeName, MemberInfo]]:
        """Members that do not run."""
        return [
            (name, member)
            for name, node in self.nodes.items()
            for member in node.members or ()
            if member.state != RUNNING
        ]

    @property
    def active(self) -> int:
        return sum(node.record.state == ACTIVE for node in self.nodes.values())

    def purge_in_ms(self, node: NodeSeen) -> Millis | None:
        """How long until it may be purged, if a majority goes on not to hear of it."""
        if node.unheard_ms is None:
            return None
        return max(0, self.view.purge_after_ms - node.unheard_ms)

    def wanted(self) -> dict[str, tuple[NodeName, ...]]:
        """Where each group should be, the node that should lead it first."""
        placement = Placement(sites(self.view.nodes))
        active = {node.name for node in self.view.nodes if node.state == ACTIVE}
        return {group.name: choose_nodes(group, active, placement.members) for group in self.view.groups}


def newest(view: View, seen: Mapping[NodeName, ClusterSeen | None]) -> View:
    """Of what the nodes see of the cluster's state."""
    views = [one.view for one in seen.values() if one is not None and one.view is not None]
    return max([view, *views], key=lambda one: one.rev)


def outsiders(view: View, told: Iterable[tuple[MemberList, ClusterSeen]]) -> tuple[Outsider, ...]:
    """Those of these nodes that `view`, the newest, does not name; asked under two addresses, once."""
    ours = {(node.name, node.incarnation) for node in view.nodes}
    found: dict[tuple[NodeName, str], Outsider] = {}
    for held, seen in told:
        info = held.node
        me = (info.name, info.incarnation)
        if me not in ours:
            founds = not view.nodes  # its own record comes right after
            found[me] = Outsider(info, held.members, seen.view is not None and not founds)
    return tuple(found[me] for me in sorted(found))


def survey_of(
    view: View,
    lists: Mapping[NodeName, MemberList | None],
    seen: Mapping[NodeName, ClusterSeen | None],
    outside: tuple[Outsider, ...] = (),
    troubles: Mapping[NodeName, str] | None = None,
    cluster: str = CLUSTER_ID,
) -> Survey:
    """Who is in neither mapping was not asked, and counts as one that does not answer."""
    nodes = {}
    for record in sorted(view.nodes, key=lambda node: node.name):
        held = lists.get(record.name)
        silent_ms = {
            name: one.unreachable_ms[record.name]
            for name, one in seen.items()
            if one is not None and record.name in one.unreachable_ms
        }
        members = held.members if held is not None else None
        nodes[record.name] = NodeSeen(record, members, silent_ms, (troubles or {}).get(record.name, ""))
    clones = {name: where for one in seen.values() if one is not None for name, where in one.clones.items()}
    return Survey(view, nodes, outside, clones, cluster)
