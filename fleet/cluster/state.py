"""The records of the cluster group's state: nodes, groups, groups that are being removed; and views of them.

The cluster group is itself one replicated group, and the single source of truth of a fleet (raft_fleet's
`RaftFleet.Cluster`). `commands` has its data class, `view` a node's copy.
"""

from typing import Final

from msgspec import Struct

from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, MemberId, NodeName
from fleet.versions import FIRST_BUILD, Build

CLUSTER_GROUP: Final = "fleet:cluster"

ACTIVE: Final = "active"
"""A node that members are placed on."""
INACTIVE: Final = "inactive"
"""A node that hosts no member but its own of the cluster group."""
LEAVING: Final = "leaving"
"""A node whose members move to others; afterwards it is removed."""


class NodeRecord(Struct, frozen=True, array_like=True):
    name: NodeName
    incarnation: str
    """The incarnation of its disk: a node with another disk is another node, even of the same name."""
    zone: str
    address: str
    weight: float
    state: str
    reports: dict[NodeName, int] = {}
    """Nodes that have not reached it for the purge window, and the time of their reports (ms, by the log's
    clock)."""
    rev: Index = 0
    build: Build = FIRST_BUILD
    disk_version: int = 1
    """The version of the fleet that its directory has: builds that do not speak it refuse the directory."""


class GroupInfo(Struct, frozen=True, array_like=True):
    name: str
    uid: Index
    """The log index of its creation: unique among all groups of the name, ever."""
    replicas: int
    data_class: bytes
    config: GroupConfig
    """The settings in force, as its leader's node last reported."""
    initial: tuple[tuple[MemberId, str], ...]
    """The founding members and the addresses of their nodes; the first should lead."""
    pinned: tuple[NodeName, ...] = ()
    """The nodes that it is pinned to; (): the placement chooses."""
    rev: Index = 0
    leader: NodeName = NodeName("")
    """The node that an operator prefers as leader, while a member belongs there; "" for the first node."""
    config_index: Index = 0
    """The index of the group's own log as of which `config` is known; 0: since its creation."""
    founding_config: GroupConfig | None = None
    """The settings in entry 1 of its log; None: the same as `config`."""
    class_index: Index = 0
    """As `config_index`, of `data_class`."""
    founding_class: bytes = b""
    """The class in entry 1; b"": the same as `data_class`."""
    is_restored: bool = False
    """It begins with a backup's state, which its first founder is given."""
    is_in_memory: bool = False
    """Its members keep log, hard state and snapshots in memory: one whose node restarts is lost."""


class RemovedGroup(Struct, frozen=True, array_like=True):
    name: str
    uid: Index
    waiting: tuple[NodeName, ...]
    """Nodes that may still hold a member of it."""
    rev: Index = 0


class View(Struct, frozen=True, array_like=True):
    """The changes after a revision: they bring an older view up to `rev`."""

    rev: Index
    nodes: tuple[NodeRecord, ...]
    groups: tuple[GroupInfo, ...]
    removed: tuple[RemovedGroup, ...]
    gone_nodes: tuple[NodeName, ...]
    gone_groups: tuple[str, ...]
    settled_removals: tuple[Index, ...]
    purge_after_ms: int
    whole: bool
    """Whether this is the complete state: what is missing from it is gone."""
    cluster_leader: NodeName = NodeName("")
    """As `GroupInfo.leader`, of the cluster's own group."""
    purge_after_rev: Index = 0
    """When `purge_after_ms` was set; 0: never."""
    version: int = 0
    """The version of the fleet that is in force; 0: not known yet."""
    finalizing: int = 0
    """The version that is being put in force, or is; 0: not known yet."""
