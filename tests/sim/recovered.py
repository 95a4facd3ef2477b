"""A fleet that loses the majority of its disks among calls and faults, and is recovered: each group goes on
with what the log of its source holds, on the survivors and on new disks; a lost disk that returns is refused.
"""

import random
import sys
from typing import Any

from fleet.actors.node.stopped import apply_recovery, read_report
from fleet.cluster.recovery import CONFLICT, LOST, RECOVERED, RecoveryPlan, make_plan
from fleet.cluster.recovery_reports import NodeReport
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import StorageFault
from fleet.objects.applier import Applier
from fleet.objects.executor import ObjectExecutor
from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, NodeName
from fleet.sim.checks.invariants import Invariants
from fleet.sim.world.disk import DiskStore, SimDisk
from fleet.sim.world.host import CLUSTER
from fleet.testing import Sim
from tests.sim.scenes import Log, config

NODES, SURVIVORS = 5, 2
ROUNDS = 4
GROUPS = {"all": 5, "some": 3}
"""With their members: of the second some lose their majority, and others keep it."""
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
        self.logs = {
            name: self.sim.group(name, Log, replicas=count, config=settings) for name, count in GROUPS.items()
        }
        self.number = 0
        self.expected: dict[str, tuple[int, ...]] = {}
        """By group that is recovered: what the log of its source holds."""

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
            log = self.logs[self.rng.choice([*GROUPS])]
            log.append.options(timeout=5.0).submit(self.number)
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
                self.expected[one.group] = held = self.held(reports[one.source], one.group)
                self.keeps(one.group, held, list(reports.values()))
        for name in survivors:
            self.apply(plan, name, reports[name])
        again = make_plan([read_report(self.store(name)) for name in survivors], [])
        sim.world.need(not again.with_action(RECOVERED), f"a recovery leaves something to be done: {again}")
        sim.world.invariants = Invariants(sim.world)  # what only lost disks had is given up
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

    def keeps(self, group: str, held: tuple[int, ...], reports: list[NodeReport]) -> None:
        """Whatever a survivor knows to be committed goes on."""
        for report in reports:
            for member in report.members:
                if member.group == group and member.holds_data:
                    known = self.held(report, group, member.commit)
                    why = f"{group} goes on with {held}, {report.node} knows {known} to be committed"
                    self.sim.world.need(held[: len(known)] == known, why)

    def held(self, report: NodeReport, group: str, until: Index = sys.maxsize) -> tuple[int, ...]:
        """What the log of its member holds, up to that entry."""
        store = self.store(report.node)
        (member,) = (one for one in report.members if one.group == group)
        loaded = store.load(member.number)
        applier = Applier(ObjectExecutor(Log), GroupConfig())
        if loaded.snapshot is not None:
            data = store.read_snapshot(member.number, loaded.snapshot.index, 0, loaded.snapshot.size)
            assert data is not None
            applier.restore(data)
        for entry in loaded.entries:
            if applier.index < entry.index <= until:
                applier.apply(entry)
        state: Any = getattr(applier.executor, "_object")
        return tuple(state.values)

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
        sim = self.sim
        gone = {one.group for one in plan.with_action(LOST)}
        for name, count in GROUPS.items():
            if name in gone:
                continue
            log = sim.group(name, Log, client="after")
            log.append.options(timeout=SETTLED_S)(0)
            values = log.all.options(timeout=SETTLED_S)()
            sim.world.need(len(values) == len(set(values)), f"{name}: a value was appended twice: {values}")
            expected = (*self.expected.get(name, values[:-1]), 0)
            sim.world.need(values == expected, f"{name} goes on with {values}, its source has {expected}")
            whole = sim.run(SETTLED_S, lambda: self.is_whole(name, count))
            sim.world.need(whole, f"{name} has not its {count} members back")

    def is_whole(self, group: str, count: int) -> bool:
        members = self.sim.world.members_of(group)
        voters = {len(one.core.membership.current.voters) for one in members}
        return len(members) == count and voters == {count} and len({one.object.index for one in members}) == 1


def run_recovered(seed: int) -> None:
    """Raises what is wrong."""
    Recovered(seed).run()
