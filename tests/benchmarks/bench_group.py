"""What one group costs: three node processes, a client in a fourth. Run it from the checkout:

python tests/benchmarks/bench_group.py            everything
python tests/benchmarks/bench_group.py one many   some parts: one many reads payloads failover followers
"""

import argparse
import os
import platform
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cloudpickle

import fleet
from fleet.raft.ids import node_of

cloudpickle.register_pickle_by_value(sys.modules[__name__])

SECRET = secrets.token_hex(32)
ROUNDS = 1000
CALLERS = 64
SECONDS = 6.0


class Counter(fleet.Data):
    value: int = 0

    @fleet.command
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @fleet.query
    def get(self) -> int:
        return self.value


class Box(fleet.Data):
    body: bytes = b""

    @fleet.command
    def put(self, body: bytes) -> int:
        self.body = body
        return len(body)


class Cluster:
    """Three nodes in processes of their own, on free ports that stay theirs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.addresses: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[str]] = {}
        for name in ("n1", "n2", "n3"):
            self.start(name)

    def start(self, name: str) -> None:
        join = [f"--join={address}" for other, address in self.addresses.items() if other != name]
        command = [sys.executable, "-c", "import fleet.cli; fleet.cli.main()", "node", "--name", name]
        command += ["--listen", self.addresses.get(name, "127.0.0.1:0")]
        alone = [] if self.addresses else ["--found"]
        command += ["--data-dir", str(self.directory / name), *join, *alone]
        environment = os.environ | {"FLEET_SECRET": SECRET}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        self.addresses[name] = process.stdout.readline().split()[-1]
        self.processes[name] = process

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()

    def connect(self, timeout: float = 10.0) -> fleet.Fleet:
        return fleet.connect(list(self.addresses.values()), secret=SECRET, timeout=timeout)


@contextmanager
def group() -> Iterator[tuple[Cluster, fleet.Fleet, Counter]]:
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as directory:
        cluster = Cluster(Path(directory))
        try:
            with cluster.connect() as client:
                wait_for(lambda: len(client.nodes()) == 3)
                yield cluster, client, client.create_group("bench", Counter)
        finally:
            cluster.close()


def wait_for(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def timed(act: Callable[[], object], rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def at(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))]


def show(what: str, figure: str) -> None:
    print(f"{what:<64}{figure}", flush=True)


def show_times(what: str, times: list[float]) -> None:
    show(what, f"p50 {at(times, 0.5):7.2f} ms   p99 {at(times, 0.99):7.2f} ms")


def fdatasync_ms() -> list[float]:
    with tempfile.NamedTemporaryFile(prefix="fleet-bench-") as file:
        block = os.urandom(4096)

        def append() -> None:
            file.write(block)
            file.flush()
            os.fdatasync(file.fileno())

        return timed(append, 300)


def bench_one() -> None:
    """One caller, one command at a time."""
    with group() as (_, _, counter):
        timed(counter.add, 200)
        sync = fdatasync_ms()
        times = timed(counter.add, ROUNDS)
        limit = 1.5 + 2 * at(sync, 0.5)
        show_times("fdatasync after a 4 KiB append", sync)
        show_times("one caller, increment", times)
        show("  wanted: p50 at most 1.5 ms + 2 fdatasync", f"{at(times, 0.5):.2f} of {limit:.2f} ms")


def pressed(call: Callable[[], object], callers: int, seconds: float) -> tuple[float, list[float]]:
    """Calls per second by so many threads, and their times."""
    until = time.perf_counter() + seconds
    results: list[list[float]] = [[] for _ in range(callers)]

    def work(mine: list[float]) -> None:
        while (start := time.perf_counter()) < until:
            call()
            mine.append((time.perf_counter() - start) * 1000)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in results]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begin
    times = sorted(time for mine in results for time in mine)
    return len(times) / took, times


def bench_many() -> None:
    """Many callers at once; and one thread that keeps as many calls under way."""
    with group() as (_, _, counter):
        pressed(counter.add, CALLERS, 1.0)
        for callers in (8, CALLERS, 256):
            rate, times = pressed(counter.add, callers, SECONDS)
            show_times(f"{callers} callers, increments: {rate:,.0f}/s", times)
        for depth in (CALLERS, 256, 1024):
            cpu, begin = time.process_time(), time.perf_counter()
            rate = pipelined(counter, depth, SECONDS)
            calls = rate * (time.perf_counter() - begin)
            each = (time.process_time() - cpu) / calls * 1e6
            show(f"1 thread, {depth} increments under way: {rate:,.0f}/s", f"client CPU {each:.1f} us each")


def pipelined(counter: Counter, depth: int, seconds: float) -> float:
    gate = threading.Semaphore(depth)
    until = time.perf_counter() + seconds
    begin, count = time.perf_counter(), 0
    while time.perf_counter() < until:
        gate.acquire()
        counter.add.submit().add_done_callback(lambda _: gate.release())
        count += 1
    for _ in range(depth):
        gate.acquire()
    return count / (time.perf_counter() - begin)


def bench_reads() -> None:
    """Linearizable reads."""
    with group() as (_, _, counter):
        timed(counter.get, 100)
        show_times("one caller, linearizable read", timed(counter.get, ROUNDS))
        rate, times = pressed(counter.get, CALLERS, SECONDS)
        show_times(f"{CALLERS} callers, linearizable reads: {rate:,.0f}/s", times)


def bench_payloads() -> None:
    """Larger arguments, by many callers at once."""
    with group() as (_, client, _):
        box = client.create_group("box", Box)
        for size in (1024, 64 * 1024):
            body = os.urandom(size)
            rate, times = pressed(lambda: box.put(body), CALLERS, SECONDS)
            show_times(f"{CALLERS} callers, {size // 1024} KiB: {rate:,.0f}/s", times)


def bench_failover(kills: int = 10) -> None:
    """From SIGKILL of the leader's node to the next command that succeeds."""
    with group() as (cluster, client, counter):
        took = []
        for _ in range(kills):
            leader = node_of(client.status("bench").member)
            counter.add()
            start = time.perf_counter()
            cluster.signal(leader, signal.SIGKILL)
            counter.add()
            took.append((time.perf_counter() - start) * 1000)
            cluster.processes[leader].wait()
            cluster.start(leader)
            wait_for(lambda: all_caught_up(client))
        election_ms = client.status("bench").config.election_ms
        median = statistics.median(took)
        show(f"leader killed, next command, median of {kills}", f"{median:.0f} ms, worst {max(took):.0f}")
        show("  wanted: at most 2.5 election timeouts", f"{median / election_ms:.2f} x {election_ms} ms")


def all_caught_up(client: fleet.Fleet) -> bool:
    status = client.status("bench")
    peers = status.peers
    ready = [peer for peer in peers if peer.responsive and peer.match >= status.commit]
    return status.role == "leader" and len(ready) == 2


def bench_followers(batches: int = 5) -> None:
    """A follower that is stopped, dead, or a port that answers nobody: what the other two's commands feel.

    Each p99 is the median of several batches': another load on the machine is not taken for the follower's.
    """
    for what in ("stopped", "dead", "black-holed"):
        with group() as (cluster, client, counter):
            timed(counter.add, 500)
            status = client.status("bench")
            follower = next(node_of(voter) for voter in status.voters if voter != status.member)
            before = [at(timed(counter.add, ROUNDS), 0.99) for _ in range(batches)]
            with silenced(cluster, follower, what):
                time.sleep(2.0)
                after = [at(timed(counter.add, ROUNDS), 0.99) for _ in range(batches)]
            show("one caller, all three up", f"p99 {statistics.median(before):7.2f} ms")
            show(f"one caller, a follower {what}", f"p99 {statistics.median(after):7.2f} ms")
            ratio = statistics.median(after) / statistics.median(before)
            show("  wanted: p99 less than 1.2 x", f"{ratio:.2f} x")


@contextmanager
def silenced(cluster: Cluster, node: str, what: str) -> Iterator[None]:
    """A stopped one takes bytes and connections; a black hole connections; a dead one refuses."""
    cluster.signal(node, signal.SIGSTOP if what == "stopped" else signal.SIGKILL)
    if what != "black-holed":
        yield
        return
    cluster.processes[node].wait()
    host, port = cluster.addresses[node].split(":")
    with socket.create_server((host, int(port)), backlog=64):
        yield


PARTS = {
    "one": bench_one,
    "many": bench_many,
    "reads": bench_reads,
    "payloads": bench_payloads,
    "failover": bench_failover,
    "followers": bench_followers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    chosen = parser.parse_args().parts or list(PARTS)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    show("machine", f"{os.cpu_count()} CPUs, {system}")
    for part in chosen:
        PARTS[part]()


if __name__ == "__main__":
    main()
