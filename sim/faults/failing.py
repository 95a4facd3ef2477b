"""One actor of a simulated node fails just before it would have handled a message of some kind."""

from collections.abc import Iterator
from typing import Any

from thespian.actors import ActorExitRequest

from fleet.actors.member.actor import Member
from fleet.actors.messages.local import StartDisk, StartMember, StartNode, StartRegistry, WriteFailed
from fleet.actors.node.disk import Disk
from fleet.actors.node.manager import NodeManager
from fleet.actors.node.registry import Registry
from fleet.sim.world.host import SimNode

VITAL = ("node manager", "registry", "disk writer")
"""Actors of which each node has one, and is not without. Others are named by their group."""
MANAGER, REGISTRY, WRITER = VITAL
CLASSES: dict[str, type] = {MANAGER: NodeManager, REGISTRY: Registry, WRITER: Disk}
STARTS = (StartDisk, StartMember, StartNode, StartRegistry, ActorExitRequest)


def messages_of(actor: str) -> list[str]:
    """The kinds that it handles, apart from its start and its end."""
    handlers = getattr(CLASSES.get(actor, Member), "handlers")
    return sorted(kind.__name__ for kind in handlers if kind not in STARTS)


class Failing:
    """The next message of that kind stays where it was, and what ends the actor comes before it."""

    def __init__(self, node: SimNode, actor: Any, message: str, silently: bool) -> None:
        self.node = node
        self.actor = actor
        self.message = message
        is_member = isinstance(actor, Member)
        tells = is_member and not silently and hasattr(actor, "number")
        self.end = WriteFailed(actor.number, "the disk refuses it") if tells else ActorExitRequest()
        self.is_vital = not is_member
        actor.receiveMessage = self._receive

    def _receive(self, message: Any, sender: Any) -> Any:
        actor = self.actor
        if type(message).__name__ != self.message:
            return type(actor).receiveMessage(actor, message, sender)
        self.disarm()
        if self.is_vital:
            self.node.is_ending = True
        cell = actor._myRef
        cell.kernel.queue.extendleft([(cell, message, sender), (cell, self.end, cell.address)])
        return actor.watching

    def disarm(self) -> None:
        self.actor.__dict__.pop("receiveMessage", None)


def actor_of(node: SimNode, name: str) -> Any:
    """Its object, None while it does not run."""
    manager = node.manager
    if manager is None or not manager.is_serving:
        return None
    if name == MANAGER:
        return manager
    hosted = manager.hosted_members.by_name.get(name)
    places = {REGISTRY: manager.registry, WRITER: manager.disk}
    address = places[name] if name in places else hosted and hosted.address
    return None if address is None else manager._myRef.kernel.instance(address)


def actors_of(node: SimNode) -> Iterator[str]:
    manager = node.manager
    if manager is not None and manager.is_serving:
        yield from VITAL
        yield from sorted(manager.hosted_members.by_name)
