"""What a simulated second costs: five nodes, ten groups of three, clients, and no faults.

Figures are of the processor's time: another load beside it does not count. `python -m cProfile -s tottime -m
tests.benchmarks simulation` says where it goes.

How fast it could be: a virtual second of this load is 60 commands, 40 reads and 100 heartbeats of groups.
The steps of the cores alone, with no actors, network, disks and checks at all, take 6 ms for them (160
virtual seconds a second, CPython 3.11 on a shared machine), so 500 is out of reach by a factor of three
before the first message is carried. The fleet takes about 5,300 messages of actors in 1,280 turns for it.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from fleet.cluster.state import CLUSTER_GROUP
from fleet.objects.class_refs import encode_class
from fleet.raft.codec import decode_messages, encode_messages
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, HardState, Members, SnapshotMeta
from fleet.raft.events import Persisted, Propose, ReadQuery, Tick
from fleet.raft.ids import MemberId
from fleet.raft.restart import start_core
from fleet.sim.checks.invariants import Invariants
from fleet.sim.search.workload import Groups, Load
from fleet.sim.world.objects import KINDS
from fleet.sim.world.timeline import S
from fleet.sim.world.world import World
from tests.benchmarks.figures import Figures, Row, Scale

NODES = 5
GROUPS = 10
CLIENTS = 5
OPERATIONS_PER_S = 100
READS = 0.4
SECONDS = 10
"""Virtual ones of each round."""
TRIES = 5


class Fleet:
    """Founded and served, on virtual time."""

    def __init__(
        self, world: World, nodes: int = NODES, groups: int = GROUPS, clients: int = CLIENTS
    ) -> None:
        self.world = world
        for number in range(1, nodes + 1):
            node = world.add_node(f"n{number}", f"z{number % 3}")
            node.join = ("n1:7400",) if number > 1 else ()
            node.start()
        self.clients = [world.add_client(f"c{number}") for number in range(1, clients + 1)]
        world.run(60 * S, lambda: len(world.members_of(CLUSTER_GROUP)) == nodes)
        self.kinds = {f"g{number}": list(KINDS)[number % 2] for number in range(groups)}
        for group, kind in self.kinds.items():
            args = (group, 3, encode_class(KINDS[kind]), GroupConfig(), ())
            self.call(CLUSTER_GROUP, "add_group", args)
        assert world.run(60 * S, self.is_served)
        self.asked = self.told = 0
        self.calls_at = 0
        """Nobody calls when it is 0."""
        self.draw = Load(world, "c0", Groups(world), S, reads=READS)._draw

    def call(self, group: str, method: str, args: tuple[Any, ...]) -> None:
        told: list[Any] = []
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
        client = self.clients[self.asked % len(self.clients)]
        group = f"g{self.asked % len(self.kinds)}"
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


def second_s(fleet: Fleet, rounds: int) -> float:
    """Processor seconds of one virtual second."""
    return statistics.median(fleet.seconds(SECONDS) / SECONDS for _ in range(rounds))


# -- what no simulator of these members can go below --------------------------------------------------


class Cores:
    """Three bare members: no actors, no disks, no network, every write durable at once."""

    def __init__(self) -> None:
        start = SnapshotMeta(
            0, 0, Members((MemberId("a"), MemberId("b"), MemberId("c"))), GroupConfig(), 0, 0
        )
        self.cores = {
            name: start_core(MemberId(name), 0, random.Random(name), HardState(), start, ()) for name in "abc"
        }
        self.now = 3000
        self.is_encoding = False
        leader = self.cores["a"]
        leader.step(self.now, Tick())
        self.pump()
        assert leader.is_leader

    def pump(self) -> None:
        """Carry everything to everyone until nobody has anything to say."""
        waiting = list(self.cores.values())
        while waiting:
            core = waiting.pop()
            while (ready := core.take_ready()) is not None:
                if ready.write is not None:
                    core.step(self.now, Persisted(ready.write.seq))
                for message in (*ready.send_now, *ready.send_after):
                    if self.is_encoding:
                        (message,) = decode_messages(encode_messages([message]))
                    other = self.cores[message.dst]
                    other.step(self.now, message)
                    waiting.append(other)

    def command(self) -> None:
        self.cores["a"].step(self.now, Propose(1, (Commands(1, 1, 0, 0, (b"x" * 40,)),)))
        self.pump()

    def read(self) -> None:
        self.cores["a"].step(self.now, ReadQuery(1))
        self.pump()

    def heartbeat(self) -> None:
        self.now += GroupConfig().heartbeat_ms
        self.cores["a"].step(self.now, Tick())
        self.pump()

    def cost(self, act: Callable[[], None], count: int = 2000) -> float:
        """Microseconds."""
        costs = []
        for _ in range(TRIES):
            began = time.process_time()
            for _ in range(count):
                act()
            costs.append((time.process_time() - began) * 1e6 / count)
        return statistics.median(costs)


def floor() -> Iterator[Row]:
    """The steps of the cores alone, for the same second: whatever else is spent comes on top."""
    for is_encoding in (False, True):
        cores = Cores()
        cores.is_encoding = is_encoding
        command, read, beat = cores.cost(cores.command), cores.cost(cores.read), cores.cost(cores.heartbeat)
        second = OPERATIONS_PER_S * ((1 - READS) * command + READS * read)
        second += GROUPS * 1000 / GroupConfig().heartbeat_ms * beat
        what = "bare cores, messages encoded" if is_encoding else "bare cores"
        yield Row(f"{what}: a command", {"each_us": command})
        yield Row(f"{what}: a read", {"each_us": read})
        yield Row(f"{what}: a heartbeat of a group", {"each_us": beat})
        yield Row(f"{what}: the same load", {"virtual_s_per_s": 1e6 / second})


def loaded(rounds: int) -> Iterator[Row]:
    fleet = Fleet(World(1))
    world = fleet.world
    fleet.seconds(SECONDS)
    idle = second_s(fleet, rounds)
    fleet.load(True)
    fleet.seconds(SECONDS)
    turns, frames, asked = world.turns, world.network.frames, fleet.asked
    busy = second_s(fleet, rounds)
    virtual = rounds * SECONDS
    turns, frames, asked = world.turns - turns, world.network.frames - frames, fleet.asked - asked
    assert fleet.told >= fleet.asked - 10
    blind = patch.multiple(Invariants, look_at=lambda *_: None, written=lambda *_: None)
    with blind:  # from here on they would know too little
        unwatched = second_s(fleet, rounds)
    many: Figures = {"turns_per_s": turns / virtual, "frames_per_s": frames / virtual}
    yield Row("with operations", {"virtual_s_per_s": 1 / busy, "each_us": busy * 1e6} | many)
    yield Row("idle", {"virtual_s_per_s": 1 / idle, "each_us": idle * 1e6})
    yield Row("an operation", {"each_us": (busy - idle) * 1e6 / OPERATIONS_PER_S})
    yield Row("invariants, of a second with operations", {"each_us": (busy - unwatched) * 1e6})
    yield Row("a turn", {"each_us": busy * virtual * 1e6 / turns})


def rows(scale: Scale) -> Iterator[Row]:
    """Virtual seconds a second, with operations and idle, and what bare cores would take."""
    yield from loaded(scale.rounds)
    yield from floor()
