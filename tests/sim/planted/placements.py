"""Planted in where groups belong: pins, replicas, zones, leaders, nodes that leave."""

from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from fleet.cluster import healing
from fleet.cluster import view as cluster_view
from fleet.cluster import wanted as wanted_nodes
from fleet.cluster.healing import Remove, Seen, Wanted
from fleet.cluster.healing import Situation as Known
from fleet.cluster.membership import NodeMembership
from fleet.cluster.state import ACTIVE, LEAVING, GroupInfo
from fleet.cluster.view import ClusterView
from fleet.raft.ids import node_of
from tests.sim.planted.patches import Patches


def voter_leaves_before_its_replacement() -> Patches:
    """A voter that is wanted no more leaves as soon as somebody else does vote."""

    def let_go(wanted: Wanted, seen: Seen, world: Known) -> Any:
        for seat in seen.seats:
            is_extra = node_of(seat.member) not in (*wanted.voters, *wanted.learners)
            if is_extra and seat.member != seen.leader and wanted.voters:
                return Remove(seat.member)
        return true_let_go(wanted, seen, world)

    true_let_go = healing._remove_extra
    return [
        patch.object(healing, "_remove_extra", let_go),
        patch.object(healing, "_add_missing", lambda wanted, seen, world: let_go(wanted, seen, world)
                     or true_bring_in(wanted, seen, world)),
    ]  # fmt: skip


true_bring_in = healing._add_missing


def extra_voters_stay() -> Patches:
    """A group that should be smaller keeps its voters."""

    def let_go(wanted: Wanted, seen: Seen, world: Known) -> Any:
        step = true_let_go(wanted, seen, world)
        return None if isinstance(step, Remove) and _votes(seen, step.member) else step

    true_let_go = healing._remove_extra
    return [patch.object(healing, "_remove_extra", let_go)]


def _votes(seen: Seen, member: Any) -> bool:
    return any(seat.votes for seat in seen.seats if seat.member == member)


def dead_members_stay() -> Patches:
    """RF19: members whose disk is gone for good stay in their groups."""
    return [patch.object(healing, "_remove_dead", lambda seen, world: None)]


def learner_is_never_promoted() -> Patches:
    """A group that grows keeps its new members as learners."""
    return [patch.object(healing, "_promote", lambda wanted, seen, world: None)]


def pins_are_not_seen() -> Patches:
    """Nodes place a pinned group like any other."""
    wanted = ClusterView.wanted

    def unpinned(self: ClusterView, group: GroupInfo) -> Any:
        return wanted(self, replace(group, pinned=()))

    return [patch.object(ClusterView, "wanted", unpinned)]


def zones_are_not_seen() -> Patches:
    """Nodes place groups as if all nodes were in one zone."""

    def sites(nodes: Any) -> Any:
        return [replace(site, zone="") for site in true_sites(nodes)]

    true_sites = wanted_nodes.sites
    return [patch.object(cluster_view, "sites", sites)]


def preference_is_not_followed() -> Patches:
    """The leader that an operator prefers is known, and not made leader."""
    wanted = ClusterView.wanted

    def any_leader(self: ClusterView, group: GroupInfo) -> Any:
        return wanted(self, replace(group, leader=""))

    return [patch.object(ClusterView, "wanted", any_leader)]


def leaving_nodes_are_wanted() -> Patches:
    """S57: groups are placed on a node that leaves, so that it never does."""

    def sites(nodes: Any) -> Any:
        return true_sites([replace(one, state=ACTIVE) if one.state == LEAVING else one for one in nodes])

    true_sites = wanted_nodes.sites
    return [patch.object(cluster_view, "sites", sites)]


def leader_stays_on_a_leaving_node() -> Patches:
    """The leader of a group never hands over because its node leaves."""

    def hand_over(nodes: Any, seen: Seen, world: Known) -> Any:
        return None if node_of(seen.leader) not in world.staying else true_hand_over(nodes, seen, world)

    true_hand_over = healing._transfer_to_first
    return [patch.object(healing, "_transfer_to_first", hand_over)]


def leaves_with_its_members() -> Patches:
    """A node that was told to leave is gone at once, with the members that it still holds."""
    leave = NodeMembership._leave_if_empty

    def at_once(self: NodeMembership, local: Any) -> None:
        leave(self, replace(local, members=(), coming={}))

    return [patch.object(NodeMembership, "_leave_if_empty", at_once)]


def silence_is_never_taken_back() -> Patches:
    """A node that was reported as lost stays so when it is back."""
    report = NodeMembership._report

    def only_lost(self: NodeMembership, local: Any) -> None:
        report(self, local)
        self._effects = [
            effect
            for effect in self._effects
            if getattr(effect, "method", "") != "report" or effect.args[-1]  # type: ignore[union-attr]
        ]

    return [patch.object(NodeMembership, "_report", only_lost)]
