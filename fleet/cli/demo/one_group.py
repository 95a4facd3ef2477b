"""The run of `fleet demo --one`: count, kill the leader, count, restart it, verify."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Protocol

import fleet
from fleet.actors.messages.operator import MemberStatus
from fleet.cli.demo.data import Counter
from fleet.cli.demo.load import Load, connect_all
from fleet.cli.demo.nodes import CLUSTER, DemoNodes
from fleet.cli.demo.stage import DemoStage, node_count
from fleet.errors import FleetError
from fleet.raft.ids import node_of

GROUP = "demo"
REPLICAS = 3
CONNECTIONS = 2
WATCH_S = 0.1
ANSWER_S_MAX = 0.4
COUNTED, COUNTED_WITHOUT, COUNTED_AGAIN = 0.35, 0.2, 0.25
"""Shares of --seconds for counting with three nodes, with two, and with three again."""


@dataclass
class Picture:
    """The state shown. The story and the watcher write it, the view reads it."""

    nodes: DemoNodes
    began_at: float
    load: Load | None = None
    statuses: dict[str, MemberStatus] = field(default_factory=dict)
    """By node; of a dead one its last status."""
    leader: str = ""
    value: int = 0
    events: list[tuple[float, str]] = field(default_factory=list)


class Screen(Protocol):
    def event(self, picture: Picture, text: str) -> None: ...

    def draw(self, picture: Picture) -> None: ...


@dataclass
class Outcome:
    value: int = 0
    acked: int = 0
    reads: int = 0
    unknown: int = 0
    refused: int = 0
    killed: str = ""
    applied: int = 0
    failover_s: float = 0.0
    catch_up_s: float = 0.0
    rate_before: float = 0.0
    rate_without: float = 0.0
    rate_after: float = 0.0


class Watcher(threading.Thread):
    """Asks the members for their statuses over its own connection, so that slow answers delay nothing
    else."""

    def __init__(self, connection: fleet.Fleet, picture: Picture) -> None:
        super().__init__(daemon=True)
        self.connection = connection
        self.picture = picture
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(WATCH_S):
            try:
                statuses = self.connection.statuses(GROUP, ANSWER_S_MAX)
            except FleetError:
                if self.stop.is_set():
                    return
                continue
            self.picture.statuses = {**self.picture.statuses, **statuses}
            self.picture.leader = leader_among(statuses)
            if self.picture.leader:
                self._read_value()

    def _read_value(self) -> None:
        try:
            self.picture.value = self.connection.group(GROUP, Counter).get.options(timeout=ANSWER_S_MAX)()
        except FleetError:
            pass  # no leader now; the next round asks again


def leader_among(statuses: dict[str, MemberStatus]) -> str:
    """The node whose member leads in the newest term, "" for none."""
    leaders = [(status.term, name) for name, status in statuses.items() if status.role == "leader"]
    return max(leaders, default=(0, ""))[1]


class Story(DemoStage):
    """One group on three nodes."""

    def __init__(self, view: Screen, directory: Path, seconds: float, clients: int) -> None:
        super().__init__(directory, ["here"] * REPLICAS)
        self.view = view
        self.seconds = seconds
        self.client_count = clients
        self.result = Outcome()
        self.watcher: Watcher | None = None
        self.picture = Picture(self.nodes, self.began_at)

    def tell(self) -> Outcome:
        self._set_up()
        assert self.picture.load is not None
        load = self.picture.load
        self._count_with_three(load)
        self._kill_leader(load)
        self._bring_back(load)
        self._count_up(load)
        self.stop_nodes()
        return self.result

    # -- the steps ---------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self.say(f"starting {REPLICAS} nodes, each a process with a directory of its own")
        self.nodes.begin_all()
        self.until("the nodes to serve", self.nodes.all_serve)
        addresses, secret = self.nodes.addresses, self.nodes.secret
        self.connections = connect_all(addresses, secret, CLUSTER, CONNECTIONS + 1)
        first = self.connections[0]
        self.until("the nodes to found a cluster", lambda: node_count(first) == REPLICAS)
        first.create_group(GROUP, Counter, replicas=REPLICAS)
        self.watcher = Watcher(self.connections[-1], self.picture)
        self.watcher.start()
        self.until("the group to have a leader", lambda: bool(self.picture.leader))
        self.say(f"group {GROUP!r} has {REPLICAS} durable replicas, led from {self.picture.leader}")
        self.picture.load = self.loads[GROUP] = Load(self.connections[:CONNECTIONS], GROUP, self.client_count)

    def _count_with_three(self, load: Load) -> None:
        load.start()
        began_at = monotonic()
        self.say(f"{self.client_count} clients increment and read")
        self.pass_time(self.seconds * COUNTED)
        self.result.rate_before = load.rate(began_at, monotonic())

    def _kill_leader(self, load: Load) -> None:
        leader = self.result.killed = self._leader_now()
        asked_at = monotonic()
        self.nodes.nodes[leader].kill()
        killed_at = monotonic()
        self.say(f"killed {leader}, the leader, with SIGKILL")
        # A command sent after the process has ended cannot have been answered by it.
        self.until(
            "a command to be acknowledged without the old leader",
            lambda: load.first_ack_sent_after(killed_at) is not None,
        )
        acked_at = load.first_ack_sent_after(killed_at)
        assert acked_at is not None
        self.result.failover_s = acked_at - asked_at
        self.say(f"commands are acknowledged again after {self.result.failover_s:.2f} s")
        self.until("the new leader to show", lambda: self.picture.leader not in ("", leader))
        self.say(f"{self.picture.leader} leads now, in term {self._leader_status().term}")
        counted_at = monotonic()
        self.pass_time(self.seconds * COUNTED_WITHOUT)
        self.result.rate_without = load.rate(counted_at, monotonic())

    def _bring_back(self, load: Load) -> None:
        name = self.result.killed
        self.say(f"starting {name} again from its directory")
        began_at = monotonic()
        self.picture.statuses.pop(name, None)  # of its former run
        self.nodes.begin(name)
        self.until(f"{name} to serve", self.nodes.all_serve)
        target = self._leader_status().last_index
        self.until(f"{name} to catch up", lambda: self._has_caught_up(name, target))
        self.result.catch_up_s = monotonic() - began_at
        self.say(f"{name} has caught up, {self.result.catch_up_s:.2f} s after its start")
        counted_at = monotonic()
        self.pass_time(self.seconds * COUNTED_AGAIN)
        self.result.rate_after = load.rate(counted_at, monotonic())

    def _count_up(self, load: Load) -> None:
        self.stop_loads()
        result = self.result
        result.value = self.picture.value = self.connections[0].group(GROUP, Counter).get()
        result.acked = load.acked
        result.reads, result.unknown = load.total("reads"), load.total("unknown")
        result.refused = load.total("refused")
        load.verify(result.value)
        self.say(f"the counter is {result.value}: each acknowledged increment is in it, once")
        self.until("the members to have applied the same", self._members_agree)
        self.say(f"all {REPLICAS} members have applied their log up to {result.applied}")

    # -- the state of the group --------------------------------------------------------------------

    def _leader_now(self) -> str:
        """Asked now, instead of the watcher's last one."""
        found: list[str] = []

        def look() -> bool:
            found.append(leader_among(self.connections[0].statuses(GROUP)))
            return bool(found[-1])

        self.until("the group to have a leader", look)
        return found[-1]

    def _leader_status(self) -> MemberStatus:
        return self.picture.statuses[self.picture.leader]

    def _has_caught_up(self, name: str, target: int) -> bool:
        """Judged by the leader's status and the member's own."""
        leader = self.picture.leader
        if not leader:
            return False
        peers = self.picture.statuses[leader].peers
        matched = any(
            node_of(peer.member) == name and peer.votes and peer.responsive and peer.match >= target
            for peer in peers
        )
        status = self.picture.statuses.get(name)
        return (matched or leader == name) and status is not None and status.applied >= target

    def _members_agree(self) -> bool:
        statuses = self.connections[0].statuses(GROUP)
        self.picture.statuses = statuses
        ends = {index for status in statuses.values() for index in (status.applied, status.last_index)}
        self.result.applied = max(ends, default=0)
        return len(statuses) == REPLICAS and len(ends) == 1

    # -- output ------------------------------------------------------------------------------------

    def draw(self) -> None:
        self.view.draw(self.picture)

    def say(self, text: str) -> None:
        self.picture.events.append((self.now_s, text))
        self.view.event(self.picture, text)

    def clean_up(self) -> None:
        if self.watcher is not None:
            self.watcher.stop.set()
        super().clean_up()
