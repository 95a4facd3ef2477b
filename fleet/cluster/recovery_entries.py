"""The entries with which a recovery continues the log of a group."""

from collections.abc import Sequence

from fleet.cluster.commands import Cluster
from fleet.cluster.recovery import GroupPlan, RecoveryPlan
from fleet.cluster.state import CLUSTER_GROUP
from fleet.raft.entries import (
    Body,
    Commands,
    Entry,
    MemberAdded,
    MemberPromoted,
    MemberRemoved,
    SessionOpened,
)
from fleet.raft.ids import Millis, NodeName


def recovery_entries(plan: RecoveryPlan, group: GroupPlan, salt: int, wall_ms: Millis) -> tuple[Entry, ...]:
    """What follows the last entry of the source: the members that continue join, all former ids leave, and
    in the cluster group the lost nodes are purged.

    Args:
        salt: of the sessions of the cluster group.
        wall_ms: by the wall clock.
    """
    bodies: list[Body] = []
    for one in group.continued:
        bodies.append(MemberAdded(one.member, one.address))
        if one.votes:
            bodies.append(MemberPromoted(one.member))
    bodies += [MemberRemoved(member) for member in group.removed]
    if group.group == CLUSTER_GROUP and plan.purged:
        opened_at = group.last_index + len(bodies) + 1
        bodies.append(SessionOpened(f"recovery/{plan.id}", wall_ms))
        bodies.append(Commands(salt << 32 | opened_at, 1, 0, wall_ms, _purges(plan.purged)))
    return tuple(Entry(group.term, index, body) for index, body in enumerate(bodies, group.last_index + 1))


def _purges(nodes: Sequence[NodeName]) -> tuple[bytes, ...]:
    encode = Cluster.__fleet_codec__.encode_call
    return tuple(encode("purge", (node,), {}) for node in nodes)
