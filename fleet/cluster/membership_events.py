"""The events that `membership` takes, with what is on the node, and the effects that it returns."""

from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from fleet.cluster import reconciliation_events as groups
from fleet.cluster.state import NodeRecord, View
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import Index, MemberId, Millis, NodeName


class Me(Struct, frozen=True):
    """This node, as it was started."""

    name: NodeName
    address: str = ""
    zone: str = ""
    weight: float = 1.0
    is_active: bool = True
    """Whether groups are placed on it."""
    joins: bool = False
    """It was told of nodes of the cluster."""
    purge_after_ms: Millis = 0
    """What a founder sets in the cluster; 0: nothing."""


class Held(Struct, frozen=True):
    """A member on this node, running or not."""

    number: int
    group: str
    uid: Index
    cluster: int
    """The uid of the cluster group that knows this group."""
    is_founder: bool = False
    is_dropped: bool = False
    """It is about to go."""


class Local(Struct, frozen=True):
    """What is on this node."""

    disk: str
    """The incarnation of its directory."""
    members: tuple[Held, ...] = ()
    coming: Mapping[str, Index] = {}
    """Groups, with their uids, whose member is being made durable."""
    left: frozenset[Index] = frozenset()
    """Groups that this disk was a founding member of, and left."""
    silent_ms: Mapping[NodeName, Millis] = {}
    """For how long nothing was heard of the nodes of the cluster."""
    may_register: bool = True
    """Its name is free, as far as the others say."""
    is_founding: bool = False
    """It may yet become a founder: until then it joins nothing."""
    is_renewing: bool = False
    """Its directory is an older copy, and just becomes another one."""

    def of(self, group: str) -> Held | None:
        return next((one for one in self.members if one.group == group and not one.is_dropped), None)


# -- what happened ---------------------------------------------------------------------------------


class Belongs(Struct, frozen=True):
    """This disk is of that cluster, for good."""

    uid: int


class Applied(Struct, frozen=True):
    """A member of the cluster group has applied up to `index`; its newest snapshot is at `snapshot`.
    `replica` tells its life from all others, `running` is the life of this node's member now."""

    replica: Hashable
    running: Hashable | None
    index: Index
    snapshot: Index


class ViewTold(Struct, frozen=True):
    """What changed in the cluster's state since the last time, as that member sees it."""

    replica: Hashable
    running: Hashable | None
    view: View
    local: Local


class Changed(Struct, frozen=True):
    """Something on this node or about the others is new."""

    local: Local


class Round(Struct, frozen=True):
    """About once a second: also what only a failure can have left undone."""

    local: Local


class Dropped(Struct, frozen=True):
    """A member's data is gone."""

    group: str
    local: Local


class Renewed(Struct, frozen=True):
    """This node goes on with another disk."""

    local: Local


Event: TypeAlias = Belongs | Applied | ViewTold | Changed | Round | Dropped | Renewed


# -- what is to be done ----------------------------------------------------------------------------


class Command(Struct, frozen=True):
    """Ask the cluster group, unless a command about the same thing is under way."""

    about: str
    method: str
    args: tuple[Any, ...]


class ReadView(Struct, frozen=True):
    """Ask this node's member of the cluster group what changed since revision `rev`."""

    rev: Index


class MeetNodes(Struct, frozen=True):
    """The cluster has these nodes now."""

    nodes: Mapping[NodeName, NodeRecord]


class NewMember(Struct, frozen=True):
    group: str
    data_class: bytes
    config: GroupConfig
    uid: Index
    member: MemberId
    founded: Founded
    cluster: int


class CreateMembers(Struct, frozen=True):
    """All of them with one commit."""

    members: tuple[NewMember, ...]


class DropMember(Struct, frozen=True):
    """Its group was removed."""

    number: int


class ForgetLeft(Struct, frozen=True):
    """No restart shows these groups again."""

    uids: frozenset[Index]


class LookForArrivals(Struct, frozen=True):
    """Somebody may wait for a group that is seen only now."""


class TellWhereabouts(Struct, frozen=True):
    """An address of each group that lives elsewhere, "" for one that does not."""

    addresses: Mapping[str, str]


class Reconcile(Struct, frozen=True):
    """Tell the reconciliation of groups."""

    event: groups.Event


class Warn(Struct, frozen=True):
    """Log it, once a minute for the same thing."""

    about: str
    text: str


class Left(Struct, frozen=True):
    """This node has left its cluster."""


Effect: TypeAlias = (
    Command
    | ReadView
    | MeetNodes
    | CreateMembers
    | DropMember
    | ForgetLeft
    | LookForArrivals
    | TellWhereabouts
    | Reconcile
    | Warn
    | Left
    | groups.Tell
)
