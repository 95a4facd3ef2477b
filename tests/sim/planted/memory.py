"""Planted in groups in memory only."""

from typing import Any
from unittest.mock import patch

from fleet.actors.messages.operator import DAMAGED
from fleet.actors.node import events, manager
from fleet.actors.node.hosted_member import HostedMember
from fleet.actors.node.hosted_members import HostedMembers
from fleet.cluster.repairs import Round
from fleet.interfaces import DropGroup
from tests.sim.planted.patches import Patches


def lost_member_votes_again() -> Patches:
    """A member in memory only runs again after a restart of its node, under its id and with an empty log."""

    def start(self: HostedMembers, hosted: HostedMember) -> None:
        self.memory.begin(hosted.record)
        self.start_member(hosted)

    return [patch.object(HostedMembers, "_lose", start)]


def lost_founder_is_founded_again() -> Patches:
    """Of a lost member the node forgets that it was there: where it was a founder, it is created again."""

    def forget(self: HostedMembers, hosted: HostedMember) -> None:
        del self.by_number[hosted.record.number]
        del self.by_name[hosted.spec.name]
        del self.by_member[hosted.member]
        self.manager.carry_out(DropGroup(hosted.record.number))

    return [patch.object(HostedMembers, "_lose", forget)]


def lost_member_is_not_replaced() -> Patches:
    """A node has its damaged members replaced, and not those that were in memory only and are lost."""
    damaged_members = events.damaged_members

    def without_lost(node: Any) -> Round:
        return Round(tuple(one for one in damaged_members(node).damaged if one.ill == DAMAGED))

    return [patch.object(manager, "damaged_members", without_lost)]
