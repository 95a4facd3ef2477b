"""What a change may not make dearer, as ratios and counts, which hold on a slow and busy machine too.

Processor time is compared within one run, and latencies never. The counts are a simulated world's: exact.
"""

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from typing import Any
from unittest.mock import patch

import pytest

from fleet.actors.member.actor import Member
from fleet.actors.runtime.actor import GuardedActor
from fleet.interfaces import Write
from fleet.raft.core import Core
from fleet.raft.ready import Ready
from fleet.sim.world.process import Process
from fleet.sim.world.timeline import MS, S
from fleet.sim.world.world import World
from tests.benchmarks.load import Load
from tests.benchmarks.nodes import WARM_S, Bench, three_nodes
from tests.benchmarks.parts.simulation import Fleet
from tests.benchmarks.parts.throughput import GROUP, ways
from tests.support.classes import Counter

TOGETHER = 256
GROUPS = 60
CALLS: dict[str, tuple[str, tuple[object, ...]]] = {"counter": ("add", (1,)), "register": ("write", (1,))}
"""A command for each kind of object in the simulated groups."""
REPLICAS = 3
SECONDS = 1.0


class CountingWorld(World):
    def __init__(self) -> None:
        super().__init__(1)
        self.commits = 0
        """Synced transactions with entries, on all nodes."""
        self.entries = 0

    def written(self, process: Process, writes: Sequence[Write]) -> None:
        super().written(process, writes)
        entries = sum(len(write.entries) for write in writes)
        self.entries += entries
        self.commits += entries > 0


class Counts:
    """Of calls that a client sends in one turn, until all are answered."""

    def __init__(self, fleet: Fleet, count: int, is_read: bool = False) -> None:
        world, client = fleet.world, fleet.clients[0]
        assert isinstance(world, CountingWorld)
        told: list[object] = []
        frames, commits, entries = world.network.frames, world.commits, world.entries

        def send() -> None:
            for _ in range(count):
                method, args = ("get", ()) if is_read else ("add", (1,))
                client.call("g0", method, args, is_read, 10_000, lambda value, error: told.append(error))

        client.in_turn(send)
        assert world.run(10 * S, lambda: len(told) == count, every=MS) and set(told) == {None}, told
        self.frames = world.network.frames - frames
        self.commits = world.commits - commits
        self.entries = world.entries - entries


@pytest.fixture(scope="module")
def simulated() -> Fleet:
    fleet = Fleet(CountingWorld(), nodes=REPLICAS, groups=1, clients=1)
    Counts(fleet, 1)  # it opens the client's session
    return fleet


def test_commands_that_are_sent_together_share_entries_syncs_and_frames(simulated: Fleet) -> None:
    alone, together = Counts(simulated, 1), Counts(simulated, TOGETHER)
    assert 2 <= alone.entries <= REPLICAS  # the slower follower's may come after the answer
    assert together.entries <= 2 * REPLICAS
    assert together.commits <= 2 * REPLICAS
    assert together.frames <= 3 * alone.frames


def test_reads_that_are_sent_together_share_a_round_and_write_nothing(simulated: Fleet) -> None:
    alone, together = Counts(simulated, 1, is_read=True), Counts(simulated, TOGETHER, is_read=True)
    assert together.entries == together.commits == 0
    assert together.frames <= 3 * alone.frames


@pytest.fixture(scope="module")
def among_many() -> "Handled":
    """What a command costs whose entry no other one shares, in a turn with many of its kind."""
    return Handled(Fleet(CountingWorld(), nodes=REPLICAS, groups=GROUPS, clients=1))


class Handled:
    """Messages that actors of three nodes and a client have handled, for each command of a turn with one to
    each group."""

    def __init__(self, fleet: Fleet) -> None:
        self.tally: Tally[tuple[str, str]] = Tally()
        self._ask_each_group(fleet)  # it opens the sessions
        self.turns = self.looks = 0
        """Of members: those with something to carry out, and how often they looked for it."""
        receive, carry_out, tally = GuardedActor.receiveMessage, Member._carry_out, self.tally
        take_ready = Core.take_ready

        def counted(actor: GuardedActor, message: Any, sender: Any) -> Any:
            tally[type(actor).__name__, type(message).__name__] += 1
            return receive(actor, message, sender)

        def turned(member: Member, ready: Ready) -> None:
            self.turns += 1
            carry_out(member, ready)

        def looked(core: Core) -> Ready | None:
            self.looks += 1
            return take_ready(core)

        with (
            patch.object(GuardedActor, "receiveMessage", counted),
            patch.object(Member, "_carry_out", turned),
            patch.object(Core, "take_ready", looked),
        ):
            self._ask_each_group(fleet)

    def _ask_each_group(self, fleet: Fleet) -> None:
        told: list[object] = []
        client = fleet.clients[0]

        def send() -> None:
            for group, kind in fleet.kinds.items():
                method, args = CALLS[kind]
                client.call(group, method, args, False, 10_000, lambda value, error: told.append(error))

        client.in_turn(send)
        assert fleet.world.run(10 * S, lambda: len(told) == GROUPS, every=MS) and set(told) == {None}, told

    def each(self, actor: str = "", message: str = "") -> float:
        """For one command; "": of any actor, any message."""
        counts = (
            count
            for (one, kind), count in self.tally.items()
            if one.startswith(actor) and kind == (message or kind)
        )
        return sum(counts) / GROUPS


def test_a_command_among_many_groups_takes_four_turns_of_members_and_some_twenty_messages(
    among_many: Handled,
) -> None:
    """Its leader takes a turn when it proposes and one when it is committed, each follower one."""
    assert among_many.each("Member", "EndTurn") <= 4.2
    assert among_many.turns <= 4.2 * GROUPS and among_many.looks <= 4.2 * GROUPS
    assert among_many.each("Disk", "Write") <= REPLICAS
    assert among_many.each() <= 21.5


def test_mail_between_members_of_two_nodes_shares_a_message(among_many: Handled) -> None:
    """Four mails are written for a command, as three messages to registries, which tell each other those of a
    turn in one."""
    assert among_many.each("Registry", "PeerMail") + among_many.each("Registry", "PeerMails") <= 3.5
    assert among_many.each("Member", "PeerMail") <= 4.2


@pytest.fixture(scope="module")
def costs() -> Iterator["Costs"]:
    with three_nodes() as bench:
        yield Costs(bench)


class Costs:
    """Microseconds of the processor, of three nodes and the client, for one call."""

    def __init__(self, bench: Bench) -> None:
        (counter,) = bench.create([GROUP], Counter)
        self.bench = bench
        self.commands, self.reads = ways([counter.add]), ways([counter.get])

    def __call__(self, ways: dict[str, Any], way: str, callers: int) -> float:
        ways[way](callers, WARM_S)
        meter = self.bench.meter(GROUP)
        load: Load = ways[way](callers, SECONDS, meter)
        return meter.all_us(load.count)["cpu_us"]


def test_a_command_among_many_costs_a_fraction_of_a_lone_one(costs: Costs) -> None:
    alone = costs(costs.commands, "blocking", 1)
    assert costs(costs.commands, "pipelined", TOGETHER) < alone / 16
    assert costs(costs.commands, "blocking", 64) < alone / 4


def test_a_read_among_many_costs_a_fraction_of_a_lone_one(costs: Costs) -> None:
    alone = costs(costs.reads, "blocking", 1)
    assert costs(costs.reads, "pipelined", TOGETHER) < alone / 10


def test_a_read_costs_less_than_a_command(costs: Costs) -> None:
    command, read = (costs(ways, "blocking", 1) for ways in (costs.commands, costs.reads))
    assert read < command / 2
