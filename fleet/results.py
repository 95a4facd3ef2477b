"""What the methods of `fleet.Fleet` return, to name in type hints.

`Survey` (with `NodeSeen` and `Outsider`) is a cluster at one moment; `ClusterSeen` is the cluster's `View` as
one node has it, with its `NodeRecord`s, each with the `Build` that the node runs, and `GroupInfo`s;
`MemberStatus` is a group as one of its members sees it, with the `Halt` of each that cannot execute a
command; `MemberList` is what a node holds. `AtRevision` is what `.with_revision` of a handle's method
returns; `ClassVersions` tells which code a group has. `BackupReport` is what a backup holds, each
`SavedGroup` of it, and `RestoredGroup` a group that came back. `Call` is a command of the past, `FirstTrue`
the one that made something so; `Rehearsal`, with the first `OtherPast`, is what came of executing the past by
another class. `Watch` tells of a group's events. `NodeSecrets` says which secrets a node has. `StateDiff`
shows where members differ, field by field (`FieldDifference`).
"""

from fleet.actors.messages.operator import ClusterSeen, MemberInfo, MemberList, MemberStatus, PeerStatus
from fleet.actors.messages.values import NodeInfo
from fleet.client.backup_api import BackupReport
from fleet.client.backup_file import SavedGroup
from fleet.client.class_api import ClassVersions
from fleet.client.restore_api import RestoredGroup
from fleet.client.secret_api import NodeSecrets
from fleet.client.state_api import FieldDifference, StateDiff
from fleet.client.survey import NodeSeen, Outsider, Survey
from fleet.cluster.state import GroupInfo, NodeRecord, RemovedGroup, View
from fleet.objects.handles import AtRevision
from fleet.objects.rehearsed import OtherPast, Rehearsal
from fleet.objects.watch import Watch
from fleet.objects.watchers import Call, FirstTrue
from fleet.raft.entries import Halt
from fleet.versions import Build

__all__ = [
    "AtRevision",
    "BackupReport",
    "Build",
    "Call",
    "ClassVersions",
    "ClusterSeen",
    "FieldDifference",
    "FirstTrue",
    "GroupInfo",
    "Halt",
    "MemberInfo",
    "MemberList",
    "MemberStatus",
    "NodeInfo",
    "NodeRecord",
    "NodeSecrets",
    "NodeSeen",
    "OtherPast",
    "Outsider",
    "PeerStatus",
    "Rehearsal",
    "RemovedGroup",
    "RestoredGroup",
    "SavedGroup",
    "StateDiff",
    "Survey",
    "View",
    "Watch",
]
