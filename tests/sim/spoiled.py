"""A group of which one member's object is changed behind its back, among restarts, cuts and changes of
leaders: that member halts within the bound, no other ever does, and it is repaired.

Calls are not judged: until the difference is found, a spoiled leader answers from its own state.
"""

import random
from typing import Any

import fleet
from fleet.actors.messages.operator import RepairMember
from fleet.objects.state_digest import digests_of, joined
from fleet.raft.comparing import OF_STATE
from fleet.raft.ids import node_of
from fleet.sim.checks.appliers import applier_of
from fleet.testing import Sim
from tests.sim.scenes import ask, config

ROUNDS = 4
SNAPSHOT_BYTES = (200, 200, 600, 1 << 20)
"""A member soon takes a snapshot behind the entry where its state is found to differ, or it takes none."""
FOUND_S = 20.0
"""A comparison takes some heartbeats, and a member that lags must catch up first."""


class Basket(fleet.Data):
    values: list[int] = []
    names: set[str] = set()

    @fleet.command
    def add(self, value: int) -> int:
        self.values.append(value)
        self.names.add(f"name {value % 20}")
        return len(self.values)

    @fleet.query
    def size(self) -> int:
        return len(self.values)


def take_away(basket: Any) -> None:
    basket.names = basket.names | {"nobody's"}


class Spoiled:
    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(f"spoiled/{seed}")
        count = rng.choice([3, 3, 5])
        self.sim = Sim(seed, count, executors=rng.choice([0, 1]))
        self.every = rng.choice([3, 8])
        self.repairs_itself = rng.random() < 0.3
        settings = config(
            compare_every=self.every,
            auto_repair=self.repairs_itself,
            lease_reads=rng.random() < 0.5,
            snapshot_floor_bytes=rng.choice(SNAPSHOT_BYTES),
            snapshot_factor=1,
        )
        self.basket = self.sim.group("g", Basket, replicas=count, config=settings)
        self.number = 0
        self.spoiled_node = ""

    def run(self) -> None:
        sim, rng = self.sim, self.rng
        sim.weather(late=rng.choice([0.0, 0.1]), breaks=rng.choice([0.0, 0.01]))
        when = rng.randrange(ROUNDS)
        for turn in range(ROUNDS):
            self.add(rng.randint(1, 2 * self.every))
            if turn == when:
                self.spoil()
            self.add(rng.randint(0, self.every))
            rng.choice([self.nothing, self.restart, self.cut, self.hand_over])()
        sim.heal()
        sim.weather()
        self.judge()
        self.repair()

    # -- what happens ------------------------------------------------------------------------------

    def add(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.basket.add.options(timeout=5.0).submit(self.number)
            self.sim.run(self.rng.choice([0.01, 0.1]))

    def spoil(self) -> None:
        members = self.sim.world.members_of("g")
        leaders = [one for one in members if one.core.is_leader]
        chosen = self.rng.choice(leaders if leaders and self.rng.random() < 0.4 else members)
        if self.sim.world.invariants.states.spoil(chosen, take_away):
            self.spoiled_node = node_of(chosen.core.id)

    def nothing(self) -> None:
        self.sim.run(1.0)

    def restart(self) -> None:
        self.sim.restart(self.rng.choice([*self.sim.nodes]))
        self.sim.run(self.rng.choice([0.2, 2.0]))

    def cut(self) -> None:
        self.sim.partition(self.rng.choice([*self.sim.nodes]))
        self.add(self.rng.randint(0, self.every))
        self.sim.heal_links()

    def hand_over(self) -> None:
        self.sim.hand_over(self.rng)
        self.sim.run(0.5)

    # -- what is judged ------------------------------------------------------------------------------

    def judge(self) -> None:
        """Who is not halted has the state of all others; `States.look` watches that no one else halts."""
        sim = self.sim
        for _ in range(3 * self.every):  # the bound: a point, and some more where the first was missed
            self.number += 1
            self.basket.add.options(timeout=30.0)(self.number)
        sim.world.need(sim.run(FOUND_S, self.is_told), f"a state that differs is not found: {self.states()}")

    def states(self) -> dict[str, tuple[bool, bool]]:
        """By node: whether the member executes, and whether it has what it should not."""
        found = {}
        for member in sim_members(self.sim):
            halt, names = member.core.halt, state_of(member).get("names", ())
            wrong = "nobody's" in names
            found[str(node_of(member.core.id))] = (halt is None or halt.place not in OF_STATE, wrong)
        return found

    def is_told(self) -> bool:
        return len(self.states()) == len(self.sim.nodes) and not any(
            executes and wrong for executes, wrong in self.states().values()
        )

    def repair(self) -> None:
        sim = self.sim
        for member in sim_members(sim):
            if member.core.halt is not None and not self.repairs_itself:
                ask(sim, RepairMember(member.core.id), "g", sim.nodes[node_of(member.core.id)].endpoint)

        def is_whole() -> bool:
            return all(executes and not wrong for executes, wrong in self.states().values())

        sim.world.need(sim.run(30.0, is_whole), f"a halted member is not repaired: {self.states()}")
        self.basket.add.options(timeout=30.0)(self.number)
        sim.run(30.0, lambda: len({member.object.index for member in sim_members(sim)}) == 1)
        digests = {joined(digests_of(state_of(member)), 0) for member in sim_members(sim)}
        sim.world.need(len(digests) == 1, "states differ after the repair")


def state_of(member: Any) -> dict[str, Any]:
    applier = applier_of(member)
    executor: Any = applier.executor if applier is not None else None
    return executor.comparable_state() if executor is not None else {}


def sim_members(sim: Sim) -> list[Any]:
    return list(sim.world.members_of("g"))


def run_spoiled(seed: int) -> None:
    """Raises what is wrong."""
    Spoiled(seed).run()
