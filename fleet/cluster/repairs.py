"""Damaged and lost members of one node: removed from their groups by a committed change, then replaced.

Such a member does not run, so it neither votes nor truncates its log. Its data is deleted only when the
group has committed its removal, by a quorum without it; then a new member is created here, under a new id, as
a learner (S81). A lost member was in memory only, and its node has restarted: it has forgotten its votes and
its log, so that it must never run again under its id.
"""

from typing import TypeAlias

from msgspec import Struct

from fleet.cluster.reconciliation_events import LogLine
from fleet.raft.ids import MemberId, Millis


class DamagedMember(Struct, frozen=True):
    """A damaged or lost member. `number`: in the node's store; `ill`: which of the two, in a word."""

    number: int
    group: str
    member: MemberId
    ill: str


class Round(Struct, frozen=True):
    """About once a second."""

    damaged: tuple[DamagedMember, ...]


class Removed(Struct, frozen=True):
    """The group has committed that it has no such member."""

    number: int


class NotRemoved(Struct, frozen=True):
    """The removal was refused or not confirmed in time."""

    number: int
    why: str


Event: TypeAlias = Round | Removed | NotRemoved


class AskForRemoval(Struct, frozen=True):
    """Ask the group to remove the member."""

    number: int


class DropDamaged(Struct, frozen=True):
    """Delete the member's data."""

    number: int


Effect: TypeAlias = AskForRemoval | DropDamaged | LogLine


class Repairs:
    def __init__(self) -> None:
        self.asked: dict[int, DamagedMember] = {}
        """Members whose removal was requested, by number."""
        self.refused: dict[int, str] = {}
        """By number, why the last request failed: to log it once."""

    def step(self, now: Millis, event: Event) -> list[Effect]:
        if isinstance(event, Round):
            new = {one.number: one for one in event.damaged if one.number not in self.asked}
            self.asked |= new
            return [AskForRemoval(number) for number in new]
        member = self.asked.pop(event.number, None)
        if member is None:
            return []
        if isinstance(event, Removed):
            self.refused.pop(event.number, None)
            return [DropDamaged(event.number)]
        if self.refused.get(event.number) == event.why:
            return []
        self.refused[event.number] = event.why
        what = f"group={member.group} {member.member} is {member.ill} and not replaced yet: {event.why}"
        return [LogLine(what, "warning", member.group)]
