"""One group in a small fleet, under a storm of one kind: a second of virtual time costs little, so that many
seeds of what is rare elsewhere are looked at. The profiles are in `tests.sim.profiles`.
"""

import random
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

import fleet
from fleet.errors import FleetError
from fleet.objects.payload import decode_call
from fleet.sim.checks.history import UNKNOWN, Operation
from fleet.sim.checks.linear import Linearizable, check
from fleet.sim.checks.models import All, Append, ListAppend
from fleet.sim.search.settling import waits_in_vain
from fleet.sim.world.user_code import works
from fleet.testing import Sim
from tests.sim.profiles import CONFIG, PROFILES
from tests.sim.storm_faults import StormFaults


class Ledger(fleet.Data):
    values: list[int] = []
    ballast: bytes = bytes(2500)
    """So that a snapshot is sent in several chunks."""

    @fleet.command
    def append(self, value: int) -> None:
        works()
        self.values.append(value)

    @fleet.command
    def spoil(self, value: int) -> None:
        """Fails halfway."""
        self.values.append(value)
        raise ValueError("half done")

    @fleet.query
    def all(self) -> tuple[int, ...]:
        works()
        return tuple(self.values)


TURNS_MAX = 100_000
"""No seed that ends well comes near."""


class Storm(StormFaults):
    def __init__(self, profile: str, seed: int) -> None:
        self.rng = rng = random.Random(f"{profile}/{seed}")
        self.profile = PROFILES[profile]
        executors = self.profile.executors[seed % len(self.profile.executors)]
        self.sim = sim = Sim(seed, rng.choice(self.profile.nodes), executors=executors)
        sim.world.turns_max = TURNS_MAX
        drawn = {
            name: rng.choice(value) if isinstance(value, list) else value
            for name, value in (CONFIG | self.profile.config).items()
        }
        self.config = config = fleet.GroupConfig(**drawn)
        replicas = min(len(sim.nodes), rng.choice([3, 5]))
        if self.profile.forks:
            self._let_fork()
        for node in sim.nodes.values():
            for name, value in self.profile.disk.items():
                setattr(node.disk, name, value)
            for name, value in self.profile.host.items():
                setattr(node, name, value)
            node.manager.store.inline_bytes_max = node.disk.inline_bytes_max
        names = ("c1", "c2", "c3")
        self.handles = {
            name: sim.group(
                "g", Ledger, replicas=replicas, config=config, persist=self.profile.persist, client=name
            )
            for name in names
        }
        self.number = 0
        self.has_rotten = False
        self.pending: dict[str, list[Any]] = {name: [] for name in names}
        self.lines: list[str] = []

    def run(self) -> "Storm":
        sim, rng, faults = self.sim, self.rng, self.profile.faults
        sim.weather(**self.profile.weather)
        for _ in range(self.profile.steps):
            self._call(rng.randint(0, self.profile.burst))
            (fault,) = rng.choices(list(faults), list(faults.values()))
            about = getattr(self, "_" + fault.replace(" ", "_"))()
            self.lines.append(f"{sim.now:.3f} {fault} {about or ''}")
            sim.run(rng.choice([0.005, 0.05, 0.3, 0.7]))
        self._settle()
        return self

    def _call(self, count: int) -> None:
        """One open read, or a few open commands, a client: histories stay easy to judge."""
        rng = self.rng
        for name, handle in self.handles.items():
            open_calls = self.pending[name] = [reply for reply in self.pending[name] if not reply.done()]
            if open_calls and (len(open_calls) > 4 or rng.random() < 0.5):
                continue
            if rng.random() < self.profile.reads:
                self.pending[name].append(handle.all.options(timeout=2.0).submit())
                continue
            for _ in range(rng.randint(0, count)):
                self.number += 1
                method = handle.spoil if rng.random() < 0.05 else handle.append
                self.pending[name].append(method.options(timeout=2.0).submit(self.number))

    def _settle(self) -> None:
        sim = self.sim
        sim.weather()
        sim.heal()
        for node in sim.nodes.values():
            node.hangs = 0
        if self.has_rotten:
            return
        replies = [reply for replies in self.pending.values() for reply in replies]
        sim._until(lambda: all(reply.done() for reply in replies), "calls are never answered")
        handle = self.handles["c1"]
        deadline = sim.now + 60
        while True:
            try:
                handle.all()
                break
            except FleetError as error:
                sim.world.need(sim.now < deadline, f"g cannot be read in the end: {error}")
        verdict = check(list(self._history()), ListAppend(), steps_max=100_000)
        sim.world.need(isinstance(verdict, Linearizable), f"group g: {verdict}")
        values = handle.all()
        sim.world.need(len(values) == len(set(values)), "a value was appended twice")
        sim.world.need(sim.states_equal("g"), "members of g differ in the end")
        sim.run(1.0)
        for node in sim.nodes.values():
            for hosted in node.manager.hosted_members.by_number.values():
                waits = waits_in_vain(node.manager, hosted)
                sim.world.need(not waits, f"{hosted.member} waits for a snapshot that nobody writes")

    def _history(self) -> Iterator[Operation]:
        """In the words of a model that is quick to search: a spoiled append is none."""
        for operation in self.sim.calls("g").history.operations():
            method, args, _ = decode_call(operation.input.payload)
            output = operation.output if operation.output is UNKNOWN else operation.output[1]
            if method != "spoil":
                asked = All() if method == "all" else Append(*args)
                yield replace(operation, input=asked, output=output)

    def _let_fork(self) -> None:
        for node in self.sim.nodes.values():
            node.fork_above_bytes, node.dump_us = 1, (200, 200_000)
            node.manager.start = replace(node.manager.start, fork_above_bytes=1)


def run_storm(profile: str, seed: int) -> None:
    """Raises what is wrong."""
    Storm(profile, seed).run()
