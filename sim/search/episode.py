"""One seed from beginning to end: founding, load, faults, recovery, judgement."""

import random
from typing import Any

from msgspec.structs import replace

from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError, GroupHalted
from fleet.sim.checks import pasts
from fleet.sim.checks.appliers import applier_of
from fleet.sim.checks.linear import Linearizable, check
from fleet.sim.checks.placement import Redundancy
from fleet.sim.faults.inject import FAIR_WEATHER_US, FaultInjector
from fleet.sim.faults.schedule import Plan
from fleet.sim.faults.settings import draw_config, draw_keep
from fleet.sim.search.alarm_load import GROUP as ALARM_GROUP
from fleet.sim.search.alarm_load import SHARE, AlarmLoad
from fleet.sim.search.settling import (
    cluster_of,
    group_troubles,
    newest_cluster,
    state_of,
    troubles,
)
from fleet.sim.search.watch_load import SHARE as WATCHED
from fleet.sim.search.watch_load import WatchLoad
from fleet.sim.search.workload import MODELS, QUESTIONS, Groups, Load
from fleet.sim.world.objects import ENCODED, KINDS
from fleet.sim.world.timeline import MS, S
from fleet.sim.world.world import World

FOUND_US = 30 * S
SETTLE_US = 180 * S
"""Time to recover in, without faults."""
SERVE_TRIES = 3
"""A call may be refused while the client's earlier ones, which nobody waits for, take the group's room."""
STEPS_MAX = 500_000
STEPS_EACH_MAX = 1_000
"""Of the search for an order, and for each operation of a long history: one of 7,000 took 100 for each. A
history that takes longer fails the seed, too."""


class Episode:
    """`run` raises `Broken` for a violation. A plan may be no more than a seed."""

    def __init__(self, plan: Plan | int, tracing: bool = False) -> None:
        self.plan = plan = Plan(plan) if isinstance(plan, int) else plan
        self.world = World(plan.seed, tracing)
        rng = self.world.rng
        self.rng = random.Random(rng.getrandbits(64))
        drawn = rng.choice([3, 3, 4, 5])
        self._add_nodes(plan.nodes or drawn)
        self.admin = self.world.add_client("admin")
        names = rng.sample(list(KINDS), rng.randint(1, 3))
        kinds = {f"g{number}": kind for number, kind in enumerate(names)}
        self.kinds = {name: kind for name, kind in kinds.items() if name in (plan.groups or kinds)}
        """Of the groups that are there from the beginning."""
        self.groups = Groups(self.world)
        own = random.Random(f"{plan.seed} keys")  # a seed without keys is what it was before there were any
        self.keyed = own.choice([0, 0, 0, 0.1, 0.5])
        """How likely a call has a key."""
        self.config = draw_config(self.rng)
        if self.keyed:
            self.config = replace(self.config, keys_max=own.choice([5, 100_000]))
        self.config = replace(self.config, keep=draw_keep(plan.seed))
        compare_every = random.Random(f"{plan.seed} compare").choice([0, 0, 0, 5])
        if compare_every:  # members compare their states, which nothing here makes differ
            self.config = replace(self.config, compare_every=compare_every)
        self.loads: list[Load] = []
        own = random.Random(f"{plan.seed} reminders")
        self.alarms = AlarmLoad(self.world, self.groups, self.config, own) if own.random() < SHARE else None
        own = random.Random(f"{plan.seed} watches")
        is_watched, group = own.random() < WATCHED, own.choice(list(kinds))
        self.watches: WatchLoad | None = None
        if is_watched and group in self.kinds:
            self.watch(group, own)
        self.injector = FaultInjector(self.world, self.admin, self.groups, plan)
        own = random.Random(f"{plan.seed} memory")
        share = own.choice([0, 0, 0, 0.5, 1])
        self.in_memory = {name for name in kinds if own.random() < share}
        """Groups in memory only."""
        self.injector.field.spares_memory = own.random() < 0.6
        self.redundancy = Redundancy(self.world)
        self.world.invariants.on_change = self.redundancy.on_change
        self.world.invariants.on_view = self.redundancy.look

    def _add_nodes(self, count: int) -> None:
        """Some clusters are founded by one node, others by all at once."""
        world, rng = self.world, self.rng
        by_founders = rng.random() < 0.4
        for number in range(1, count + 1):
            world.add_node(f"n{number}", f"z{number % rng.choice([1, 2, 3])}")
        executors = rng.choice([0, 1, 1, 2])
        for node in world.nodes.values():
            node.executors = executors
        endpoints = tuple(node.endpoint for node in world.nodes.values())
        founders = endpoints[: count - (count + 1) % 2]
        for node in world.nodes.values():
            if by_founders and node.endpoint in founders:
                node.founders = founders
            elif node.endpoint != endpoints[0]:
                node.join = endpoints[:1]

    def watch(self, group: str, rng: random.Random) -> None:
        """Have clients watch this group."""
        self.watches = WatchLoad(self.world, self.groups, group, self.kinds[group], rng)

    # -- parts -------------------------------------------------------------------------------------

    def run(self) -> "Episode":
        self.found()
        self.world.network.weather.delay_us = FAIR_WEATHER_US
        if self.plan.salt:
            self.world.rng.seed(f"{self.plan.seed}/{self.plan.salt}")
        self.begin_load()
        self.injector.begin()
        self.world.run(self.plan.duration_us)
        self.settle()
        self.judge()
        return self

    def found(self) -> None:
        world = self.world
        for node in world.nodes.values():
            world.after(self.rng.randint(0, 300 * MS), node.start)
        founded = world.run(FOUND_US, lambda: self.nodes_known() == len(world.nodes), 100 * MS)
        world.need(founded, "the nodes did not become one cluster")
        for group, kind in self.kinds.items():
            self.add(group, kind)
        if self.alarms is not None:
            self.alarms.add(self.admin)
        served = world.run(FOUND_US, lambda: not any(map(self.trouble_of, self.kinds)), 100 * MS)
        world.need(served, f"groups are not served: {list(map(self.trouble_of, self.kinds))}")

    def nodes_known(self) -> int:
        managers = [node.manager for node in self.world.nodes.values()]
        views = [manager.view for manager in managers if manager is not None and manager.is_serving]
        return min(len(view.nodes) for view in views) if len(views) == len(managers) else 0

    def add(self, group: str, kind: str) -> None:
        told: list[FleetError | None] = []
        args: tuple[Any, ...] = (group, 3, ENCODED[kind], self.config, ())
        args += ((), True) if group in self.in_memory else ()
        call = self.groups.asks("add_group", args)

        def add() -> None:
            self.admin.call(
                CLUSTER_GROUP, "add_group", args, False, 10_000, lambda value, error: told.append(error)
            )

        self.admin.in_turn(add)
        self.world.run(15 * S, lambda: bool(told))
        self.world.need(told == [None], f"group {group} was not added: {told}")
        self.groups.answered(call, None)

    def begin_load(self) -> None:
        drawn = self.rng.randint(3, 6) - 1
        for number in range(1, 1 + min(drawn, drawn if self.plan.clients is None else self.plan.clients)):
            pause = self.rng.choice([5, 50, 200]) * MS
            self.loads.append(Load(self.world, f"c{number}", self.groups, pause, keyed=self.keyed))
        if self.alarms is not None:
            self.alarms.begin()
        if self.watches is not None:
            self.watches.begin()

    def settle(self) -> None:
        """End the faults. Everything must recover by itself in bounded time, and then serve every client."""
        world, injector = self.world, self.injector
        injector.end()
        for load in self.loads:
            load.is_stopping = True
        if self.alarms is not None:
            self.alarms.stop()
        if self.watches is not None:
            self.watches.stop()
        for _ in range(6):
            if world.run(SETTLE_US // 6, self.is_settled, 100 * MS):
                break
            injector.repair()
        world.need(self.is_settled(), f"it does not recover: {self.troubles()}")
        self.serve()
        for group, kind in list(self.groups.kinds.items()):
            if group in self.groups.kinds:  # else an operator has just been told that it may be there or not
                self.read(group, kind)
        rests = world.run(SETTLE_US, lambda: self.is_settled() and self.is_written())
        world.need(rests, f"it does not stay recovered: {self.troubles()}")

    def serve(self) -> None:
        """Every call must succeed now; at the latest when what clients gave up is no longer sent again."""
        self.world.need(all(map(self.is_served, self.loads)), "calls fail in peace")

    def is_served(self, load: Load) -> bool:
        for _ in range(SERVE_TRIES):
            failed = load.failed
            load.client.in_turn(load.call_all)
            self.world.run(15 * S, lambda: not load.is_busy, MS)
            if not load.is_busy and load.failed == failed:
                return True
            self.injector.skip_hangs()
            self.world.run(S)
        return False

    def is_settled(self) -> bool:
        if self.world.now % (5 * S) < 100 * MS:
            self.injector.repair()
        if any(load.is_busy for load in self.loads):
            return False
        return next(troubles(self.world, self._names()), None) is None

    def is_written(self) -> bool:
        """Whether each member has on its disk what it knows: it executes what is on a majority of the others'
        before that, and its past is judged by what it has written."""
        members = [member for group in self.groups.kinds for member in self.world.members_of(group)]
        return all(member.core.log.durable == member.core.log.last_index for member in members)

    def troubles(self) -> list[str]:
        found = [f"{load.name} waits" for load in self.loads if load.is_busy]
        if not self.is_written():
            found.append("a disk has not written what its member knows")
        return [*found, *troubles(self.world, self._names())]

    def _names(self) -> list[str]:
        return [*self.groups.kinds, *((ALARM_GROUP,) if self.alarms is not None else ())]

    def trouble_of(self, group: str) -> str:
        """Why a group is not as it should be, "" when it is."""
        cluster = cluster_of(self.world)
        if cluster is None:
            return f"{CLUSTER_GROUP} has no leader"
        return next(group_troubles(self.world, cluster, group), "")

    def read(self, group: str, kind: str) -> None:
        """Read the final state. What clients gave up may reach the group only now, and hang: an operator
        skips that, and reads again."""
        told = self.told_of(group, kind)
        for _ in range(SERVE_TRIES - 1):
            if not isinstance(told, GroupHalted):
                break
            self.injector.skip_hangs()
            self.world.run(S)
            told = self.told_of(group, kind)
        self.world.need(told is None, f"group {group} cannot be read in the end: {told!r}")

    def told_of(self, group: str, kind: str) -> FleetError | None:
        asked, method = QUESTIONS[kind]
        history = self.groups.histories[group]
        told: list[FleetError | None] = []
        call = history.call("admin", group, asked, self.world.now)

        def answered(value: Any, error: FleetError | None) -> None:
            told.append(error)
            if error is None:
                history.done(call, value, self.world.now)

        self.admin.in_turn(lambda: self.admin.call(group, method, (), True, 10_000, answered))
        self.world.need(self.world.run(15 * S, lambda: bool(told)), f"a read of {group} is not answered")
        return told[0]

    # -- judgement ---------------------------------------------------------------------------------

    def judge(self) -> None:
        world = self.world
        for group, kind in list(self.groups.kinds.items()):
            members = world.members_of(group)
            appliers = [applier_of(member) for member in members if member.core.log.last_index]
            dumps = {applier and applier.dump() for applier in appliers}
            world.need(len(dumps) == 1, f"members of {group} differ in the end")
            for member in members:
                past = pasts.objection(member) if member.core.log.last_index else ""
                world.need(not past, past)
            if kind == "list":
                state = state_of(members[0])
                values = state.contents if hasattr(state, "contents") else state.values
                world.need(len(values) == len(set(values)), f"{group}: a value was appended twice")
        if self.alarms is not None:
            self.alarms.judge()
        if self.watches is not None:
            self.watches.judge()
        for group, kind, history in self.groups.all():
            operations = history.operations()
            steps_max = max(STEPS_MAX, STEPS_EACH_MAX * len(operations))
            verdict = check(operations, MODELS[kind], steps_max=steps_max)
            world.need(isinstance(verdict, Linearizable), f"group {group}: {verdict}")
        objection = self.groups.operators.objection(newest_cluster(world).groups, world.now)
        world.need(not objection, objection)

    def as_done(self) -> Plan:
        """The same episode with its faults written out: run again, it is the same."""
        return replace(self.plan, faults=tuple(self.injector.done))

    @property
    def done(self) -> int:
        return sum(load.done for load in self.loads)
