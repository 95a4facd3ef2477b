"""Bad days: which faults, how often and how long is drawn anew for every seed (swarm testing).

What is drawn is kept as a list of faults, and a list can be given in the place of the draw.
"""

import random

from fleet.actors.base.settings import LinkSettings
from fleet.sim.faults.field import Field, Groups, clock_moved
from fleet.sim.faults.repair import repair, skip_hangs
from fleet.sim.faults.schedule import KINDS, AnyFault, Occurrence, Plan
from fleet.sim.world.client import SimClient
from fleet.sim.world.timeline import MS
from fleet.sim.world.trace import FAULT
from fleet.sim.world.weather import Weather
from fleet.sim.world.world import World

FAIR_WEATHER_US = (50, 500)
FAIR_SYNC_US = (200, 1_000)


class FaultInjector:
    def __init__(self, world: World, admin: SimClient, groups: Groups, plan: Plan) -> None:
        self.world = world
        self.rng = rng = random.Random(world.rng.getrandbits(64))
        self.weights = [rng.choice([0, 0, 0, 0, 1, 3]) for _ in KINDS]
        self.weights[-1] += 1
        self.pace = rng.choice([100, 400, 1000]) * MS
        self.weather = draw_weather(rng)
        draw_disks(world, rng, plan.has_weather)
        world.network.settings = LinkSettings(buffer_bytes_max=rng.choice([64 << 20, 64 << 20, 4_000]))
        if not plan.has_weather:
            self.weather = Weather(delay_us=FAIR_WEATHER_US)
        self.field = Field(world, admin, groups, rng)
        draw_purge_window(self.field, rng)
        self.planned = None if plan.faults is None else list(plan.faults)
        self.done: list[Occurrence] = []
        """What was done, in order."""
        self.began = 0

    @property
    def is_over(self) -> bool:
        return self.field.is_over

    def begin(self) -> None:
        self.world.network.weather = self.weather
        self.began = self.world.now
        self._next()

    def _next(self) -> None:
        if self.planned is None:
            self.world.after(self.rng.randint(1, 2 * self.pace), self._act)
        elif len(self.done) < len(self.planned):
            self.world.at(self.began + self.planned[len(self.done)].at, self._act)

    def _act(self) -> None:
        if self.is_over:
            return
        if self.planned is None:
            fault = self._draw()
        else:
            fault = self.planned[len(self.done)].fault
        if fault is not None:
            self.do(fault)
        self._next()

    def _draw(self) -> AnyFault | None:
        (kind,) = self.rng.choices(list(KINDS.values()), self.weights)
        return kind.draw(self.field)  # type: ignore[return-value]

    def do(self, fault: AnyFault) -> bool:
        """Now; False when it must not be done, or cannot in this world."""
        self.done.append(Occurrence(self.world.now - self.began, fault))
        self.world.trace(FAULT, getattr(fault, "node", ""), fault.words(self.world.now))
        is_possible = all(name in self.world.nodes for name in fault.node_names)
        is_done = is_possible and fault.do(self.field) is not False
        if not is_done:
            self.world.trace(FAULT, say="(this is not done: not possible here, or beyond repair)")
        return is_done

    def end(self) -> None:
        """No more faults, and clocks that are right again."""
        self.field.calm()
        self.field.is_over = True
        self.world.trace(FAULT, say="all faults end")
        self.world.network.weather = Weather()
        self.world.network.heal()
        for node in self.world.nodes.values():
            node.clock.set_rate(1000)
            node.disk.us_per_kb = 0
            clock_moved(node)
        self.repair()

    def repair(self) -> None:
        repair(self.field)

    def skip_hangs(self) -> None:
        skip_hangs(self.field)


def draw_purge_window(field: Field, rng: random.Random) -> None:
    """After how long nodes that are silent are taken for lost; most clusters are patient."""
    window_ms = rng.choice([600_000, 600_000, 600_000, 2_000, 5_000])
    field.may_shrink = window_ms < 600_000
    for node in field.nodes.values():
        node.purge_after_ms = window_ms


def draw_weather(rng: random.Random) -> Weather:
    return Weather(
        delay_us=(50, rng.choice([200, 2_000, 20_000])),
        late=rng.choice([0, 0, 0.02, 0.1]),
        late_us=rng.choice([50, 500]) * MS,
        breaks=rng.choice([0, 0, 0.002, 0.02]),
        twice=rng.choice([0, 0, 0.05]),
        reorder=rng.choice([0, 0, 0.05]),
        socket_bytes=rng.choice([1 << 20, 1_000]),
    )


def draw_disks(world: World, rng: random.Random, has_weather: bool) -> None:
    """Of all nodes alike: how slow, from what size on a child encodes a state, and for how long."""
    sync_us = rng.choice([(200, 1_000), (500, 10_000), (5_000, 100_000)])
    us_per_kb = rng.choice([0, 0, 1_000, 50_000])
    dump_us = rng.choice([(200, 2_000), (200, 1_000_000)])
    if not has_weather:
        sync_us, us_per_kb = FAIR_SYNC_US, 0
    fork_above = rng.choice([0, 1, 1000])
    inline_bytes_max = rng.choice([1 << 20, 200])
    for node in world.nodes.values():
        node.disk.sync_us, node.disk.us_per_kb = sync_us, us_per_kb
        node.disk.inline_bytes_max = inline_bytes_max
        node.dump_us, node.fork_above_bytes = dump_us, fork_above
