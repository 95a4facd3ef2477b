"""Faults of executors: they are killed, and users' code in them hangs or ends them."""

from typing import Self

from fleet.sim.faults.fault import Fault, span
from fleet.sim.faults.field import Field
from fleet.sim.world.timeline import MS


class KillExecutor(Fault, frozen=True, array_like=True, tag="kill_executor"):
    """Whatever it does. New ones may take their time to start, until a calm."""

    node: str
    start_us: int = 0

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([0, 0, 0, 8_000 * MS]))

    def do(self, field: Field) -> bool:
        host = field.nodes[self.node]
        host.start_us, process = self.start_us, host.process
        if process is None or not process.executors:
            return False
        for executor in list(process.executors.values()):
            field.world.mark("an executor is killed")
            executor.die("it was ended by SIGKILL")
        return True

    def words(self, now: int) -> str:
        how = f", and new ones start {span(self.start_us)} later" if self.start_us else ""
        return f"the executors of node {self.node} are killed{how}"


class HangingCode(Fault, frozen=True, array_like=True, tag="hanging_code"):
    """The next call of a user's method on that node never returns; elsewhere it does."""

    node: str
    times: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([1, 1, 1, 2, 3]))

    def do(self, field: Field) -> None:
        field.nodes[self.node].hangs = self.times

    def words(self, now: int) -> str:
        return f"on node {self.node} the next {self.times} methods of users never return"


class FatalCode(Fault, frozen=True, array_like=True, tag="fatal_code"):
    """The next calls of users' methods on that node end their executors."""

    node: str
    times: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([1, 1, 2, 3]))

    def do(self, field: Field) -> None:
        field.nodes[self.node].dies = self.times

    def words(self, now: int) -> str:
        return f"on node {self.node} the next {self.times} methods of users end their executors"
