"""Answers whether this node can serve."""

from thespian.actors import ActorAddress

from fleet.actors.messages.local import AskHealth, Health
from fleet.actors.messages.operator import LOST
from fleet.actors.node.operator_requests import REACHABLE_MS
from fleet.actors.node.parts import Node
from fleet.cluster.readiness import why_not_ready
from fleet.raft.ids import Millis

REPLACED_MS: Millis = 30_000
"""How long a node that has started waits for its lost members to be replaced before it is ready: nodes that
are restarted one after the other then lose no group in memory only. One whose majority is lost already is
waited for no longer."""


def tell_health(node: Node, m: AskHealth, sender: ActorAddress) -> None:
    now = node.now()
    heard = [name for name in node.view.nodes if node.nodes.is_reachable(name, now, REACHABLE_MS)]
    is_new = now - node.started_at < REPLACED_MS
    starting = [
        hosted
        for hosted in node.hosted_members.by_number.values()
        if hosted.address is None
        and not hosted.is_dropped
        and (not hosted.ill or (hosted.ill == LOST and is_new))
    ]
    disk = node.store.identity.incarnation
    why = why_not_ready(node.nodes.me.name, disk, node.view, heard, len(starting))
    node.send(sender, Health(m.token, why))
