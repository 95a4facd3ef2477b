"""A small fleet at rest, to which one thing after the other happens. Each must be over in bounded time, and
cost no more than it has to: no leader where a majority hears it, no node that lives. Which things, on what
settings and when is drawn. Other seeds judge what is wrong; these judge what is slow, restless or lost for
good, too.
"""

import random
from collections.abc import Callable
from concurrent.futures import Future

import fleet
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import NotDone
from fleet.objects.context import ctx
from fleet.sim.search.settling import troubles
from fleet.sim.world.timeline import MS, S
from fleet.testing import Sim
from tests.sim import happenings
from tests.sim.scenes import config as config_of

TURNS_MAX = 200_000
"""No seed that ends well comes near."""
SETTLE_US = 60 * S
CLOCK_S = 60.0
"""The time of a group moves with that of the world, within this."""
HAPPENINGS = 4
"""Of each seed."""


class Diary(fleet.Data):
    values: list[int] = []

    @fleet.command
    def append(self, value: int) -> float:
        self.values.append(value)
        return ctx.now

    @fleet.command
    def put(self, value: bytes) -> None:
        self.big = value

    @fleet.query
    def all(self) -> tuple[int, ...]:
        return tuple(self.values)


class OneByOne:
    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(f"one by one/{seed}")
        self.sim = sim = Sim(seed, rng.choice([3, 3, 4]))
        sim.world.turns_max = TURNS_MAX
        config = config_of(
            storage_timeout_ms=5_000,
            lease_reads=rng.random() < 0.5,
            announce_commits=rng.random() < 0.5,
            session_ttl_ms=rng.choice([1_000, 3_600_000]),
        )
        self.names = [f"g{number}" for number in range(rng.randint(1, 4))]
        self.handles = {name: sim.group(name, Diary, config=config) for name in self.names}
        self.number = 0
        self.done: dict[str, set[int]] = {name: set() for name in self.names}
        self.not_done: dict[str, set[int]] = {name: set() for name in self.names}
        self.stamps: dict[str, tuple[float, float]] = {}
        """By group, its time at the last command, and the world's."""
        self.lines: list[str] = []

    def run(self) -> "OneByOne":
        sim, rng = self.sim, self.rng
        self.settle("the beginning")
        for happen in rng.choices(happenings.ALL, k=HAPPENINGS):
            about = happen.__name__.replace("_", " ")
            self.lines.append(f"{sim.now:.3f} {about}")
            sim.run(rng.choice([0.2, 3.0, 8.0]))
            if happen in happenings.HARMLESS:
                before = self.leading()
                happen(self)
                sim.heal()
                sim.run(2.0)
                after = self.leading()
                sim.world.need(after == before, f"{about}: {before} became {after}")
            else:
                happen(self)
            self.settle(about)
        return self

    # -- what is judged ----------------------------------------------------------------------------

    def settle(self, about: str) -> None:
        sim = self.sim
        sim.heal()
        names = [*self.names]
        settled = sim.world.run(SETTLE_US, lambda: next(troubles(sim.world, names), None) is None, 200 * MS)
        sim.world.need(settled, f"after {about}: {[*troubles(sim.world, names)]}")
        strangers = [name for name, node in sim.nodes.items() if not node.manager.cluster.cluster_uid()]
        sim.world.need(not strangers, f"after {about}: the disks of {strangers} belong to no cluster")
        for name in names:
            self.append(name)
            values = self.handles[name].all()
            sim.world.need(len(values) == len(set(values)), f"{name}: a value was appended twice")
            sim.world.need(self.done[name] <= {*values}, f"{name}: a value is lost")
            sim.world.need(not self.not_done[name] & {*values}, f"{name}: what was not done is done")

    def leading(self) -> dict[str, tuple[str | None, int]]:
        """By group, its leader, and the newest term of any member."""
        members = {name: self.sim.world.members_of(name) for name in (CLUSTER_GROUP, *self.names)}
        return {
            name: (self.sim.leader(name), max(one.core.term for one in here))
            for name, here in members.items()
        }

    def need(self, within: float, holds: Callable[[], bool], otherwise: str) -> None:
        self.sim.world.need(self.sim.run(within, holds), otherwise)

    # -- for what happens --------------------------------------------------------------------------

    def append(self, name: str, client: str = "c1") -> None:
        """Which must succeed, at about the time of the world."""
        sim, value = self.sim, self.next_value()
        handle = sim.group(name, Diary, client=client)
        stamp = handle.append.options(timeout=10.0)(value)
        self.done[name].add(value)
        before, then = self.stamps.get(name, (stamp, sim.now))
        is_even = abs((stamp - before) - (sim.now - then)) < CLOCK_S
        sim.world.need(is_even, f"{name}: its time went from {before} to {stamp} in {sim.now - then} s")
        self.stamps[name] = stamp, sim.now

    def begin_append(self, name: str, timeout: float) -> Future[float]:
        value = self.next_value()
        reply = self.handles[name].append.options(timeout=timeout).submit(value)

        def note(done: Future[float]) -> None:
            error = done.exception()
            if error is None:
                self.done[name].add(value)
            elif isinstance(error, NotDone):
                self.not_done[name].add(value)

        reply.add_done_callback(note)
        return reply

    def next_value(self) -> int:
        self.number += 1
        return self.number


def run_one_by_one(seed: int) -> None:
    """Raises what is wrong."""
    OneByOne(seed).run()
