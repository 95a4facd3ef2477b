"""Whether a node can serve, as its operator and its supervisor need to know it.

Ready is about the node, not about its groups: a class that cannot be loaded would otherwise make all nodes
unready, and cut off the clients of every other group.
"""

from collections.abc import Collection

from fleet.cluster.state import LEAVING
from fleet.cluster.view import ClusterView
from fleet.raft.ids import NodeName


def why_not_ready(
    me: NodeName, disk: str, view: ClusterView, heard: Collection[NodeName], starting: int
) -> tuple[str, ...]:
    """Why the node with this disk cannot serve now; (): it can.

    Args:
        heard: the nodes that it has heard from lately.
        starting: how many of its members do not run yet, or are being replaced.
    """
    if not view.rev:
        return ("it belongs to no cluster yet: it founds one, or waits for a node that lets it join",)
    why = []
    own = view.nodes.get(me)
    if own is None or own.incarnation != disk:
        why.append("it is not a node of its cluster yet, or was purged")
    elif own.state == LEAVING:
        why.append("it is leaving the cluster")
    voters = view.voters()
    silent = [node for node in voters if node != me and node not in heard]
    needed = len(voters) // 2 + 1
    if len(voters) - len(silent) < needed:
        there = f"it hears {len(voters) - len(silent)} of the cluster group's {len(voters)} voters"
        why.append(f"{there}, {needed} are needed: {', '.join(sorted(silent))} are silent")
    if starting:
        why.append(f"{starting} of its members are being started")
    return tuple(why)
