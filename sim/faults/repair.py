"""What takes an operator once the faults are over: nodes that do not start, members on damaged records,
nodes that left, groups that halt at a command which nobody can execute, and in memory only, that are lost."""

from typing import Any

from fleet.actors.messages.operator import SkipCommand
from fleet.cluster.state import ACTIVE, LEAVING, NodeRecord
from fleet.errors import Damaged
from fleet.sim.checks.memory import lost_groups
from fleet.sim.faults.field import Field
from fleet.sim.world.host import SimNode
from fleet.sim.world.trace import FAULT


def repair(field: Field) -> None:
    for node in field.nodes.values():
        manager = node.manager
        if manager is not None and node.name == field.spoiled and is_damaged(manager):
            replace_disk(field, node)
        elif not node.is_up and not node.start():
            replace_disk(field, node)
        elif has_left(manager) and record_of(field, node) is None:
            node.stop()
            field.let_join(node)
        elif field.calls_back and is_leaving(field, node):
            field.command("set_state", node.name, ACTIVE)
        if not node.is_up:
            node.start()
    skip_hangs(field)
    remove_lost(field)


def remove_lost(field: Field) -> None:
    """Groups in memory only whose majority is lost, and no others."""
    views = [node.manager.view for node in field.nodes.values() if node.manager and node.manager.is_serving]
    newest = max(views, key=lambda view: int(view.rev), default=None)
    for name in lost_groups(field.world, newest.groups) if newest is not None else ():
        field.world.mark("a group in memory only is lost with a majority of its members")
        field.command("remove_group", name)


def skip_hangs(field: Field) -> None:
    """Of members that were restarted nobody knows whether they executed it before. An operator does, of a
    command that hangs always."""
    for name in sorted({member.spec.name for _, member in field.world.members()}):
        halts = [member.core.halt for member in field.world.members_of(name) if member.core.is_leader]
        for halt in halts:
            if halt is not None and halt.cause.startswith("hang:"):
                ask(field, SkipCommand(halt.index), name)


def ask(field: Field, op: Any, group: str) -> None:
    admin = field.admin
    admin.in_turn(lambda: admin.ask(op, group, "", lambda value, error: None))


def replace_disk(field: Field, node: SimNode) -> None:
    field.world.trace(FAULT, say=f"an operator replaces the disk of {node.name}")
    node.kill()
    field.replace_disk(node)


def has_left(manager: Any) -> bool:
    return manager is not None and manager.is_serving and manager.cluster.membership.has_left


def record_of(field: Field, node: SimNode) -> NodeRecord | None:
    """What the cluster has of the node, as far as any other node knows."""
    managers = [other.manager for other in field.nodes.values() if other is not node]
    views = [manager.view for manager in managers if manager is not None and manager.is_serving]
    newest = max(views, key=lambda view: int(view.rev), default=None)
    return None if newest is None else newest.nodes.get(node.name)


def is_leaving(field: Field, node: SimNode) -> bool:
    record = record_of(field, node)
    return record is not None and record.state == LEAVING


def is_damaged(manager: Any) -> bool:
    """Whether the node's own records are not what was written, or a member cannot run for another reason
    than its damaged records: those it replaces by itself."""
    try:
        manager.store.check_own()
    except Damaged:
        return True
    hosted_members = [hosted for hosted in manager.hosted_members.by_number.values() if not hosted.ill]
    return any(hosted.address is None and hosted.trouble and "again" not in hosted.trouble
               and not hosted.trouble.startswith("storage:") for hosted in hosted_members)  # fmt: skip
