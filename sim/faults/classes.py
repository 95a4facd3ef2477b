"""Code of users' classes that changes: it is deployed on nodes one by one, and groups are switched to it."""

from typing import Any, Self

from fleet.actors.messages.operator import RehearseClass, SwitchClass
from fleet.errors import FleetError
from fleet.objects.class_refs import version_of
from fleet.sim.faults.fault import Fault
from fleet.sim.faults.field import Field
from fleet.sim.world.objects import ENCODED, ENCODED_LATER

CODES = ("both codes", "only the first code", "only the later code", "no code")


class Deploy(Fault, frozen=True, array_like=True, tag="deploy"):
    """Executors that start there from now on, until a calm, load this code. `restarted`: all do at once."""

    node: str
    code: int
    restarted: bool

    @classmethod
    def draw(cls, field: Field) -> Self:
        rng = field.rng
        return cls(field.any().name, rng.choice([0, 1, 1, 2, 2, 2, 3]), rng.random() < 0.5)

    def do(self, field: Field) -> bool:
        node = field.nodes[self.node]
        if not node.executors:
            return False  # its own process has loaded what it has
        node.code = self.code
        if self.restarted and node.process is not None:
            for executor in list(node.process.executors.values()):
                executor.die("it was ended by SIGKILL")
        return True

    def words(self, now: int) -> str:
        how = ", and its executors start again" if self.restarted else ""
        return f"node {self.node} has {CODES[self.code]} of data classes{how}"


class Upgrade(Fault, frozen=True, array_like=True, tag="upgrade"):
    """A group is switched to the later code of its class; `rehearsed`: if a member has tried that."""

    group: str
    rehearsed: bool

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        groups = list(field.groups.kinds)
        return cls(field.rng.choice(groups), field.rng.random() < 0.5) if groups else None

    def do(self, field: Field) -> bool:
        kind = field.groups.kinds.get(self.group)
        if kind is None:
            return False
        admin = field.admin
        switch = SwitchClass(ENCODED_LATER[kind], version_of(ENCODED[kind])[1])

        def tried(value: Any, error: FleetError | None) -> None:
            if error is None:
                admin.ask(switch, self.group, "", lambda value, error: None)

        if self.rehearsed:
            rehearse = RehearseClass(ENCODED_LATER[kind])
            admin.in_turn(lambda: admin.ask(rehearse, self.group, "", tried))
        else:
            admin.in_turn(lambda: tried(None, None))
        return True

    def words(self, now: int) -> str:
        how = ", once it was tried" if self.rehearsed else ""
        return f"an operator switches {self.group} to the later code of its class{how}"
