"""Redundancy: a voter that is well leaves a group only when its replacements vote.

Members move one change at a time, decided on what a node knew of the cluster a moment before. So a change
is right if it was right for any state of the cluster in that time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, GroupInfo, NodeRecord
from fleet.cluster.wanted import cluster_voters, wanted_nodes
from fleet.raft.entries import Members
from fleet.raft.ids import MemberId, NodeName, disk_of, node_of

DECIDED_WITHIN_US = 8_000_000
"""Between what a node knew and the change that it asked for."""


class PlacedWorld(Protocol):
    now: int

    @property
    def nodes(self) -> Mapping[str, Any]: ...

    def members_of(self, group: str) -> list[Any]: ...

    def violated(self, sentence: str) -> NoReturn: ...


@dataclass(slots=True)
class ClusterThen:
    """The cluster as it was from a moment on, until the next."""

    since: int
    nodes: dict[NodeName, NodeRecord]
    groups: dict[str, GroupInfo]


class Redundancy:
    """Invariant: `past` is in the order of time, and never empty once a node has seen its cluster."""

    def __init__(self, world: PlacedWorld) -> None:
        self.world = world
        self.past: list[ClusterThen] = []
        self.revisions: set[int] = set()
        """Of all these."""

    def look(self, view: Any) -> None:
        """A node sees the cluster like this, perhaps later than others saw what came next."""
        if view.rev not in self.revisions:
            self.revisions.add(view.rev)
            self.past.append(ClusterThen(self.world.now, dict(view.nodes), dict(view.groups)))

    def on_change(self, leader: Any, before: Members, after: Members) -> None:
        group = leader.spec.name
        for voter in before.voters:
            if voter in after.voters or not self._is_well(group, voter):
                continue
            if not any(
                self._may_leave(then, group, voter, after)
                for then in (*self._seen_from(leader), *self._lately())
            ):
                self.world.violated(
                    f"{group}: {voter} leaves while it is well, and of those that should vote only "
                    f"{sorted(map(node_of, after.voters))} do"
                )

    def _seen_from(self, leader: Any) -> Iterator[ClusterThen]:
        """As the leader's node sees it: a node that was away may see what was so long ago."""
        node = self.world.nodes.get(node_of(leader.core.id))
        if node is not None and node.manager is not None and node.manager.is_serving:
            view = node.manager.view
            yield ClusterThen(self.world.now, view.nodes, view.groups)

    def _lately(self) -> Iterator[ClusterThen]:
        """The newest first."""
        for then in reversed(self.past):
            yield then
            if then.since <= self.world.now - DECIDED_WITHIN_US:
                return

    def _is_well(self, group: str, member: MemberId) -> bool:
        return any(one.core.id == member and not one.failed for one in self.world.members_of(group))

    def _may_leave(self, then: ClusterThen, group: str, voter: MemberId, after: Members) -> bool:
        record = then.nodes.get(node_of(voter))
        if record is None or record.state != ACTIVE or record.incarnation != disk_of(voter):
            return True
        if group == CLUSTER_GROUP:
            wanted = cluster_voters(then.nodes.values())
        elif group in then.groups:
            wanted = wanted_nodes(then.groups[group], then.nodes.values())
        else:
            return True
        return {*wanted} <= {node_of(one) for one in after.voters}
