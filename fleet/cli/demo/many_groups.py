"""The run of `fleet demo`: many groups on four nodes; one node is killed, one added, one drained."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import click

from fleet.cli.connection import columns
from fleet.cli.demo.data import Counter
from fleet.cli.demo.load import Load, connect_all, percentile
from fleet.cli.demo.nodes import CLUSTER
from fleet.cli.demo.stage import DemoStage, node_count
from fleet.client.survey import RUNNING, Survey
from fleet.errors import FleetError
from fleet.raft.ids import NodeName

GROUPS = 30
REPLICAS = 3
ZONES = ("a", "b", "c", "a")
KILLED, DRAINED = "n2", "n1"
NEW_ZONE = "b"
PURGE_AFTER = "5s"
CONNECTIONS = 2
PAUSE_S = 0.02
"""Between two commands of a client, so that nodes on a small host get their share of it."""
SURVEY_S = 0.4
LINE_EVERY_S = 1.0
COUNTED_S = 2.0


@dataclass
class FleetResult:
    acked: int = 0
    groups: int = 0
    reads: int = 0
    unknown: int = 0
    refused: int = 0
    created_s: float = 0.0
    failover_s: float = 0.0
    purged_s: float = 0.0
    rebalanced_s: float = 0.0
    drained_s: float = 0.0
    moved: int = 0
    moved_least: int = 0
    pause_s: float = 0.0
    """The longest time that a command took."""
    tables: list[list[str]] = field(default_factory=list)


class FleetStory(DemoStage):
    def __init__(self, directory: Path, seconds: float) -> None:
        super().__init__(directory, ZONES, PURGE_AFTER)
        self.seconds = seconds
        self.result = FleetResult(groups=GROUPS)
        self.names = [f"g{number:02d}" for number in range(1, GROUPS + 1)]
        self.drawn_at = monotonic()

    def tell(self) -> FleetResult:
        self._set_up()
        self._count()
        self._kill()
        self._purge()
        self._add()
        self._drain()
        self._count_up()
        self.stop_nodes()
        return self.result

    # -- the steps ---------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self.say(f"starting {len(ZONES)} nodes in {len(set(ZONES))} zones, each a process of its own")
        self.nodes.begin_all()
        self.until("the nodes to serve", self.nodes.all_serve)
        addresses, secret = self.nodes.addresses, self.nodes.secret
        self.connections = connect_all(addresses, secret, CLUSTER, CONNECTIONS + 1)
        first = self.connections[-1]
        self.until("the nodes to found a cluster", lambda: node_count(first) == len(ZONES))
        self.say(f"{len(ZONES)} nodes are one cluster; creating {GROUPS} groups")
        began_at = monotonic()
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda name: first.create_group(name, Counter, replicas=REPLICAS), self.names))
        self._settle("the groups to be where they belong")
        self.result.created_s = monotonic() - began_at
        self._table(f"{GROUPS} groups with {REPLICAS} replicas, after {self.result.created_s:.1f} s")

    def _count(self) -> None:
        for number, name in enumerate(self.names):
            connection = self.connections[number % CONNECTIONS]
            self.loads[name] = Load([connection], name, 1, PAUSE_S)
        for load in self.loads.values():
            load.start()
        self.say(f"{GROUPS} clients increment and read, one on each group")
        self.pass_time(self.seconds)

    def _kill(self) -> None:
        leads = self.survey().nodes[NodeName(KILLED)].leads
        asked_at = monotonic()
        self.nodes.nodes[KILLED].kill()
        self.nodes.retired.add(KILLED)
        killed_at = monotonic()
        self.say(f"killed {KILLED}, which led {leads} groups, with SIGKILL")
        self.until(
            "all groups to acknowledge without it",
            lambda: all(load.first_ack_sent_after(killed_at) is not None for load in self.loads.values()),
        )
        acks = [load.first_ack_sent_after(killed_at) or 0.0 for load in self.loads.values()]
        self.result.failover_s = max(acks) - asked_at
        self._table(f"all {GROUPS} groups acknowledge again after {self.result.failover_s:.2f} s")

    def _purge(self) -> None:
        began_at = monotonic()
        self.say(f"waiting for a majority to purge {KILLED} (after {PURGE_AFTER}; usually 10 min)")
        self.until(f"{KILLED} to be purged", lambda: KILLED not in self.survey().nodes)
        self._settle("the lost members to be replaced")
        self.result.purged_s = monotonic() - began_at
        self._table(f"{KILLED} is purged and its members are replaced, after {self.result.purged_s:.1f} s")

    def _add(self) -> None:
        before = self._places()
        node = self.nodes.add(NEW_ZONE)
        self.say(f"starting {node.name} in zone {NEW_ZONE}, which has no node")
        began_at = monotonic()
        self.nodes.begin(node.name)
        self.until(f"{node.name} to serve", self.nodes.all_serve)
        self.until(f"{node.name} to join", lambda: node.name in self.survey().nodes)
        self._settle("the groups to be where they belong")
        self.result.rebalanced_s = monotonic() - began_at
        after = self._places()
        self.result.moved = len(after - before)
        self.result.moved_least = sum(where == node.name for _, where in after)
        self._table(
            f"{node.name} has its share after {self.result.rebalanced_s:.1f} s; "
            f"{self.result.moved} members moved, {self.result.moved_least} is the least"
        )

    def _drain(self) -> None:
        self.say(f"draining {DRAINED}: it transfers its leaderships, then its members move")
        began_at = monotonic()
        first = self.connections[-1]
        self.nodes.retired.add(DRAINED)  # it ends when it has left
        first.drain(DRAINED)
        self.until(f"{DRAINED} to leave", lambda: DRAINED not in self.survey().nodes)
        self._settle("the groups to be where they belong")
        self.result.drained_s = monotonic() - began_at
        self.nodes.retire(DRAINED)
        self._table(f"{DRAINED} has left after {self.result.drained_s:.1f} s and ends")

    def _count_up(self) -> None:
        self.stop_loads()
        result = self.result
        for name, load in self.loads.items():
            load.verify(self.connections[-1].group(name, Counter).get())
        loads = self.loads.values()
        result.acked = sum(load.acked for load in loads)
        result.reads = sum(load.total("reads") for load in loads)
        result.unknown = sum(load.total("unknown") for load in loads)
        result.refused = sum(load.total("refused") for load in loads)
        took = (ack.acked_at - ack.sent_at for load in loads for ack in load.acks_between(0, float("inf")))
        result.pause_s = max(took, default=0.0)
        self.say("each group's counter equals its acknowledged increments")

    # -- the state of the cluster ------------------------------------------------------------------

    def survey(self) -> Survey:
        return self.connections[-1].survey(SURVEY_S)

    def _settle(self, what: str) -> None:
        def is_settled() -> bool:
            try:
                return is_as_wanted(self.survey())
            except FleetError:
                return False

        self.until(what, is_settled)

    def _places(self) -> set[tuple[str, str]]:
        """(group, node) of every member."""
        return {(member.group, name) for name, node in self.survey().nodes.items() for member in node.hosted}

    # -- output ------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        click.echo(f"{self.now_s:6.2f} s  {text}")

    def _table(self, title: str) -> None:
        self.say(title)
        lines = table(self.survey())
        self.result.tables.append(lines)
        for line in lines:
            click.echo(f"            {line}")

    def draw(self) -> None:
        now = monotonic()
        if not self.loads or now - self.drawn_at < LINE_EVERY_S:
            return
        since, self.drawn_at = self.drawn_at, now
        acks = [ack for load in self.loads.values() for ack in load.acks_between(since, now)]
        took = [ack.acked_at - ack.sent_at for ack in acks]
        self.say(
            f"  {len(acks) / (now - since):.0f}/s, p50 {percentile(took, 0.5) * 1000:.1f} ms, "
            f"p99 {percentile(took, 0.99) * 1000:.1f} ms"
        )


def is_as_wanted(survey: Survey) -> bool:
    """Whether all groups have members exactly where the placement wants them, led from the first of these."""
    leaders = survey.leaders
    held: dict[str, set[NodeName]] = {}
    for name, node in survey.nodes.items():
        for member in node.hosted:
            held.setdefault(member.group, set()).add(name)
            if member.state != RUNNING:
                return False
    wanted = survey.wanted()
    return len(wanted) > 0 and all(
        held.get(group) == set(places) and leaders.get(group) == places[0] for group, places in wanted.items()
    )


def table(survey: Survey) -> list[str]:
    rows: list[Sequence[str]] = [("node", "zone", "state", "leads", "members")]
    for node in survey.nodes.values():
        figures = (str(node.leads), str(len(node.hosted))) if node.answers else ("-", "-")
        rows.append((node.record.name, node.record.zone, node.state, *figures))
    return columns(rows)


def fleet_summary(result: FleetResult) -> list[str]:
    return [
        f"{result.acked} acknowledged increments = the sum of {result.groups} counters, group by group: "
        f"nothing lost, nothing doubled ({result.reads} reads, none went back)",
        f"failover of all groups {result.failover_s:.2f} s; purge and replacement {result.purged_s:.1f} s; "
        f"a node more {result.rebalanced_s:.1f} s; a node drained {result.drained_s:.1f} s",
        f"members moved for the new node: {result.moved}, the least is {result.moved_least}; "
        f"the longest that a command took: {result.pause_s:.2f} s",
        f"outcomes unknown at first and settled: {result.unknown}; refused, not done: {result.refused}",
    ]
