"""Faults of clocks: a wrong rate, and jumps."""

from typing import Self

from fleet.sim.faults.fault import Fault, span
from fleet.sim.faults.field import Field, clock_moved
from fleet.sim.world.process import DAY_US
from fleet.sim.world.timeline import MS, S


class Rate(Fault, frozen=True, array_like=True, tag="rate"):
    node: str
    per_mille: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([960, 1000, 1040]))

    def do(self, field: Field) -> None:
        node = field.nodes[self.node]
        node.clock.set_rate(self.per_mille)
        clock_moved(node)

    def words(self, now: int) -> str:
        return f"the clock of node {self.node} runs at {self.per_mille / 1000:.1%} of true speed"


class Jump(Fault, frozen=True, array_like=True, tag="jump"):
    node: str
    us: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.randint(1, 3000 * MS))

    def do(self, field: Field) -> None:
        node = field.nodes[self.node]
        node.clock.jump(self.us)
        clock_moved(node)

    def words(self, now: int) -> str:
        return f"the clock of node {self.node} jumps ahead by {span(self.us)}"


class JumpWall(Fault, frozen=True, array_like=True, tag="jump_wall"):
    node: str
    signed_us: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        most = field.rng.choice([3600 * S, DAY_US])
        return cls(field.any().name, field.rng.randint(-most, most))

    def do(self, field: Field) -> None:
        field.nodes[self.node].clock.jump_wall(self.signed_us)

    def words(self, now: int) -> str:
        return f"the wall clock of node {self.node} is set off by {span(self.signed_us)}"
