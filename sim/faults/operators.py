"""What operators do while other things go wrong."""

from typing import Self

from fleet.actors.messages.operator import TransferLeader
from fleet.cluster.state import ACTIVE, LEAVING
from fleet.objects.payload import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.ids import node_of
from fleet.sim.faults.fault import Fault
from fleet.sim.faults.field import Field
from fleet.sim.world.objects import KINDS


class Transfer(Fault, frozen=True, array_like=True, tag="transfer"):
    group: str
    other: str

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        group = field.any_group()
        members = field.world.members_of(group)
        return cls(group, node_of(field.rng.choice(members).core.id)) if members else None

    def do(self, field: Field) -> bool:
        members = field.world.members_of(self.group)
        found = [member.core.id for member in members if node_of(member.core.id) == self.other]
        if not found:
            return False
        op, admin = TransferLeader(found[0]), field.admin
        admin.in_turn(lambda: admin.ask(op, self.group, "", lambda value, error: None))
        return True

    def words(self, now: int) -> str:
        return f"an operator moves the leadership of {self.group} to {self.other}"


class Drain(Fault, frozen=True, array_like=True, tag="drain"):
    """One node at a time leaves, or is called back."""

    node: str
    state: str

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        node = field.any()
        state = field.rng.choice([LEAVING, LEAVING, ACTIVE])
        return cls(node.name, state) if may_drain(field, node.name) else None

    def do(self, field: Field) -> bool:
        if not may_drain(field, self.node):
            return False
        field.may_shrink = field.nodes[self.node].has_left = True
        field.command("set_state", self.node, self.state)
        return True

    def words(self, now: int) -> str:
        return f"an operator sets node {self.node} to {self.state}"


def may_drain(field: Field, name: str) -> bool:
    return field.spoiled is None and not any(
        node.has_left for node in field.nodes.values() if node.name != name
    )


class AddGroup(Fault, frozen=True, array_like=True, tag="add_group"):
    group: str

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(f"x{field.rng.randint(1, 3)}")

    def do(self, field: Field) -> None:
        field.command("add_group", self.group, 3, encode_class(KINDS["counter"]), GroupConfig(), ())

    def words(self, now: int) -> str:
        return f"an operator adds group {self.group}"


class RemoveGroup(AddGroup, frozen=True, array_like=True, tag="remove_group"):
    def do(self, field: Field) -> None:
        field.command("remove_group", self.group)

    def words(self, now: int) -> str:
        return f"an operator removes group {self.group}"


class Calm(Fault, frozen=True, array_like=True, tag="calm"):
    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls()

    def do(self, field: Field) -> None:
        field.calm()

    def words(self, now: int) -> str:
        return "calm: everything runs and is connected again"
