"""Faults of the network: ways that are cut or slow, links that break, names that lead nowhere."""

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Self

from fleet.sim.faults.fault import NETWORK, Fault, listed, span
from fleet.sim.faults.field import Field, links_of
from fleet.sim.world.timeline import MS

LAST_WORDS_US = 100 * MS


class Split(Fault, frozen=True, array_like=True, tag="split"):
    names: tuple[str, ...]
    band = NETWORK

    @classmethod
    def draw(cls, field: Field) -> Self:
        """Clients are on either side."""
        rng, nodes = field.rng, list(field.nodes)
        some = rng.sample(nodes, rng.randint(1, max(1, len(nodes) // 2)))
        some += [name for name in field.world.clients if rng.random() < 0.5]
        return cls(tuple(some))

    def do(self, field: Field) -> None:
        everyone = field.everyone
        for one in self.names:
            for other in everyone:
                if one in everyone and other not in self.names:
                    field.part(one, other)

    def words(self, now: int) -> str:
        return f"{listed(self.names)} are cut off from everybody else"


class OneWay(Fault, frozen=True, array_like=True, tag="one_way"):
    node: str
    inward: bool
    band = NETWORK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.random() < 0.5)

    def do(self, field: Field) -> None:
        for other in field.nodes:
            if other != self.node:
                field.cut((other, self.node) if self.inward else (self.node, other))

    def words(self, now: int) -> str:
        return f"node {self.node} {'hears no other' if self.inward else 'is not heard by the others'}"


class Partial(Fault, frozen=True, array_like=True, tag="partial"):
    node: str
    other: str
    band = NETWORK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(*field.any_pair())

    def do(self, field: Field) -> None:
        field.part(self.node, self.other)

    def words(self, now: int) -> str:
        return f"nodes {self.node} and {self.other} are cut off from each other"


class Slow(Fault, frozen=True, array_like=True, tag="slow"):
    node: str
    us: int
    band = NETWORK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([20, 200, 2000]) * MS)

    def do(self, field: Field) -> None:
        field.slow(self.node, self.us)

    def words(self, now: int) -> str:
        return f"every message from and to node {self.node} takes {span(self.us)} longer"


class Straggle(Fault, frozen=True, array_like=True, tag="straggle"):
    """A leader's last words come late: after it was cut off from a follower, which may campaign meanwhile."""

    node: str
    other: str
    us: int
    band = NETWORK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(*field.any_pair(), field.rng.choice([200, 500, 1500]) * MS)

    def do(self, field: Field) -> None:
        slow_us = field.world.network.weather.slow_us
        late = [(self.node, other) for other in field.nodes]
        slow_us.update(dict.fromkeys(late, self.us))

        def part() -> None:
            if field.is_over:
                return
            for way in late:
                slow_us.pop(way, None)
            field.part(self.node, self.other)

        field.world.after(LAST_WORDS_US, part)

    def words(self, now: int) -> str:
        late = f"what node {self.node} says for {span(LAST_WORDS_US)} comes {span(self.us)} late"
        return f"{late}; then it and {self.other} are cut off from each other"


class BreakLinks(Fault, frozen=True, array_like=True, tag="break_links"):
    node: str
    sides: tuple[int, ...]
    """At which end each of the node's links breaks, its own (0) or the other (1), in the order in which they
    were made."""

    @classmethod
    def draw(cls, field: Field) -> Self:
        one = field.any()
        return cls(one.name, tuple(field.rng.choice([0, 1]) for _ in links_of(one)))

    def do(self, field: Field) -> None:
        sides: Sequence[int] = self.sides
        for end, side in zip(links_of(field.nodes[self.node]), chain(sides, repeat(0))):
            field.world.network.break_link(end.other if side else end)

    def words(self, now: int) -> str:
        return f"the links of node {self.node} break"


class Resolve(Fault, frozen=True, array_like=True, tag="resolve"):
    node: str
    us: int
    elsewhere: bool
    """To where nobody listens."""
    band = NETWORK

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.randint(1, 3000 * MS), field.rng.random() < 0.3)

    def do(self, field: Field) -> None:
        weather = field.world.network.weather
        weather.names_us[self.node] = self.us
        (weather.misled.add if self.elsewhere else weather.misled.discard)(self.node)

    def words(self, now: int) -> str:
        where = ", and lead elsewhere" if self.elsewhere else ""
        return f"names take {span(self.us)} to resolve on node {self.node}{where}"
