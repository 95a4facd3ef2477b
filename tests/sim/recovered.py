"""A fleet that loses the majority of its disks among calls and faults, and is recovered: each group goes on
with what the log of its source holds, on the survivors and on new disks; a lost disk that returns is refused.

So do its keys, reminders, effects and watches. A group in memory only is lost, says so, and can be made anew.
"""

import random
import sys
from contextlib import suppress
from typing import Any

from fleet.actors.node.stopped import apply_recovery, read_report
from fleet.cluster.recovery import CONFLICT, LOST, RECOVERED, RecoveryPlan, make_plan
from fleet.cluster.recovery_reports import NodeReport
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError, StorageFault
from fleet.objects.applier import Applier
from fleet.objects.class_refs import encode_class
from fleet.objects.executor import ObjectExecutor
from fleet.raft.config import GroupConfig
from fleet.raft.group_events import Position
from fleet.raft.ids import Index, NodeName
from fleet.sim.checks.appliers import applier_of
from fleet.sim.checks.hooks import HookJournal
from fleet.sim.checks.invariants import Invariants
from fleet.sim.world.disk import DiskStore, SimDisk
from fleet.sim.world.host import CLUSTER
from fleet.testing import Sim
from tests.sim.recovered_load import APPENDED, RANG, Journal, Noted, RecoveredLoad, key_of, told_by, unrung
from tests.sim.scenes import ask_cluster, config

NODES, SURVIVORS = 5, 2
ROUNDS = 4
GROUPS = {"all": 5, "some": 3}
"""With their members: of the second some lose their majority, and others keep it."""
MEMORY = "memory"
SETTLED_S = 60.0
ERRS = 0.5
"""How likely a disk fails a transaction of a recovery, which is then repeated."""


class Recovered:
    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(f"recovered/{seed}")
        self.sim = Sim(seed, NODES, executors=rng.choice([0, 1]))
        settings = config(
            lease_reads=rng.random() < 0.5,
            batch_entries_max=rng.choice([1, 1024]),
            snapshot_floor_bytes=rng.choice([200, 600, 1 << 20]),
            snapshot_factor=1,
        )
        self.loads = {
            name: RecoveredLoad(self.sim, rng, name, replicas=count, config=settings)
            for name, count in GROUPS.items()
        }
        self.loads[MEMORY] = RecoveredLoad(self.sim, rng, MEMORY, config=settings, persist=False)
        self.number = 0
        self.sources: dict[str, Applier] = {}
        """By group that is recovered: what the log of its source holds."""
        self.effects: dict[str, list[Position]] = {}
        """By group, those that its hooks were told of before."""

    def run(self) -> None:
        sim, rng = self.sim, self.rng
        sim.weather(late=rng.choice([0.0, 0.1]), breaks=rng.choice([0.0, 0.01]))
        for _ in range(ROUNDS):
            self.add(rng.randint(1, 10))
            rng.choice([self.nothing, self.restart, self.cut])()
        lost = rng.sample([*sim.nodes], NODES - SURVIVORS)
        self.end_all()
        plan = self.recover([NodeName(name) for name in lost])
        self.begin_again(lost)
        self.judge(plan)

    # -- what happens ------------------------------------------------------------------------------

    def add(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.loads[self.rng.choice([*self.loads])].act(self.number)
            self.sim.run(self.rng.choice([0.01, 0.1]))

    def nothing(self) -> None:
        self.sim.run(1.0)

    def restart(self) -> None:
        self.sim.restart(self.rng.choice([*self.sim.nodes]))
        self.sim.run(self.rng.choice([0.1, 2.0]))

    def cut(self) -> None:
        self.sim.partition(*self.rng.sample([*self.sim.nodes], self.rng.choice([1, 2])))
        self.add(self.rng.randint(0, 10))
        if self.rng.random() < 0.7:
            self.sim.heal_links()

    def end_all(self) -> None:
        """All at once, or one after the other."""
        for name in self.rng.sample([*self.sim.nodes], NODES):
            self.sim.kill(name, power=self.rng.random() < 0.5)
            self.sim.run(self.rng.choice([0.001, 0.001, 0.5]))

    # -- the recovery ------------------------------------------------------------------------------

    def recover(self, lost: list[NodeName]) -> RecoveryPlan:
        """As `fleet recover` on the host of each survivor."""
        sim = self.sim
        survivors = [name for name in sim.nodes if name not in lost]
        reports = {name: read_report(self.store(name)) for name in survivors}
        plan = make_plan(list(reports.values()), lost)
        sim.world.need(plan.recovers_cluster and not plan.with_action(CONFLICT), f"a wrong plan: {plan}")
        for one in plan.with_action(RECOVERED):
            if one.group != CLUSTER_GROUP:
                self.sources[one.group] = held = self.held(reports[one.source], one.group)
                self.keeps(one.group, noted(held), list(reports.values()))
        for name in survivors:
            self.apply(plan, name, reports[name])
        again = make_plan([read_report(self.store(name)) for name in survivors], [])
        sim.world.need(not again.with_action(RECOVERED), f"a recovery leaves something to be done: {again}")
        self.effects = sim.world.hooks.effects
        sim.world.invariants = Invariants(sim.world)  # what only lost disks had is given up
        sim.world.hooks = HookJournal(sim.world)
        return plan

    def apply(self, plan: RecoveryPlan, name: str, report: NodeReport) -> None:
        disk = self.sim.nodes[name].disk
        disk.errs, is_done = ERRS, False
        while not is_done:
            try:
                apply_recovery(self.store(name), plan, report, 1_000_000)
                is_done = True
            except StorageFault:
                same = read_report(self.store(name)) == report
                self.sim.world.need(same, f"a recovery of {name} failed, and changed something")
        disk.errs = 0.0

    def store(self, name: str) -> DiskStore:
        return DiskStore(self.sim.nodes[name].disk, CLUSTER, name, self.rng)

    def keeps(self, group: str, held: tuple[Noted, ...], reports: list[NodeReport]) -> None:
        """Whatever a survivor knows to be committed goes on."""
        for report in reports:
            for member in report.members:
                if member.group == group and member.holds_data:
                    known = noted(self.held(report, group, member.commit))
                    why = f"{group} goes on with {held}, {report.node} knows {known} to be committed"
                    self.sim.world.need(held[: len(known)] == known, why)

    def held(self, report: NodeReport, group: str, until: Index = sys.maxsize) -> Applier:
        """What the log of its member holds, up to that entry."""
        store = self.store(report.node)
        (member,) = (one for one in report.members if one.group == group)
        loaded = store.load(member.number)
        applier = Applier(ObjectExecutor(Journal), GroupConfig())
        if loaded.snapshot is not None:
            data = store.read_snapshot(member.number, loaded.snapshot.index, 0, loaded.snapshot.size)
            assert data is not None
            applier.restore(data)
        for entry in loaded.entries:
            if applier.index < entry.index <= until:
                applier.apply(entry)
        return applier

    def begin_again(self, lost: list[str]) -> None:
        """The survivors, then new disks in the place of the lost ones; one of these returns for a while."""
        sim = self.sim
        sim.heal_links()
        sim.weather()
        survivors = [node for node in sim.nodes.values() if node.name not in lost]
        for node in sim.nodes.values():
            node.join = tuple(one.endpoint for one in survivors if one is not node)
        for node in survivors:
            node.start()
        returns = sim.nodes[self.rng.choice(lost)]
        if self.rng.random() < 0.5:
            returns.start()
            returns.is_ending = True
            refused = sim.run(SETTLED_S, lambda: not returns.is_up)
            sim.world.need(refused, f"{returns.name} returns with a disk that was given up, and stays")
        for name in lost:
            sim.nodes[name].kill()
            sim.nodes[name].disk = SimDisk(incarnation=sim.nodes[name].disk.incarnation)
            sim.nodes[name].replace_disk()
            sim.nodes[name].start()

    # -- what is judged ----------------------------------------------------------------------------

    def judge(self, plan: RecoveryPlan) -> None:
        gone = {one.group for one in plan.with_action(LOST)}
        self.sim.world.need(MEMORY in gone, "a group in memory only is not lost")
        for name, load in self.loads.items():
            load.judge()
            if name not in gone:
                self.judge_group(name)
        self.judge_memory()

    def judge_group(self, name: str) -> None:
        sim, source = self.sim, self.sources.get(name)
        group = sim.group(name, Journal, client="after")
        stale = group.all.stale(max_age=None).options(timeout=SETTLED_S)()
        held = noted(source) if source is not None else stale
        is_older = held[: len(stale)] == stale
        sim.world.need(
            is_older or goes_on_with(held, stale), f"{name} tells of {stale}, its source has {held}"
        )
        seen = group.append.options(timeout=SETTLED_S).with_revision(0)
        told = group.all.at_least(seen.revision).options(timeout=SETTLED_S)()
        sim.world.need((APPENDED, 0) in told, f"{name} told of {told} at revision {seen.revision}")
        before = tuple(one for one in told if one != (APPENDED, 0))
        sim.world.need(goes_on_with(held, before), f"{name} goes on with {told}, its source has {held}")
        self.judge_keys(name, group, told)
        with suppress(FleetError):
            former = self.loads[name].handles[0].append.options(timeout=1.0)(0)
            sim.world.need(False, f"{name} answers a client of the lost cluster: {former}")
        settled = sim.run(SETTLED_S, lambda: self.has_rung(name) and self.has_told(name, source))
        told = group.all.options(timeout=SETTLED_S)()
        sim.world.need(
            settled, f"{name}: reminders or effects are missing: {told}, {sim.world.hooks.effects}"
        )
        sim.world.need(len(told) == len(set(told)), f"{name}: something was done twice: {told}")
        with group.watch(since=0) as watch:
            first = [watch.next(SETTLED_S) for _ in told]
            events = (*((event.kind, event.value) for event in first), *told_by(watch, 0.3))
        sim.world.need(events == told, f"{name} has {told}, and told of {events}")
        whole = sim.run(SETTLED_S, lambda: self.is_whole(name, GROUPS[name]))
        sim.world.need(whole, f"{name} has not its {GROUPS[name]} members back")

    def judge_keys(self, name: str, group: Journal, told: tuple[Noted, ...]) -> None:
        """What the lost fleet was asked for, again."""
        for value in self.rng.sample(range(1, self.number + 1), min(5, self.number)):
            key = key_of(value)
            if key is not None:
                place = group.append.options(timeout=SETTLED_S, key=key)(value)
                was = told.index((APPENDED, value)) + 1 if (APPENDED, value) in told else place
                self.sim.world.need(place == was, f"{name}: {value} at {was} is told to be at {place}")

    def has_rung(self, name: str) -> bool:
        """Whether every reminder that was set was called, on all members."""
        appliers = [applier_of(member) for member in self.sim.world.members_of(name)]
        return bool(appliers) and all(one is not None and not unrung(noted(one)) for one in appliers)

    def has_told(self, name: str, source: Applier | None) -> bool:
        """Whether hooks were told of every effect, since the recovery if its log does not acknowledge it."""
        appliers = [applier_of(member) for member in self.sim.world.members_of(name)]
        if not appliers or any(one is None or one.events.pending for one in appliers):
            return False
        before, after = set(self.effects.get(name, ())), set(self.sim.world.hooks.effects.get(name, ()))
        done = source.events.done if source is not None else (0, 0)
        known = after if source is not None else before | after
        emitted = {event.position for one in appliers if one is not None for event in one.events.events}
        return emitted <= known | {one for one in before if one <= done}

    def judge_memory(self) -> None:
        sim = self.sim
        group = sim.group(MEMORY, Journal, client="after")
        sim.client = sim.world.add_client("operator")
        with suppress(FleetError):
            told = group.append.options(timeout=1.0)(0)
            sim.world.need(False, f"a group that was in memory only goes on: {told}")
        ask_cluster(sim, "remove_group", MEMORY)
        ask_cluster(sim, "add_group", MEMORY, 3, encode_class(Journal), GroupConfig(), (), (), True)
        sim.world.need(
            group.append.options(timeout=SETTLED_S)(1) == 1, "a group in memory only begins with something"
        )

    def is_whole(self, group: str, count: int) -> bool:
        members = self.sim.world.members_of(group)
        voters = {len(one.core.membership.current.voters) for one in members}
        return len(members) == count and voters == {count} and len({one.object.index for one in members}) == 1


def noted(applier: Applier) -> tuple[Noted, ...]:
    state: Any = getattr(applier.executor, "_object")
    return tuple((what, value) for what, value in state.noted)


def goes_on_with(held: tuple[Noted, ...], told: tuple[Noted, ...]) -> bool:
    """Whether `told` has all of that, and behind it only reminders that were called since then."""
    more = told[len(held) :]
    return told[: len(held)] == held and all(what == RANG for what, _ in more)


def run_recovered(seed: int) -> None:
    """Raises what is wrong."""
    Recovered(seed).run()
