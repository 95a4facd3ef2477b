"""Faults of disks: they err, fill up, hang, rot, and are lost."""

from typing import Self

from fleet.sim.faults.fault import DISK, Fault, moment, return_in_words, span
from fleet.sim.faults.field import Field
from fleet.sim.world.timeline import MS


class Err(Fault, frozen=True, array_like=True, tag="err"):
    node: str
    chance: float
    band = DISK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([0.1, 1.0]))

    def do(self, field: Field) -> None:
        field.nodes[self.node].disk.errs = self.chance

    def words(self, now: int) -> str:
        return f"the disk of node {self.node} fails {self.chance:.0%} of all writes"


class Full(Fault, frozen=True, array_like=True, tag="full"):
    node: str
    band = DISK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name)

    def do(self, field: Field) -> None:
        field.nodes[self.node].disk.is_full = True

    def words(self, now: int) -> str:
        return f"the disk of node {self.node} is full"


class Hang(Fault, frozen=True, array_like=True, tag="hang"):
    node: str
    us: int
    band = DISK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.randint(1, 8000 * MS))

    def do(self, field: Field) -> None:
        field.nodes[self.node].disk.hangs_until = field.world.now + self.us

    def lasts_until(self, now: int) -> int:
        return now + self.us

    def words(self, now: int) -> str:
        return f"the disk of node {self.node} hangs until {moment(now + self.us)}"


class SlowDisk(Fault, frozen=True, array_like=True, tag="slow_disk"):
    node: str
    us: int
    band = DISK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([20, 100, 400]) * MS)

    def do(self, field: Field) -> None:
        field.nodes[self.node].disk.slower_us = self.us

    def words(self, now: int) -> str:
        return f"every transaction on the disk of node {self.node} takes {span(self.us)} longer"


class Flip(Fault, frozen=True, array_like=True, tag="flip"):
    """A flipped bit is found when its record is read, at the latest after a restart."""

    node: str
    key: str
    """In hexadecimal."""
    byte: int
    bit: int

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        node = field.any()
        if not field.may_spoil(node):
            return None
        field.spoiled = node.name
        place = node.disk.draw_bit(field.rng, own=not node.is_up and field.rng.random() < 0.3)
        return None if place is None else cls(node.name, *place)

    def do(self, field: Field) -> bool:
        node = field.nodes[self.node]
        if not field.may_spoil(node):
            return False
        field.spoiled = self.node
        return node.disk.flip(bytes.fromhex(self.key), self.byte, self.bit)

    def words(self, now: int) -> str:
        return f"a bit of a record on the disk of node {self.node} turns over"


class Wipe(Fault, frozen=True, array_like=True, tag="wipe"):
    node: str
    back_us: int

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        node = field.any()
        return cls(node.name, field.rng.randint(1, 2000 * MS)) if field.may_wipe(node) else None

    def do(self, field: Field) -> bool:
        node = field.nodes[self.node]
        if not field.may_wipe(node):
            return False
        field.spoiled = self.node
        node.kill()
        field.replace_disk(node)
        field.world.after(self.back_us, field.start, node)
        return True

    def words(self, now: int) -> str:
        return f"node {self.node} loses its disk; {return_in_words(now, self.back_us)} with an empty one"
