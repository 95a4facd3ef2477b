"""The events that `membership` takes, with what is on the node, and the effects that it returns."""

from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from fleet.cluster import reconciliation_events as groups
from fleet.cluster.state import NodeRecord, View
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import Index, MemberId, Millis, NodeName, Revision
from fleet.versions import THIS_BUILD, Build


class Me(Struct, frozen=True):
    """This node, as it was started."""

    name: NodeName
    address: str = ""
    zone: str = ""
    weight: float = 1.0
    is_active: bool = True
    """Whether groups are placed on it."""
    joins: bool = False
    """Whether it was given addresses of nodes of the cluster."""
    purge_after_ms: Millis = 0
    """The purge window that a founder sets in the cluster; 0: none."""
    build: Build = THIS_BUILD


class Held(Struct, frozen=True):
    """A member on this node, running or not."""

    number: int
    group: str
    uid: Index
    cluster: int
    """The uid of the cluster group that knows this group."""
    is_founder: bool = False
    is_dropped: bool = False
    """Whether it is being deleted."""


class Local(Struct, frozen=True):
    """What is on this node."""

    disk: str
    """The incarnation of its directory."""
    members: tuple[Held, ...] = ()
    coming: Mapping[str, Index] = {}
    """Groups, with their uids, whose member here is being created."""
    left: frozenset[Index] = frozenset()
    """The uids of groups whose founding member on this disk was dropped."""
    silent_ms: Mapping[NodeName, Millis] = {}
    """By node of the cluster, for how many milliseconds it was silent."""
    may_register: bool = True
    """Whether its name is free, as far as other nodes say."""
    is_founding: bool = False
    """Whether it may still become a founder; until that is decided it joins no cluster."""
    is_renewing: bool = False
    """Whether its directory is an older copy that is being given a new incarnation."""
    disk_version: int = 1
    """The version of the fleet that its directory has."""
    version: int = 0
    """The newest that other nodes say is in force."""

    def of(self, group: str) -> Held | None:
        return next((one for one in self.members if one.group == group and not one.is_dropped), None)


# -- events ----------------------------------------------------------------------------------------


class Belongs(Struct, frozen=True):
    """This disk belongs to that cluster permanently."""

    uid: int


class Applied(Struct, frozen=True):
    """A member of the cluster group has applied the log up to `index`: its state is at `revision`, its newest
    snapshot at `snapshot`. `replica` identifies this run of the member, `running` the current run of
    this node's member."""

    replica: Hashable
    running: Hashable | None
    index: Index
    revision: Revision
    snapshot: Revision


class ViewReceived(Struct, frozen=True):
    """The answer to `ReadView`: what changed in the cluster's state since, as that member sees it."""

    replica: Hashable
    running: Hashable | None
    view: View
    local: Local


class Changed(Struct, frozen=True):
    """Something has changed on this node or about other nodes."""

    local: Local


class Round(Struct, frozen=True):
    """About once a second; also completes what a failure has interrupted."""

    local: Local


class Dropped(Struct, frozen=True):
    """A member's data was deleted."""

    group: str
    local: Local


class Renewed(Struct, frozen=True):
    """This node continues as another disk, with a new incarnation."""

    local: Local


Event: TypeAlias = Belongs | Applied | ViewReceived | Changed | Round | Dropped | Renewed


# -- effects ---------------------------------------------------------------------------------------


class SendCommand(Struct, frozen=True):
    """Send a command to the cluster group, unless one about the same thing is under way."""

    about: str
    method: str
    args: tuple[Any, ...]


class RaiseDiskVersion(Struct, frozen=True):
    """Write to the directory that builds which do not speak this version must not open it."""

    version: int


class ReadView(Struct, frozen=True):
    """Ask this node's member of the cluster group for the changes since revision `rev`."""

    rev: Index


class MeetNodes(Struct, frozen=True):
    """The cluster has these nodes now."""

    nodes: Mapping[NodeName, NodeRecord]


class NewMember(Struct, frozen=True):
    """A founding member of a new group."""

    group: str
    data_class: bytes
    config: GroupConfig
    uid: Index
    member: MemberId
    founded: Founded
    cluster: int
    is_restored: bool = False
    """As in `GroupInfo`."""
    is_in_memory: bool = False


class CreateMembers(Struct, frozen=True):
    """Create these members, in one transaction."""

    members: tuple[NewMember, ...]


class DropMember(Struct, frozen=True):
    """Delete the member: its group was removed."""

    number: int


class ForgetLeft(Struct, frozen=True):
    """Forget that these groups were left: no restart shows them again."""

    uids: frozenset[Index]


class LookForArrivals(Struct, frozen=True):
    """Clients may wait for a group that has just appeared in the view."""


class TellWhereabouts(Struct, frozen=True):
    """By group, the address of a node to ask for it; "" for a removed group."""

    addresses: Mapping[str, str]


class Reconcile(Struct, frozen=True):
    """Step the reconciliation of groups with this event."""

    event: groups.Event


class Warn(Struct, frozen=True):
    """Log a warning, once a minute for the same `about`."""

    about: str
    text: str


class Left(Struct, frozen=True):
    """This node has left its cluster."""


Effect: TypeAlias = (
    SendCommand
    | RaiseDiskVersion
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
    | groups.LogLine
)
