"""Answers whether this node can serve."""

from thespian.actors import ActorAddress

from fleet.actors.messages.local import AskHealth, Health
from fleet.actors.node.operator_requests import REACHABLE_MS
from fleet.actors.node.parts import Node
from fleet.cluster.readiness import why_not_ready


def tell_health(node: Node, m: AskHealth, sender: ActorAddress) -> None:
    now, hosted_members = node.now(), node.hosted_members
    heard = [name for name in node.view.nodes if node.nodes.is_reachable(name, now, REACHABLE_MS)]
    starting = {
        hosted.spec.name
        for hosted in hosted_members.by_number.values()
        if hosted.address is None and not hosted.is_dropped and not hosted.ill
    }
    starting |= hosted_members.lost.awaited()
    disk = node.store.identity.incarnation
    why = why_not_ready(node.nodes.me.name, disk, node.view, heard, len(starting))
    node.send(sender, Health(m.token, why))
