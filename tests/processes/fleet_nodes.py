"""A fleet of real node processes with many groups, clients that count, and looks at where members are."""

import json
import os
import queue
import sys
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fleet
from fleet.actors.messages.operator import GetStatus, MemberInfo, MemberStatus
from fleet.cluster.state import CLUSTER_GROUP, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.cluster.wanted import cluster_voters
from fleet.errors import FleetError, NotDone, OutcomeUnknown
from fleet.objects.class_refs import encode_class
from fleet.raft.ids import MemberId, NodeName, node_of
from tests.support.classes import Counter
from tests.support.waiting import eventually

from .nodes import CLUSTER, NodeProcess, Processes

PURGE_S = 3.0
SETTLE_S = 60.0
PACE_S = 0.1
"""Between an answer and the next command of the same group, unless it is told otherwise."""

# The node dies with the test process, however that ends.
PROGRAM = """
import ctypes, json, logging, os, sys, time
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
from fleet.actors.runtime.clock import SystemClock
from fleet.node import node_class

class WrongClock(SystemClock):
    def wall_ms(self):
        return super().wall_ms() + offset_ms

    def now_ms(self):
        return began_ms + int((super().now_ms() - began_ms) * clock_rate)

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
sys.setswitchinterval(0.0005)
settings = json.loads(sys.argv[2])
offset_ms, clock_rate = settings.pop("offset_ms"), settings.pop("clock_rate")
began_ms = SystemClock().now_ms()
node = node_class(settings.pop("base", "fleet"))(**settings, clock=WrongClock()).start()
print("node", node.name, "serves at", node.address, flush=True)
node.run_until_signal()
"""


class FleetNode(NodeProcess):
    """Settings may be changed between two starts."""

    def __init__(self, name: str, home: Path, secret_file: Path, **settings: Any) -> None:
        super().__init__(name, home, secret_file, (), CLUSTER)
        self.settings: dict[str, Any] = {"purge_after": PURGE_S, "offset_ms": 0, "clock_rate": 1.0} | settings
        self.wrapper: tuple[str, ...] = ()
        """What runs it: a command in front of its own."""
        self.path = ""
        """Where it looks for modules before the others."""
        self.variables: dict[str, str] = {}
        """More of its environment."""

    def command(self) -> list[str]:
        own = {
            "name": self.name,
            "listen": self.address,
            "data_dir": str(self.directory),
            "secret_file": str(self.secret_file),
            "cluster": self.cluster,
        }
        words = [sys.executable, "-c", PROGRAM, str(os.getpid()), json.dumps(own | self.settings)]
        return [*self.wrapper, *words]

    def environment(self) -> dict[str, str]:
        paths = [path for path in (self.path, os.environ.get("PYTHONPATH", "")) if path]
        return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | self.variables


class NodeFleet(Processes):
    """Nodes by name. What it says of groups it asks of the nodes, through its client."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.nodes: dict[str, FleetNode] = {}
        self._client: fleet.Fleet | None = None

    def every_node(self) -> list[NodeProcess]:
        return list(self.nodes.values())

    def __getitem__(self, name: str) -> FleetNode:
        return self.nodes[name]

    # -- nodes -------------------------------------------------------------------------------------

    def add(self, name: str, **settings: Any) -> FleetNode:
        """Not started yet; it joins through the nodes that are there."""
        if "founders" not in settings:
            settings.setdefault("join", [node.address for node in self.nodes.values()])
        node = self.nodes[name] = FleetNode(name, self.home, self.secret_file, **settings)
        return node

    def start(self, *names: str, **settings: Any) -> None:
        """New nodes, each in a zone of its own unless told otherwise; all belong when it returns."""
        if not self.nodes:
            first, *names = names  # type: ignore[assignment]
            self.add(first, **{"zone": first} | settings).start()
        for name in names:
            self.add(name, **{"zone": name} | settings)
        for name in names:
            self[name].launch()
        for name in names:
            self[name].await_start()
        self.await_nodes(*self.nodes)

    def running(self) -> list[FleetNode]:
        return [node for node in self.nodes.values() if node.process is not None]

    def records(self) -> dict[str, NodeRecord]:
        return {node.name: node for node in self.client.nodes()}

    def await_nodes(self, *names: str, wait_s: float = 30.0) -> None:
        """Until the cluster consists of these, and its own group has the voters that it should."""
        eventually(lambda: set(self.records()) == set(names), wait_s, f"the nodes to be {names}")
        eventually(self.is_whole, wait_s, "the cluster group to be whole")

    def is_whole(self) -> bool:
        status, records = self.client.status(CLUSTER_GROUP), self.records()
        voters = set(map(node_of, status.voters))
        members = voters | set(map(node_of, status.learners))
        wanted = set(cluster_voters(records.values()))
        return status.role == "leader" and voters == wanted and members == set(records)

    def drop(self, name: str) -> None:
        """Forget a node that has left; its process ends."""
        self.nodes.pop(name).kill()

    @property
    def client(self) -> fleet.Fleet:
        if self._client is None:
            self._client = self.connect(*self.nodes)
        return self._client

    def connect(self, *names: str, timeout: float = 60.0) -> fleet.Fleet:
        return self.connect_to([self[name] for name in names], timeout)

    # -- groups ------------------------------------------------------------------------------------

    def create(self, names: Iterable[str], replicas: int = 3) -> list[str]:
        """All at once; returns when they are where they should be."""
        names = list(names)
        add, config = self.client._cluster.add_group, fleet.GroupConfig()
        for reply in [add.submit(name, replicas, encode_class(Counter), config) for name in names]:
            reply.result()
        self.await_settled(names)
        return names

    def counter(self, group: str) -> Counter:
        return self.client.group(group, Counter)

    def view(self) -> ClusterView:
        view, seen = ClusterView(), self.client.cluster().view
        assert seen is not None
        view.update(seen)
        return view

    def statuses(self, names: Iterable[str], wait_s: float = 2.0) -> dict[str, MemberStatus]:
        """Of the leader of each, asked where it should be; groups that do not answer are left out."""
        view = self.view()
        asked = {}
        for name in names:
            group = view.groups.get(name)
            wanted = view.wanted(group) if group is not None else ()
            if wanted:
                address = view.nodes[wanted[0]].address
                asked[name] = self.client._ask_soon(GetStatus(), name, address, True, wait_s)
        wait(asked.values())
        answers = {name: future.result() for name, future in asked.items() if not future.exception()}
        return {name: status for name, status in answers.items() if isinstance(status, MemberStatus)}

    def unsettled(self, names: Iterable[str]) -> dict[str, str]:
        """Groups that are not led from where they should be, by exactly the members they should have."""
        names = list(names)
        statuses, view = self.statuses(names), self.view()
        trouble = {}
        for name in names:
            group, status = view.groups.get(name), statuses.get(name)
            if group is None or status is None:
                trouble[name] = "nobody answers"
                continue
            wanted, there = view.wanted(group), sorted(map(node_of, status.voters))
            silent = [peer.member for peer in status.peers if not (peer.responsive and peer.match)]
            where = f"{there} {status.learners} led by {status.leader}, wanted {wanted}, silent {silent}"
            is_led = status.role == "leader" and node_of(status.member) == wanted[0]
            if not is_led or there != sorted(wanted) or status.learners or silent:
                trouble[name] = where
        return trouble

    def await_settled(self, names: Iterable[str], wait_s: float = SETTLE_S) -> float:
        """Seconds that it took."""
        names, began, trouble = list(names), time.monotonic(), dict[str, str]()

        def is_settled() -> bool:
            nonlocal trouble
            trouble = self.unsettled(names)
            return not trouble

        try:
            eventually(is_settled, wait_s)
        except AssertionError:
            some = dict(list(trouble.items())[:5])
            raise AssertionError(f"{len(trouble)} groups are not settled: {some}") from None
        return time.monotonic() - began

    def places(self, names: Iterable[str]) -> dict[str, frozenset[MemberId]]:
        """Where each group's members are, with the disk and life of each."""
        return {
            name: frozenset(map(MemberId, status.voters)) for name, status in self.statuses(names).items()
        }

    def hosted(self, name: str) -> dict[str, MemberInfo]:
        """What is on a node, by group; its replica of the cluster's state left out."""
        members = self.client.members(self[name].address).members
        return {member.group: member for member in members if member.group != CLUSTER_GROUP}

    def holders(self, group: str) -> set[str]:
        return {node.name for node in self.running() if group in self.hosted(node.name)}

    def leads(self, names: Iterable[str]) -> Tally[str]:
        return Tally(str(node_of(status.member)) for status in self.statuses(names).values())


class CountingLoad:
    """One command at a time in each of many groups, from one thread: each answer is one more than the
    one before. `longest_s` is the longest that a command took."""

    def __init__(
        self,
        client: fleet.Fleet,
        names: Iterable[str],
        counted: dict[str, int] | None = None,
        pace_s: float = PACE_S,
    ) -> None:
        self.client = client
        self.pace_s = pace_s
        self.counters = {name: client.group(name, Counter) for name in names}
        self.counted = counted if counted is not None else {}
        self.longest_s = 0.0
        self.tolerated: tuple[type[NotDone], ...] = ()
        """Errors after which the command is not done, and the next one is sent."""
        self.failures: list[str] = []
        self.answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.began: dict[str, float] = {}
        self.due: list[tuple[float, str]] = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name="counting")

    def __enter__(self) -> "CountingLoad":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stopping.set()
        self.thread.join(120)
        assert not self.thread.is_alive()
        if kind is None:
            self.check()

    def _run(self) -> None:
        for name in self.counters:
            self._put(name)
        while self.began or self.due:
            pause = max(0.001, self.due[0][0] - time.monotonic()) if self.due else 0.1
            try:
                self._take(*self.answers.get(timeout=pause))
            except queue.Empty:
                pass
            while self.due and (self.due[0][0] <= time.monotonic() or self.stopping.is_set()):
                _, name = self.due.pop(0)
                if not self.stopping.is_set():
                    self._put(name)

    def _put(self, name: str) -> None:
        self.began[name] = time.monotonic()
        reply = self.counters[name].add.options(timeout=60.0).submit(1)
        reply.add_done_callback(lambda reply: self.answers.put((name, reply)))

    def _take(self, name: str, reply: Any) -> None:
        now = time.monotonic()
        took_s = now - self.began.pop(name)
        self.longest_s = max(self.longest_s, took_s)
        try:
            value = reply.result()
        except self.tolerated:
            self.due.append((now + self.pace_s, name))
            return
        except FleetError as error:
            self.failures.append(f"{name} after {took_s:.1f} s: {type(error).__name__}: {error}")
            return
        if value != self.counted.get(name, 0) + 1:
            self.failures.append(f"{name} said {value} after {self.counted.get(name, 0)}")
        self.counted[name] = value
        if not self.stopping.is_set():
            self.due.append((now + self.pace_s, name))

    def total(self) -> int:
        return sum(self.counted.values())

    def await_more(self, each: int = 1, wait_s: float = 30.0) -> None:
        """Until each group has answered so often from now on."""
        target = {name: self.counted.get(name, 0) + each for name in self.counters}

        def is_there() -> bool:
            self.check()
            return all(self.counted.get(name, 0) >= count for name, count in target.items())

        eventually(is_there, wait_s, "each group to answer")

    def check(self) -> None:
        assert not self.failures, self.failures[:5]


@contextmanager
def counting(
    fleet_of: NodeFleet,
    names: Iterable[str],
    counted: dict[str, int] | None = None,
    pace_s: float = PACE_S,
) -> Iterator[CountingLoad]:
    with CountingLoad(fleet_of.client, names, counted, pace_s) as load:
        yield load


def moved(before: dict[str, frozenset[MemberId]], after: dict[str, frozenset[MemberId]]) -> int:
    """Members that are new."""
    return sum(len(after[name] - members) for name, members in before.items())


def add_all(fleet_of: NodeFleet, names: Iterable[str], expected: int) -> None:
    """One more in each group, and that it is so many then."""
    adds: dict[str, Any] = {name: fleet_of.counter(name).add for name in names}
    for name, reply in [(name, add.submit(1)) for name, add in adds.items()]:
        assert reply.result() == expected, name


def refused(call: Callable[[], Any]) -> str:
    """The kind of error that it ends with."""
    try:
        call()
    except FleetError as error:
        assert not isinstance(error, OutcomeUnknown), error
        return type(error).__name__
    return ""


def group_names(count: int) -> list[str]:
    return [f"g{number}" for number in range(count)]


def incarnation(fleet_of: NodeFleet, name: str) -> str:
    return fleet_of.records()[NodeName(name)].incarnation
