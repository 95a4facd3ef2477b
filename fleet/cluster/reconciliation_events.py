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
    """When that member was started, in milliseconds."""


class LeadsNoMore(Struct, frozen=True):
    number: int


class GroupChanged(Struct, frozen=True):
    """The group's record in the cluster's state has changed."""

    number: int


class AnyChanged(Struct, frozen=True):
    """Nodes joined, left or changed: any group may need a step."""


class Look(Struct, frozen=True):
    """All changes have been reported, or a `WakeIn` is due."""


class Round(Struct, frozen=True):
    """About once a second."""


class StatusReceived(Struct, frozen=True):
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
    data_class: bytes = b""
    """The class in force; b"": not known."""


class MemberHosted(Struct, frozen=True):
    """A node holds a member for the group. `address`: the node's, None if unknown."""

    token: int
    member: MemberId
    address: str | None


class MembersReceived(Struct, frozen=True):
    """All members that a node holds. `disk`: the incarnation of its disk."""

    token: int
    disk: str
    members: tuple[MemberId, ...]


class StepDone(Struct, frozen=True):
    token: int


class StepRefused(Struct, frozen=True):
    """`retry`: it may succeed soon, without an operator."""

    token: int
    why: str
    retry: bool


class AnswerUseless(Struct, frozen=True):
    """The answer does not fit the request."""

    token: int


Answer: TypeAlias = StatusReceived | MemberHosted | MembersReceived | StepDone | StepRefused | AnswerUseless
Event: TypeAlias = Leads | LeadsNoMore | GroupChanged | AnyChanged | Look | Round | Answer


# -- effects ---------------------------------------------------------------------------------------


class Admit(Struct, frozen=True):
    """Add the member as a learner; its node listens at `address`."""

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


class AskToHost(Struct, frozen=True):
    """Ask the node to hold a member for the group, but none of the `removed` ones."""

    token: int
    number: int
    node: NodeName
    removed: tuple[MemberId, ...]


class AskForMembers(Struct, frozen=True):
    """Ask the node which members it holds."""

    token: int
    node: NodeName


class NoteConfig(Struct, frozen=True):
    """Record in the cluster's state the settings that the group has at its log index `applied`."""

    group: str
    uid: Index
    config: GroupConfig
    applied: Index


class NoteClass(Struct, frozen=True):
    """Record in the cluster's state the class that the group has at its log index `applied`."""

    group: str
    uid: Index
    data_class: bytes
    applied: Index


class WakeIn(Struct, frozen=True):
    """Step a `Look` after this many milliseconds."""

    delay: Millis


class LogLine(Struct, frozen=True):
    """Write a log line."""

    text: str
    level: str = "info"
    """info, warning or error."""
    group: str = ""
    """The one that it is about, if it is about one."""


Effect: TypeAlias = (
    AskStatus | AskChange | AskToHost | AskForMembers | NoteConfig | NoteClass | WakeIn | LogLine
)
