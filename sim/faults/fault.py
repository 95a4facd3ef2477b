"""What a kind of fault is: a class that says how it is drawn, done, told, and made milder.

An instance is one fault as plain values: it can be kept as JSON, shrunk, and done again.
"""

from collections.abc import Container, Iterator
from typing import ClassVar, Self

from msgspec import Struct
from msgspec.structs import replace

from fleet.sim.faults.field import Field
from fleet.sim.world.timeline import MS, S

DURATIONS = ("us", "back_us", "signed_us")
"""Fields that are made shorter. `back_us`: after how long a node is back; None: not before the calm."""
NETWORK, DISK = "network", "disk"
"""Sorts of bands in a diagram."""


class Fault(Struct, frozen=True, array_like=True):
    """Fields called `node` and `other` name nodes, `names` nodes or clients; `steps` begin with a node.

    Invariant: `do` draws nothing, so that the same faults in the same world are the same history.
    """

    band: ClassVar[str] = ""
    """The sort of band that shows a fault which lasts; "" for one that does not, or shows otherwise."""

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        """One that could happen now; None: none."""
        raise NotImplementedError

    def do(self, field: Field) -> bool | None:
        """False: nothing was done, since it must not be, or cannot in this world."""
        raise NotImplementedError

    def words(self, now: int) -> str:
        """A sentence without its moment, which is `now`."""
        raise NotImplementedError

    def lasts_until(self, now: int) -> int | None:
        """None: until the next calm."""
        return None

    @property
    def what(self) -> str:
        tag = self.__struct_config__.tag
        assert isinstance(tag, str)
        return tag

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes without which there is nothing to do."""
        found = (getattr(self, name, None) for name in ("node", "other"))
        return tuple(name for name in found if name is not None)

    def milder(self) -> Iterator[Self]:
        """The same with a shorter duration, the shortest first."""
        for name in DURATIONS:
            value: int | None = getattr(self, name, None)
            if value is None:
                continue
            for less in (value // 16, value // 4, value // 2):
                less -= less % MS
                if 0 < abs(less) < abs(value):
                    yield replace(self, **{name: less})

    def among(self, nodes: Container[str]) -> Self | None:
        """What is left of it in a fleet of these nodes."""
        if not all(name in nodes for name in self.node_names):
            return None
        steps = getattr(self, "steps", None)
        if steps is None:
            return self
        return replace(self, steps=tuple(step for step in steps if step[0] in nodes))


# -- words -------------------------------------------------------------------------------------------


def moment(at: int) -> str:
    return f"{at / S:.3f} s"


def span(us: int) -> str:
    return f"{us / MS:.0f} ms" if abs(us) < S else f"{us / S:.3f} s"


def listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def return_in_words(now: int, back_us: int | None) -> str:
    return "it stays away" if back_us is None else f"it is back at {moment(now + back_us)}"


def steps_in_words(now: int, steps: tuple[tuple[str, int], ...] | tuple[tuple[str, int, int], ...]) -> str:
    return ", ".join(f"{step[0]} at {moment(now + step[1])}" for step in steps)
