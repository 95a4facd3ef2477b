"""One group in a small fleet, under a storm of one kind: a second of virtual time costs little, so that many
seeds of what is rare elsewhere are looked at. The profiles are in `tests.sim.profiles`.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

import fleet
from fleet.actors.messages.operator import DemoteMember, PromoteMember, RemoveMember, TransferLeader
from fleet.errors import FleetError
from fleet.objects.payload import decode_call
from fleet.raft.ids import node_of
from fleet.sim.checks.history import UNKNOWN, Operation
from fleet.sim.checks.linear import Linearizable, check
from fleet.sim.checks.models import All, Append, ListAppend
from fleet.sim.world.timeline import MS
from fleet.testing import Sim
from tests.sim.profiles import CONFIG, PROFILES


class Ledger(fleet.Data):
    values: list[int] = []
    ballast: bytes = bytes(2500)
    """So that a snapshot is sent in several chunks."""

    @fleet.command
    def append(self, value: int) -> None:
        self.values.append(value)

    @fleet.command
    def spoil(self, value: int) -> None:
        """Fails halfway."""
        self.values.append(value)
        raise ValueError("half done")

    @fleet.query
    def all(self) -> tuple[int, ...]:
        return tuple(self.values)


TURNS_MAX = 100_000
"""No seed that ends well comes near."""


class Storm:
    def __init__(self, profile: str, seed: int) -> None:
        self.rng = rng = random.Random(f"{profile}/{seed}")
        self.profile = PROFILES[profile]
        self.sim = sim = Sim(seed, rng.choice(self.profile.nodes))
        sim.world.turns_max = TURNS_MAX
        drawn = {
            name: rng.choice(value) if isinstance(value, list) else value
            for name, value in (CONFIG | self.profile.config).items()
        }
        config = fleet.GroupConfig(**drawn)
        replicas = min(len(sim.nodes), rng.choice([3, 5]))
        if self.profile.forks:
            self._let_fork()
        for node in sim.nodes.values():
            for name, value in self.profile.disk.items():
                setattr(node.disk, name, value)
            node.manager.store.inline_bytes_max = node.disk.inline_bytes_max
        names = ("c1", "c2", "c3")
        self.handles = {
            name: sim.group("g", Ledger, replicas=replicas, config=config, client=name) for name in names
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

    # -- faults -------------------------------------------------------------------------------------

    def _members(self, leads: bool | None = None) -> list[Any]:
        members = self.sim.world.members_of("g")
        return [m for m in members if leads is None or m.core.is_leader == leads]

    def _pick(self, leads: bool) -> str | None:
        found = self._members(leads)
        return node_of(self.rng.choice(found).core.id) if found else None

    def _with(self, name: str | None, act: Callable[[str], object]) -> str | None:
        if name is not None:
            act(name)
        return name

    def _isolate_leader(self) -> str | None:
        return self._with(self._pick(True), self.sim.partition)

    def _isolate_follower(self) -> str | None:
        return self._with(self._pick(False), self.sim.partition)

    def _isolate_leader_with_client(self) -> str | None:
        return self._with(self._pick(True), lambda name: self._side([name]))

    def _side(self, nodes: list[str]) -> None:
        """Clients are on either side."""
        cut = self.sim.world.network.weather.cut
        for client in self.handles:
            inside = self.rng.random() < 0.5
            for name in self.sim.nodes:
                if (name in nodes) != inside:
                    cut.update(((client, name), (name, client)))
        self.sim.partition(*nodes)

    def _forsake_leader(self) -> str | None:
        """With every client, until its links are dead; it returns alone."""

        def forsake(name: str) -> None:
            self.sim.partition(name, *self.handles)
            for _ in range(2):
                self._call(self.profile.burst)
                self.sim.run(0.02)
            self.sim.run(6.5)
            cut = self.sim.world.network.weather.cut
            cut.difference_update([way for way in cut if not self.handles.keys() & set(way)])
            self.sim.world.network.heal()
            self.sim.run(self.rng.choice([0.03, 0.1, 0.5]))

        return self._with(self._pick(True), forsake)

    def _split(self) -> str:
        nodes = list(self.sim.nodes)
        side = self.rng.sample(nodes, self.rng.randint(1, len(nodes) // 2))
        self._side(side)
        return " ".join(side)

    def _one_way(self) -> str | None:
        def cut(name: str) -> None:
            inward = self.rng.random() < 0.5
            for other in self.sim.nodes:
                if other != name:
                    way = (other, name) if inward else (name, other)
                    self.sim.world.network.weather.cut.add(way)

        return self._with(self._pick(True), cut)

    def _kill_leader(self) -> str | None:
        return self._with(self._pick(True), lambda name: self.sim.kill(name, self.rng.random() < 0.3))

    def _kill_follower(self) -> str | None:
        return self._with(self._pick(False), lambda name: self.sim.kill(name, self.rng.random() < 0.3))

    def _restart_follower(self) -> str | None:
        return self._with(self._pick(False), self.sim.restart)

    def _power_all(self) -> None:
        for node in self.sim.nodes.values():
            node.kill(power=True)
        for node in self.sim.nodes.values():
            self.sim.world.after(self.rng.randint(1, 500 * MS), node.start)

    def _revive(self) -> str:
        """Everything that is down."""
        down = [name for name in self.sim.nodes if not self.sim.is_up(name)]
        for name in down:
            self.sim.nodes[name].start()
        return " ".join(down)

    def _heal(self) -> None:
        self.sim.heal()

    def _wait(self) -> None:
        """Sometimes until links die, and what is on the way with them."""
        self.sim.run(self.rng.choice([0.5, 2.0, 6.0]))

    def _rest(self) -> None:
        """Nobody calls for so long that the group sleeps, if it can."""
        self.sim.run(self.rng.choice([0.5, 1.5, 5.0]))

    def _pause(self) -> str | None:
        """A node stands still, for longer than others take for its silence."""
        seconds = self.rng.choice([0.2, 1.0, 3.0])
        return self._with(self._pick(self.rng.random() < 0.7), lambda name: self.sim.pause(name, seconds))

    def _slow(self) -> str | None:
        extra = self.rng.choice([0.05, 0.15, 0.25])
        return self._with(self._pick(self.rng.random() < 0.5), lambda name: self.sim.slow(name, extra))

    def _hang(self) -> str | None:
        return self._with(self._pick(self.rng.random() < 0.7), lambda name: self.sim.hang(name, 1.0))

    def _busy(self) -> str | None:
        def busy(name: str) -> None:
            self.sim.nodes[name].busy_until = self.sim.world.now + 2000 * MS

        return self._with(self._pick(self.rng.random() < 0.5), busy)

    def _fork(self) -> str | None:
        """Fails half of the time, or does so no more."""

        def fork(name: str) -> None:
            node = self.sim.nodes[name]
            node.forks_fail = 0.5 - node.forks_fail

        return self._with(self._pick(self.rng.random() < 0.5), fork)

    def _err(self) -> str | None:
        def err(name: str) -> None:
            self.sim.nodes[name].disk.errs = 0.3

        return self._with(self._pick(self.rng.random() < 0.5), err)

    def _rot(self) -> str | None:
        """One node's records, once; then it is started again. What takes an operator ends the storm early."""
        if self.has_rotten:
            return None
        name = self._pick(False)
        if name is not None:
            self.has_rotten = True
            disk, number = self.sim.nodes[name].disk, self._number_at(name)
            for key in self.rng.choices(sorted(disk.image[number]), k=4):
                disk.flip(key, self.rng.randrange(1000), self.rng.randrange(8))
            self.sim.restart(name)
        return name

    def _number_at(self, name: str) -> int:
        return next(int(m.number) for m in self._members() if node_of(m.core.id) == name)

    def _ask(self, op: Any) -> str:
        client = self.sim.client
        client.in_turn(lambda: client.ask(op, "g", "", lambda value, error: None))
        return f"{type(op).__name__} {op.member}"

    def _transfer(self) -> str | None:
        found = self._members(False)
        return self._ask(TransferLeader(self.rng.choice(found).core.id)) if found else None

    def _transfer_and_isolate(self) -> str | None:
        """The old leader is cut off just when its successor was told."""
        about, leader = self._transfer(), self._pick(True)
        self.sim.run(self.rng.choice([0.001, 0.002, 0.005]))
        if leader is not None:
            self.sim.partition(leader)
        return about

    def _change(self, op: type, learners: bool) -> str | None:
        leading = self._members(True)
        if not leading:
            return None
        members = leading[0].core.membership.current
        others = [m for m in (members.learners if learners else members.voters) if m != leading[0].core.id]
        return self._ask(op(self.rng.choice(others))) if others else None

    def _change_twice(self) -> str:
        return f"{self._demote()} {self._promote() or self._demote()}"

    def _isolate_and_change(self) -> str:
        """The change is in one log, and in no other."""
        return f"{self._isolate_leader()} {self._demote()}"

    def _part_from_one(self) -> str:
        """The leader and one follower do not hear each other; everybody else hears both."""
        one, other = self._pick(True), self._pick(False)
        if one is not None and other is not None:
            self.sim.world.network.weather.cut.update(((one, other), (other, one)))
        return f"{one} {other}"

    def _demote(self) -> str | None:
        return self._change(DemoteMember, learners=False)

    def _promote(self) -> str | None:
        return self._change(PromoteMember, learners=True)

    def _remove(self) -> str | None:
        """As long as a quorum of the rest is there; another one is brought in."""
        return self._change(RemoveMember, learners=self.rng.random() < 0.5)


def run_storm(profile: str, seed: int) -> None:
    """Raises what is wrong."""
    Storm(profile, seed).run()
