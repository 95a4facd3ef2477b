"""What a simulated second costs: five nodes, ten groups of three, clients, and no faults. From the checkout:

    python tests/benchmarks/bench_sim.py            processor time: another load beside it does not count
    python tests/benchmarks/bench_sim.py profile    where it goes
"""

import cProfile
import platform
import pstats
import statistics
import sys
import time
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fleet.cluster import CLUSTER_GROUP  # noqa: E402
from fleet.payload import encode_class  # noqa: E402
from fleet.raft.config import GroupConfig  # noqa: E402
from fleet.sim.invariants import Invariants  # noqa: E402
from fleet.sim.workload import KINDS, Load  # noqa: E402
from fleet.sim.world import S, World  # noqa: E402

NODES = 5
GROUPS = 10
CLIENTS = 5
OPERATIONS_PER_S = 100
READS = 0.4
ROUNDS = 5
SECONDS = 10
"""Virtual ones of each round."""


class Fleet:
    """Founded and served, on virtual time."""

    def __init__(self, seed: int = 1) -> None:
        self.world = world = World(seed)
        for number in range(1, NODES + 1):
            node = world.add_node(f"n{number}", f"z{number % 3}")
            node.join = ("n1:7400",) if number > 1 else ()
            node.start()
        self.clients = [world.add_client(f"c{number}") for number in range(1, CLIENTS + 1)]
        world.run(60 * S, lambda: len(world.members_of(CLUSTER_GROUP)) == NODES)
        self.kinds = {f"g{number}": list(KINDS)[number % 2] for number in range(GROUPS)}
        for group, kind in self.kinds.items():
            args = (group, 3, encode_class(KINDS[kind]), GroupConfig(), ())
            self.call(CLUSTER_GROUP, "add_group", args)
        assert world.run(60 * S, self.is_served)
        self.asked = self.told = 0
        self.calls_at = 0
        """Nobody calls when it is 0."""
        self.draw = Load(world, "c0", {}, {}, S, reads=READS)._draw

    def call(self, group: str, method: str, args: tuple) -> None:
        told: list = []
        client = self.clients[0]
        answered = lambda value, error: told.append(error)  # noqa: E731
        client.in_turn(lambda: client.call(group, method, args, False, 10_000, answered))
        assert self.world.run(20 * S, lambda: bool(told)) and told == [None], told

    def is_served(self) -> bool:
        members = [self.world.members_of(group) for group in self.kinds]
        return all(len(some) == 3 and any(one.core.is_leader for one in some) for some in members)

    def next(self) -> None:
        """One operation of one client on one group, each in its turn, whether the last is answered or not."""
        if not self.calls_at:
            return
        self.asked += 1
        client = self.clients[self.asked % CLIENTS]
        group = f"g{self.asked % GROUPS}"
        _, method, args, is_query = self.draw(self.kinds[group])

        def answered(value: object, error: object) -> None:
            assert error is None, error
            self.told += 1

        client.in_turn(lambda: client.call(group, method, args, is_query, 10_000, answered))
        self.world.after(S // OPERATIONS_PER_S, self.next)

    def load(self, is_on: bool) -> None:
        self.calls_at = int(is_on)
        if is_on:
            self.next()

    def seconds(self, virtual: int) -> float:
        """Of the processor, for so many virtual ones."""
        began = time.process_time()
        self.world.run(virtual * S)
        return time.process_time() - began


def measured(fleet: Fleet) -> float:
    """Processor seconds of one virtual second."""
    return statistics.median(fleet.seconds(SECONDS) / SECONDS for _ in range(ROUNDS))


def show(what: str, figure: float, unit: str) -> None:
    print(f"{what:<58}{figure:10.1f} {unit}", flush=True)


def main() -> None:
    print(
        f"Python {platform.python_version()}, {platform.machine()}; {NODES} nodes, {GROUPS} groups x 3, "
        f"{OPERATIONS_PER_S} operations a virtual second, {1 - READS:.0%} of them commands",
        flush=True,
    )
    fleet = Fleet()
    world = fleet.world
    fleet.seconds(SECONDS)
    idle = measured(fleet)
    fleet.load(True)
    fleet.seconds(SECONDS)
    turns, frames, asked = world.turns, world.network.frames, fleet.asked
    busy = measured(fleet)
    virtual = ROUNDS * SECONDS
    turns, frames, asked = world.turns - turns, world.network.frames - frames, fleet.asked - asked
    assert fleet.told >= fleet.asked - 10
    blind = patch.multiple(Invariants, look_at=lambda *_: None, written=lambda *_: None)
    with blind:  # from here on they would know too little
        unwatched = measured(fleet)
    show("with operations", 1 / busy, "virtual s a second")
    show("idle", 1 / idle, "virtual s a second")
    show("an operation", (busy - idle) * 1e6 / OPERATIONS_PER_S, "us")
    show("idle, of a virtual second", idle * 1e6, "us")
    show("invariants, of a virtual second with operations", (busy - unwatched) * 1e6, "us")
    show("turns, with operations", turns / virtual, "a virtual s")
    show("frames, with operations", frames / virtual, "a virtual s")
    show("a turn", busy * virtual * 1e6 / turns, "us")


def profile() -> None:
    fleet = Fleet()
    for is_on in (False, True):
        fleet.load(is_on)
        profiler = cProfile.Profile(time.process_time)
        profiler.enable()
        fleet.seconds(SECONDS)
        profiler.disable()
        print("with operations" if is_on else "idle")
        pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    profile() if "profile" in sys.argv[1:] else main()
