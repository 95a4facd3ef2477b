"""A snapshot of a cluster: its state, and what each node that answers reports of itself and the others."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from fleet.actors.messages.operator import ClusterSeen, MemberInfo, MemberList
from fleet.actors.messages.values import NodeInfo
from fleet.cluster.placement import Placement
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING, NodeRecord, View
from fleet.cluster.wanted import choose_nodes, sites
from fleet.raft.comparing import OF_STATE
from fleet.raft.entries import Halt
from fleet.raft.ids import Millis, NodeName

CLUSTER_ID = "fleet"
"""The cluster id of nodes and clients by default."""
RUNNING = "running"
UNREACHABLE = "unreachable"
DRAINING = "draining"
PURGED = "purged"
OUTSIDE = "outside"


class NodeSeen(Struct, frozen=True):
    """A node of the cluster, and what was learned from it and about it."""

    record: NodeRecord
    members: tuple[MemberInfo, ...] | None
    """None: it did not answer."""
    silent_ms: dict[NodeName, Millis]
    """Nodes that do not hear it, and for how many milliseconds."""
    trouble: str = ""
    """Why another answers at its address, if one does."""

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
        """Its members, without that of the cluster group, which every node has."""
        return tuple(member for member in self.members or () if member.group != CLUSTER_GROUP)

    @property
    def unheard_ms(self) -> Millis | None:
        """Milliseconds since another node last heard it; None while every node that answers hears it."""
        return min(self.silent_ms.values(), default=None)


class Outsider(Struct, frozen=True):
    """A node that answers but is not in the cluster's state."""

    info: NodeInfo
    members: tuple[MemberInfo, ...]
    knows: bool
    """Whether it has a copy of the cluster's state, which a node has from joining until it leaves."""

    @property
    def state(self) -> str:
        return PURGED if self.knows or self.hosted else OUTSIDE

    @property
    def hosted(self) -> tuple[MemberInfo, ...]:
        return tuple(member for member in self.members if member.group != CLUSTER_GROUP)


class Survey(Struct, frozen=True):
    """What `Fleet.survey` returns."""

    view: View
    nodes: dict[NodeName, NodeSeen]
    outside: tuple[Outsider, ...] = ()
    clones: dict[NodeName, str] = {}
    """Nodes whose directory recently ran in two processes, and the address of the second."""
    cluster: str = CLUSTER_ID
    foreign: tuple[str, ...] = ()
    """Of each address that was given and belongs to another cluster, what was found there."""

    @property
    def group_names(self) -> list[str]:
        """All groups, the cluster group first."""
        return [CLUSTER_GROUP, *sorted(group.name for group in self.view.groups)]

    @property
    def leaders(self) -> dict[str, NodeName]:
        """The leader's node of each group whose leader answers."""
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
        """Nodes that do not answer, or that some other node does not hear."""
        return [node for node in self.nodes.values() if not node.answers or node.silent_ms]

    @property
    def voter_counts(self) -> Counter[str]:
        """Running members that vote by group, on nodes that answer."""
        return Counter(
            member.group
            for node in self.nodes.values()
            for member in node.members or ()
            if member.state == RUNNING and member.votes
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
    def halted(self) -> dict[str, dict[NodeName, Halt]]:
        """Groups with members that cannot execute a command, and where each of these has halted."""
        found: dict[str, dict[NodeName, Halt]] = {}
        for name, node in self.nodes.items():
            for member in node.members or ():
                if member.halt is not None and not (member.other_code or member.halt.place in OF_STATE):
                    found.setdefault(member.group, {})[name] = member.halt
        return found

    @property
    def diverged(self) -> dict[str, dict[NodeName, Halt]]:
        """Groups with members whose state is not that of a majority, and where each of these has halted."""
        found: dict[str, dict[NodeName, Halt]] = {}
        for name, node in self.nodes.items():
            for member in node.members or ():
                if member.halt is not None and member.halt.place in OF_STATE:
                    found.setdefault(member.group, {})[name] = member.halt
        return found

    @property
    def comparison(self) -> dict[str, dict[NodeName, str]]:
        """Groups whose members' states are not known to be equal, and why."""
        found: dict[str, dict[NodeName, str]] = {}
        for name, node in self.nodes.items():
            for member in node.members or ():
                if member.comparison:
                    found.setdefault(member.group, {})[name] = member.comparison
        return found

    @property
    def other_code(self) -> dict[str, dict[NodeName, str]]:
        """Groups with members that have other code than the class in force, and why."""
        found: dict[str, dict[NodeName, str]] = {}
        for name, node in self.nodes.items():
            for member in node.members or ():
                if member.other_code:
                    found.setdefault(member.group, {})[name] = member.other_code
        return found

    @property
    def active(self) -> int:
        return sum(node.record.state == ACTIVE for node in self.nodes.values())

    def purge_in_ms(self, node: NodeSeen) -> Millis | None:
        """Milliseconds until it may be purged, if a majority still does not hear it; None: it is heard."""
        if node.unheard_ms is None:
            return None
        return max(0, self.view.purge_after_ms - node.unheard_ms)

    def wanted(self) -> dict[str, tuple[NodeName, ...]]:
        """The nodes where each group should have members, the desired leader first."""
        placement = Placement(sites(self.view.nodes))
        active = {node.name for node in self.view.nodes if node.state == ACTIVE}
        return {group.name: choose_nodes(group, active, placement.members) for group in self.view.groups}


def newest(view: View, seen: Mapping[NodeName, ClusterSeen | None]) -> View:
    """The newest view of the cluster's state that any node has."""
    views = [one.view for one in seen.values() if one is not None and one.view is not None]
    return max([view, *views], key=lambda one: one.rev)


def outsiders(view: View, told: Iterable[tuple[MemberList, ClusterSeen]]) -> tuple[Outsider, ...]:
    """The nodes that `view`, the newest, does not name, each once."""
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
    """A node in neither mapping was not asked, and counts as one that does not answer."""
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
