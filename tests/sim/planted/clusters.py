"""Planted in the cluster's state, what nodes see of it, and what operators are told."""

from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from fleet.actors.node.effects import EFFECTS
from fleet.cluster import membership_events, reconciliation_events
from fleet.cluster.commands import Cluster
from fleet.cluster.membership import NodeMembership
from fleet.cluster.view import ClusterView
from fleet.objects.declare import shape_of
from tests.sim.planted.patches import Patches

COMMANDS = shape_of(Cluster).commands


def view_keeps_removed_groups() -> Patches:
    """What a node sees of the cluster keeps groups that are gone."""
    update = ClusterView.update

    def keep(self: ClusterView, view: Any) -> Any:
        return update(self, replace(view, gone_groups=()))

    return [patch.object(ClusterView, "update", keep)]


def view_keeps_gone_nodes() -> Patches:
    """What a node sees of the cluster keeps nodes that left or were lost."""
    update = ClusterView.update

    def keep(self: ClusterView, view: Any) -> Any:
        return update(self, replace(view, gone_nodes=()))

    return [patch.object(ClusterView, "update", keep)]


def settings_are_not_shown() -> Patches:
    """The cluster's state keeps the settings that a group had first."""
    return [patch.dict(EFFECTS, {reconciliation_events.NoteConfig: lambda node, effect: None})]


def founders_differ() -> Patches:
    """A founder that comes late begins with the settings of now, the others had those of then."""
    found = NodeMembership._founding_member

    def newest(self: NodeMembership, name: str, local: Any) -> Any:
        group = self.view.groups[name]
        self.view.groups[name] = replace(group, founding_config=None)
        try:
            return found(self, name, local)
        finally:
            self.view.groups[name] = group

    return [patch.object(NodeMembership, "_founding_member", newest)]


def cleaned_before_it_is_gone() -> Patches:
    """A node says that it holds nothing of a removed group while its member still stops."""
    clean = NodeMembership._clean

    def early(self: NodeMembership, local: Any) -> None:
        gone = [one for one in local.members if self.was_removed(one.group, one.uid, one.cluster)]
        clean(self, replace(local, members=tuple(one for one in local.members if one not in gone)))
        clean(self, local)

    return [patch.object(NodeMembership, "_clean", early)]


def removed_members_stay() -> Patches:
    """Members of a removed group are not dropped, and their nodes say that they are."""
    clean = NodeMembership._clean

    def careless(self: NodeMembership, local: Any) -> None:
        gone = [one for one in local.members if self.was_removed(one.group, one.uid, one.cluster)]
        clean(self, replace(local, members=tuple(one for one in local.members if one not in gone)))

    return [patch.object(NodeMembership, "_clean", careless)]


def removed_group_is_kept_by_its_nodes() -> Patches:
    """Nothing is dropped when its group is removed."""
    return [patch.dict(EFFECTS, {membership_events.DropMember: lambda node, effect: None})]


def existing_group_is_added() -> Patches:
    """Adding a group that exists is told as done."""
    add = COMMANDS["add_group"]

    def agree(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        return self.groups[name] if name in self.groups else add(self, name, *args, **kwargs)

    return [patch.dict(COMMANDS, {"add_group": agree})]


def missing_group_is_removed() -> Patches:
    """Removing a group that does not exist is told as done."""
    remove = COMMANDS["remove_group"]

    def agree(self: Any, name: str) -> None:
        if name in self.groups:
            remove(self, name)

    return [patch.dict(COMMANDS, {"remove_group": agree})]


def replicas_are_forgotten() -> Patches:
    """A group that is pinned, and then not, has the replicas of long ago."""
    pin = COMMANDS["pin_group"]

    def forget(self: Any, name: str, nodes: Any, replicas: int = 0) -> Any:
        before = self.groups.get(name)
        answer = pin(self, name, nodes, replicas)
        self.groups[name] = replace(self.groups[name], replicas=before.replicas)
        return answer

    return [patch.dict(COMMANDS, {"pin_group": forget})]


def name_is_free_at_once() -> Patches:
    """The name of a removed group is given again while members of it may live."""
    add = COMMANDS["add_group"]

    def at_once(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        removed = self.removed
        self.removed = {uid: one for uid, one in removed.items() if one.name != name}
        try:
            return add(self, name, *args, **kwargs)
        finally:
            self.removed = removed

    return [patch.dict(COMMANDS, {"add_group": at_once})]
