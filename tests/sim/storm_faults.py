"""The faults of storms, by the names that profiles give them: drawn for who leads and who follows."""

import random
from collections.abc import Callable
from typing import Any

import fleet
from fleet.actors.messages.operator import (
    DemoteMember,
    PromoteMember,
    RemoveMember,
    SkipCommand,
    TransferLeader,
)
from fleet.raft.entries import Halt
from fleet.raft.ids import node_of
from fleet.sim.world.host import SimNode
from fleet.sim.world.timeline import MS
from fleet.storage.keys import SNAPSHOT
from fleet.testing import Sim
from tests.sim.profiles import Profile


class StormFaults:
    sim: Sim
    rng: random.Random
    profile: Profile
    config: fleet.GroupConfig
    handles: dict[str, Any]
    """By client."""
    has_rotten: bool

    def _call(self, count: int) -> None:
        """Each client calls, so many times at most."""
        raise NotImplementedError

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
        self._side_with(nodes)
        self.sim.partition(*nodes)

    def _side_with(self, nodes: list[str]) -> None:
        """Each client reaches these nodes, or the others."""
        cut = self.sim.world.network.weather.cut
        for client in self.handles:
            inside = self.rng.random() < 0.5
            for name in self.sim.nodes:
                if (name in nodes) != inside:
                    cut.update(((client, name), (name, client)))

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
        return self._with(self._pick(True), lambda name: self._cut_ways(name, self.rng.random() < 0.5))

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

    def _kill_executor(self) -> str | None:
        """Whatever it does."""

        def kill(name: str) -> None:
            process = self.sim.nodes[name].process
            for executor in list(process.executors.values()) if process is not None else ():
                executor.die("it was ended by SIGKILL")

        return self._with(self._pick(self.rng.random() < 0.7), kill)

    def _hang_code(self) -> str:
        """The next call never returns on some nodes. Some are cut off before they say so."""
        names = [node_of(member.core.id) for member in self._members() if self.rng.random() < 0.6]
        for name in names:
            self.sim.nodes[name].hangs = 1
        self._call(2)
        self.sim.run(self.rng.choice([0.01, 0.1, 0.3]))
        return " ".join(names)

    def _hang_followers(self) -> str | None:
        """The leader executes what they cannot, and is cut off."""
        for member in self._members(False):
            self.sim.nodes[node_of(member.core.id)].hangs = 1
        self._call(2)
        self.sim.run(self.rng.choice([0.05, 0.2]))
        return self._isolate_leader()

    def _skip(self) -> str | None:
        """An operator does not wait for those that are away, and sees to it that no client was answered."""
        for member in self._members(True):
            halt = member.core.halt
            if halt is not None and not any(self._may_have_told(one, halt) for one in self._members()):
                self._ask_group(SkipCommand(halt.index))
                return f"entry {halt.index}"
        return None

    def _may_have_told(self, member: Any, halt: Halt) -> bool:
        """Whether it executed the command, and may have led since."""
        core = member.core
        was_voted = core.vote == core.id or core.term != core.log.term_at(halt.index)
        return bool(member.object.index >= halt.index and was_voted)

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

    def _ask_group(self, op: Any) -> None:
        client = self.sim.client
        client.in_turn(lambda: client.ask(op, "g", "", lambda value, error: None))

    def _ask(self, op: Any) -> str:
        self._ask_group(op)
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

    def _transfer_and_deafen(self) -> str | None:
        """The old leader hears nothing more, its last words are heard."""
        about, leader = self._transfer(), self._pick(True)
        self.sim.run(self.rng.choice([0.0001, 0.0005, 0.002]))
        if leader is not None:
            self._cut_ways(leader, inward=True)
        return about

    def _cut_ways(self, name: str, inward: bool) -> None:
        others = [other for other in self.sim.nodes if other != name]
        ways = ((other, name) if inward else (name, other) for other in others)
        self.sim.world.network.weather.cut.update(ways)

    def _answer_late(self) -> str | None:
        """A leader hears its followers later and later; then they hear it no more."""

        election_ms = self.config.election_ms

        def delay(name: str) -> None:
            slow_us = self.sim.world.network.weather.slow_us
            self._side_with([name])
            for third in range(1, 9):
                for other in self.sim.nodes:
                    if other != name:
                        slow_us[other, name] = third * election_ms // 3 * MS
                self._call(1)
                self.sim.run(election_ms / 1000)
            self._cut_ways(name, inward=False)
            for _ in range(60):
                self._call(1)
                self.sim.run(election_ms / 15_000)

        return self._with(self._pick(True), delay)

    def _be_eager(self) -> str:
        """One follower has not heard the leader for long when that is cut off, and the other starts again."""
        about = self._part_from_one()
        self.sim.run(self.rng.choice([0.5, 1.4]))
        leader = self._pick(True)
        if leader is not None:
            self.sim.partition(leader)
        for name in list(self.sim.nodes):
            if name != leader and name not in about and self.sim.is_up(name):
                self.sim.restart(name)
        return about

    def _isolate_asleep(self) -> str | None:
        """A leader that nobody calls stands still while it and its clients are cut off."""
        self.sim.run(self.rng.choice([1.5, 3.0]))

        def isolate(name: str) -> None:
            self._side([name])
            self.sim.pause(name, self.rng.choice([0.5, 1.5, 2.5]))
            for _ in range(8):
                self.sim.run(0.3)
                self._call(1)

        return self._with(self._pick(True), isolate)

    def _rot_snapshot(self) -> str | None:
        """The snapshot of a leader, which it meets when it sends it. That ends the storm early."""

        def rot(name: str) -> None:
            part = self.sim.nodes[name].disk.image[self._number_at(name)]
            for key in [key for key in part if key[4] == SNAPSHOT]:
                self.has_rotten = True
                part[key] = part[key][:-1] + bytes([part[key][-1] ^ 1])

        return None if self.has_rotten else self._with(self._pick(True), rot)

    def _err_while_staging(self) -> str:
        """A disk fails for a moment, while a member's own snapshot is written in parts."""

        def staging() -> list[SimNode]:
            found = [(node, node.process.writer) for node in self.sim.nodes.values() if node.process]
            return [
                node for node, writer in found if writer is not None and writer._aside_staging is not None
            ]

        self.sim.run(0.5, lambda: bool(staging()), every=0.001)
        failing = staging()
        for node in failing:
            node.disk.errs = 1.0
        self.sim.run(self.rng.choice([0.005, 0.02]))
        for node in failing:
            node.disk.errs = 0.0
        return " ".join(node.name for node in failing)

    def _fill_and_demote(self) -> str:
        """The leader's disk is full, so that a change is on other disks and not on its own."""
        name = self._pick(True)
        if name is not None:
            self.sim.nodes[name].disk.is_full = True
        return f"{name} {self._demote()}"

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
