"""Real nodes in processes of their own, and what the tests do to them."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from select import select
from typing import Any

from msgspec import Struct

import fleet
from fleet.actors.messages.operator import MemberStatus
from fleet.errors import OutcomeUnknown, Unavailable
from fleet.raft.ids import node_of
from tests.support.ports import free_port
from tests.support.waiting import WAIT_S, eventually

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "test"
START_S = 20.0
QUICK = fleet.GroupConfig(heartbeat_ms=60, election_ms=400)
"""Elections that a test can wait for, on a host that does other things too."""

# The node dies with the test process, however that ends.
PROGRAM = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv.pop(1)):
    from fleet.cli import main
    main(prog_name="fleet")
"""


class NodeProcess:
    """One node. Start it from the main thread: it dies with the thread that started it."""

    def __init__(self, name: str, home: Path, secret_file: Path, join: Iterable[str], cluster: str) -> None:
        self.name = name
        self.directory = home / name
        self.log = home / f"{name}.log"
        self.secret_file = secret_file
        self.join = list(join)
        self.cluster = cluster
        self.home_of_build = ROOT
        """The tree whose code it runs."""
        self.address = f"127.0.0.1:{free_port()}"
        self.process: subprocess.Popen[str] | None = None

    def launch(self) -> None:
        """Start it and return at once; `await_start` waits."""
        assert self.process is None, f"{self.name} runs"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.home_of_build,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def command(self) -> list[str]:
        options = [
            ("--name", self.name),
            ("--listen", self.address),
            ("--data-dir", str(self.directory)),
            ("--secret-file", str(self.secret_file)),
            ("--cluster", self.cluster),
            *(("--join", address) for address in self.join),
        ]
        words = [word for option in options for word in option]
        words += ["--found"] if not (self.join or self.directory.exists()) else []
        return [sys.executable, "-c", PROGRAM, str(os.getpid()), "node", "-v", *words]

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def await_start(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        ready, _, _ = select([self.process.stdout], [], [], START_S)
        line = self.process.stdout.readline() if ready else ""
        assert "serves at" in line, f"{self.name} did not start: {line!r}\n{self.log.read_text()}"

    def start(self) -> "NodeProcess":
        self.launch()
        self.await_start()
        return self

    def refused(self) -> str:
        """Start it, which must fail; what it says."""
        self.launch()
        assert self.process is not None
        code = self.process.wait(START_S)
        self._reap()
        assert code > 0
        return self.log.read_text().strip().splitlines()[-1]

    def await_end(self) -> int:
        """It ends by itself; its exit code."""
        assert self.process is not None
        code = self.process.wait(WAIT_S)
        self._reap()
        return code

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def pause(self) -> None:
        """It is stopped when this returns: the signal alone takes its time."""
        self.signal(signal.SIGSTOP)
        assert self.process is not None
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut would, as far as the process can tell."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator would."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            try:
                self.process.wait(WAIT_S)
            finally:
                self.process.kill()
                self._reap()

    def _reap(self) -> None:
        assert self.process is not None and self.process.stdout is not None
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def executors(self) -> list[int]:
        """The process ids of those that run."""
        assert self.process is not None
        found = []
        for tasks in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for child in map(int, tasks.read_text().split()):
                with suppress(OSError):  # it has ended
                    words = Path(f"/proc/{child}/cmdline").read_bytes()
                    found += [child] if b"executor" in words else []
        return found

    def wipe(self) -> None:
        shutil.rmtree(self.directory)

    def move(self) -> None:
        """The next start is at another port."""
        self.address = f"127.0.0.1:{free_port()}"


class Processes:
    """What all worlds of node processes share: a secret, and an end that leaves neither client nor node."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.secret_file = home / "secret"
        self.secret_file.touch(0o600)
        self.secret_file.write_text("a secret of the tests, long enough")
        self.clients: list[fleet.Fleet] = []

    def connect_to(self, nodes: Iterable[NodeProcess], timeout: float) -> fleet.Fleet:
        """A client; it is closed at the end of the test at the latest."""
        addresses = [node.address for node in nodes]
        client = fleet.connect(addresses, cluster=CLUSTER, secret_file=self.secret_file, timeout=timeout)
        self.clients.append(client)
        return client

    def every_node(self) -> list[NodeProcess]:
        raise NotImplementedError

    def close(self) -> None:
        with ExitStack() as ends:  # each is ended, although another's end raises
            for node in self.every_node():
                ends.callback(node.kill)
            for node in self.every_node():
                if node.process is not None:
                    ends.callback(node.process.kill)
            for client in self.clients:
                ends.callback(client.close)


class Cluster(Processes):
    """Nodes n1, n2, ... of one cluster, all joining the first."""

    node_class: type[NodeProcess] = NodeProcess

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.nodes: list[NodeProcess] = []

    def every_node(self) -> list[NodeProcess]:
        return self.nodes

    def start(self, count: int) -> None:
        first, *others = self.add(count)
        first.start()
        for node in others:
            node.launch()
        for node in others:
            node.await_start()
        client = self.connect()
        eventually(lambda: len(client.nodes()) == count, what="nodes to know each other")
        for node in self.nodes[1:]:
            with fleet.connect(node.address, cluster=CLUSTER, secret_file=self.secret_file) as other:
                eventually(lambda: len(other.nodes()) == count, what="nodes to know each other")

    def add(self, count: int) -> list[NodeProcess]:
        """Nodes that are not started yet."""
        added = []
        for _ in range(count):
            join = [self.nodes[0].address] if self.nodes else []
            name = f"n{len(self.nodes) + 1}"
            added.append(self.node_class(name, self.home, self.secret_file, join, CLUSTER))
            self.nodes.append(added[-1])
        return added

    def connect(self, *nodes: NodeProcess, timeout: float = 10.0) -> fleet.Fleet:
        """A client of these nodes, by default of all."""
        return self.connect_to(nodes or self.nodes, timeout)

    def __getitem__(self, name: str) -> NodeProcess:
        return next(node for node in self.nodes if node.name == name)

    def others(self, *but: NodeProcess) -> list[NodeProcess]:
        return [node for node in self.nodes if node not in but]

    def restart_all(self, order: Iterable[NodeProcess], end: Callable[[NodeProcess], None]) -> None:
        """All down before the first one is up again; each is up before the next one starts."""
        for node in self.nodes:
            end(node)
        for node in order:
            node.start()


# -- looking at groups ------------------------------------------------------------------------------


def leader_status(client: fleet.Fleet, group: str) -> MemberStatus | None:
    status = client.status(group, timeout=2.0)
    return status if status.role == "leader" else None


def leader_node(cluster: Cluster, client: fleet.Fleet, group: str) -> NodeProcess:
    status = eventually(lambda: leader_status(client, group), what=f"a leader of {group}")
    return cluster[node_of(status.member)]


def member_status(cluster: Cluster, client: fleet.Fleet, group: str, node: NodeProcess) -> MemberStatus:
    """The group as its member on that node sees it."""
    from fleet.actors.messages.operator import GetStatus

    value = client._ask(GetStatus(), group, node.address, timeout=1.0)
    assert isinstance(value, MemberStatus)
    if node_of(value.member) != node.name:  # its own is being started, and another one has answered
        raise Unavailable("the member does not answer yet", group=group, node=node.name)
    return value


def await_all_caught_up(cluster: Cluster, client: fleet.Fleet, group: str) -> None:
    """Every running member has applied what the leader had committed."""
    target = eventually(lambda: leader_status(client, group)).commit
    for node in cluster.nodes:
        if node.process is not None:
            eventually(
                lambda: member_status(cluster, client, group, node).applied >= target,
                what=f"{node.name} to apply {target} of {group}",
            )


# -- load -------------------------------------------------------------------------------------------


class Read(Struct, frozen=True):
    value: int
    acknowledged_before: int
    invoked_by_end: int


class CounterLoad:
    """Threads that add 1 to a counter and read it, as fast as they are answered.

    What linearizability means for a counter that only grows: a read returns no less than was
    acknowledged before it began, and no more than was begun before it ended. Reads one after the other
    never go back.
    """

    def __init__(self, counter: Any, writers: int = 2, readers: int = 1, depth: int = 1) -> None:
        self.counter = counter
        self.depth = depth
        self.lock = threading.Lock()
        self.invoked = self.acknowledged = 0
        self.failures: list[BaseException] = []
        self.reads: list[Read] = []
        self.unknown = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._guard, args=(self._write,)) for _ in range(writers)]
        self.threads += [threading.Thread(target=self._guard, args=(self._read,)) for _ in range(readers)]

    def __enter__(self) -> "CounterLoad":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            while not self.stopping.is_set():
                work()
        except BaseException as error:
            self.failures.append(error)

    def _write(self) -> None:
        with self.lock:
            self.invoked += self.depth
        for future in [self.counter.add.submit(1) for _ in range(self.depth)]:
            try:
                future.result()
            except OutcomeUnknown as error:
                self.unknown += 1
                error.again(30)
            with self.lock:
                self.acknowledged += 1

    def _read(self) -> None:
        with self.lock:
            acknowledged = self.acknowledged
        value = self.counter.get()
        with self.lock:
            self.reads.append(Read(value, acknowledged, self.invoked))

    def await_more(self, count: int = 30, wait_s: float = WAIT_S) -> None:
        """Until so many more were acknowledged than are now."""
        target = self.acknowledged + count
        eventually(lambda: self.failures or self.acknowledged >= target, wait_s, f"{count} more answers")
        self.check_so_far()

    def check_so_far(self) -> None:
        if self.failures:
            raise self.failures[0]

    def check(self) -> None:
        """After the end: nothing failed, nothing is lost or doubled, no read was stale."""
        self.check_so_far()
        assert self.acknowledged == self.invoked
        assert self.counter.get() == self.acknowledged
        for read in self.reads:
            assert read.acknowledged_before <= read.value <= read.invoked_by_end
