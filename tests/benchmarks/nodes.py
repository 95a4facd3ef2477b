"""Nodes in processes of their own, with the timers and the program that `fleet node` has."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fleet
from fleet.raft.ids import node_of
from tests.benchmarks.figures import Figures
from tests.benchmarks.load import Around, Load, Submit
from tests.benchmarks.meters import Meter
from tests.processes.nodes import Cluster, NodeProcess, leader_status
from tests.support.waiting import eventually

D = TypeVar("D", bound=fleet.Data)

THREADS = ("fleet-loop", "fleet-writer")
WARM_S = 0.3
NODES = 3
TIMEOUT_S = 60.0

# The kernel shows a thread's name, which Python 3.11 keeps for itself.
NAME_THREADS = """
import threading
run = threading.Thread.run
def named(self):
    with open("/proc/thread-self/comm", "w") as comm:
        comm.write(self.name)
    run(self)
threading.Thread.run = named
"""


class MeteredNode(NodeProcess):
    def command(self) -> list[str]:
        python, option, program, *words = super().command()
        return [python, option, NAME_THREADS + program, *words]


class MeteredCluster(Cluster):
    node_class: type[NodeProcess] = MeteredNode

    def pids(self) -> dict[str, int]:
        return {node.name: node.process.pid for node in self.nodes if node.process is not None}


class Bench:
    """A cluster and a client, which is this process."""

    def __init__(self, cluster: MeteredCluster) -> None:
        self.cluster = cluster
        self.client = cluster.connect(timeout=TIMEOUT_S)

    def create(
        self, names: list[str], data_class: type[D], config: fleet.GroupConfig | None = None
    ) -> list[D]:
        return self.client.create_groups(names, data_class, config=config)

    def leader(self, group: str) -> NodeProcess:
        status = eventually(lambda: leader_status(self.client, group), what=f"a leader of {group}")
        return self.cluster[node_of(status.member)]

    def meter(self, group: str | None = None) -> Meter:
        """With a group, its leader and followers apart; otherwise the average node."""
        pids = self.cluster.pids()
        if group is None:
            return Meter(dict.fromkeys(pids.values(), "node"), THREADS)
        leader = self.leader(group).name
        followers = {pid: "follower" for name, pid in pids.items() if name != leader}
        return Meter({pids[leader]: "leader"} | followers, THREADS)

    def terms(self, names: list[str]) -> int:
        """The sum of the groups' terms, which grows by one with each election."""
        return sum(eventually(lambda: leader_status(self.client, name)).term for name in names)

    def measure(
        self, run: Callable[[float, Around | None], Load], seconds: float, group: str | None
    ) -> Figures:
        """Warm up, then measure: rates, times, and the processor's time for each call."""
        run(min(WARM_S, seconds), None)
        meter = self.meter(group)
        load = run(seconds, meter)
        return load.figures() | meter.each_us(load.count)


@contextmanager
def three_nodes(kind: type[MeteredCluster] = MeteredCluster) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as home:
        cluster = kind(Path(home))
        try:
            cluster.start(NODES)
            yield Bench(cluster)
        finally:
            cluster.close()


def sender(method: Any, *args: object) -> Submit:
    """A handle's method, for `load.pipelined`."""
    submit = method.submit
    return lambda done: submit(*args).add_done_callback(done)
