"""The events that `reconciliation` takes and the effects that it returns.

An effect that asks for something carries a token, and the event that answers it has the same one.
"""

from typing import TypeAlias

from msgspec import Struct

from fleet.cluster.healing import Demote, Promote, Remove, Seen, Transfer
from fleet.cluster.view import ClusterView
from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, MemberId, Millis, NodeName

# -- events ----------------------------------------------------------------------------------------


class Leads(Struct, frozen=True):
    """The member on this node leads its group. `number`: of the member in the node's store."""

    number: int
    group: str
    uid: Index
    started_at: Millis
    """When that member was started."""


class LeadsNoMore(Struct, frozen=True):
    number: int


class GroupChanged(Struct, frozen=True):
    """The group's record in the cluster's state has changed."""

    number: int


class AnyChanged(Struct, frozen=True):
    """Nodes joined, left or changed: any group may need a step."""


class Look(Struct, frozen=True):
    """All changes have been reported, or the time of a `WakeIn` is over."""


class Round(Struct, frozen=True):
    """About once a second."""


class StatusTold(Struct, frozen=True):
    """A group's status by the member on this node, and what the node knows of the cluster at that time."""

    token: int
    leads: bool
    seen: Seen
    voters: tuple[MemberId, ...]
    removed: tuple[MemberId, ...]
    changed_at: Index
    """The log index of the newest membership change."""
    config: GroupConfig
    applied: Index
    view: ClusterView
    reachable: frozenset[NodeName]


class RoomMade(Struct, frozen=True):
    """A node holds a member for the group. `address` of that node, None if it is not known."""

    token: int
    member: MemberId
    address: str | None


class MembersTold(Struct, frozen=True):
    """All members that a node holds, on that disk."""

    token: int
    disk: str
    members: tuple[MemberId, ...]


class StepDone(Struct, frozen=True):
    token: int


class StepRefused(Struct, frozen=True):
    """`retry`: it may succeed soon, without help."""

    token: int
    why: str
    retry: bool


class AnswerUseless(Struct, frozen=True):
    """The answer does not fit the request."""

    token: int


Answer: TypeAlias = StatusTold | RoomMade | MembersTold | StepDone | StepRefused | AnswerUseless
Event: TypeAlias = Leads | LeadsNoMore | GroupChanged | AnyChanged | Look | Round | Answer


# -- effects ---------------------------------------------------------------------------------------


class Admit(Struct, frozen=True):
    """Let the group add the member, a learner at first, whose node listens at `address`."""

    member: MemberId
    address: str


class AskStatus(Struct, frozen=True):
    """Ask the group's member on this node for its status."""

    token: int
    number: int


class AskChange(Struct, frozen=True):
    """Ask the group's member on this node to change the group."""

    token: int
    number: int
    change: Admit | Promote | Demote | Remove | Transfer


class AskForRoom(Struct, frozen=True):
    """Ask the node to hold a member for the group, none of `removed`."""

    token: int
    number: int
    node: NodeName
    removed: tuple[MemberId, ...]


class AskForMembers(Struct, frozen=True):
    """Ask the node which members it holds."""

    token: int
    node: NodeName


class NoteConfig(Struct, frozen=True):
    """Show in the cluster's state which settings the group has, as of its log index `applied`."""

    group: str
    uid: Index
    config: GroupConfig
    applied: Index


class WakeIn(Struct, frozen=True):
    """Step a `Look` after this time."""

    delay: Millis


class Tell(Struct, frozen=True):
    """Log it."""

    text: str
    level: str = "info"
    """info, warning or error."""


Effect: TypeAlias = AskStatus | AskChange | AskForRoom | AskForMembers | NoteConfig | WakeIn | Tell
