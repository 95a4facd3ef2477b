"""What callers feel when a leader dies, a follower is away, or a command of one group is slow."""

import math
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

from fleet.raft.config import GroupConfig
from tests.benchmarks.classes import Sleeper
from tests.benchmarks.figures import Figures, Row, Scale, timed_ms, times_ms
from tests.benchmarks.nodes import TIMEOUT_S, Bench, sender, three_nodes
from tests.processes.nodes import NodeProcess, await_all_caught_up
from tests.support.classes import Counter

GROUP = "bench"
SLOW_S = 3.0
SLOW_GROUPS = 20
BEFORE_S = 3.0
AFTER_S = 3.0
EDGE_S = 0.2
"""A call that begins so shortly before the slow command may be met by it."""
PACE_S = 0.02
HANG_S = 8.0
FOREVER_S = 1e6
BATCHES = 5
"""The p99 of a follower's absence is the median of so many batches': another load is not taken for it."""


def failover(scale: Scale) -> Iterator[Row]:
    """From kill -9 of the leader's node to the next command that succeeds."""
    with three_nodes() as bench:
        (counter,) = bench.create([GROUP], Counter)
        took = []
        for _ in range(scale.kills):
            leader = bench.leader(GROUP)
            counter.add()
            begun = time.perf_counter()
            leader.signal(signal.SIGKILL)
            counter.add()
            took.append((time.perf_counter() - begun) * 1000)
            leader.kill()
            leader.start()
            await_all_caught_up(bench.cluster, bench.client, GROUP)
        median = statistics.median(took)
        figures = {
            "median_ms": median,
            "worst_ms": max(took),
            "election_timeouts": median / GroupConfig().election_ms,
        }
        rounds = tuple({"took_ms": one} for one in took)
        yield Row(f"kill -9 of the leader, {scale.kills} times", figures, rounds=rounds)


def followers(scale: Scale) -> Iterator[Row]:
    """A follower that is stopped, dead, or a port that answers nobody: one caller's commands beside it."""
    for what in ("stopped", "dead", "black-holed"):
        with three_nodes() as bench:
            (counter,) = bench.create([GROUP], Counter)
            timed_ms(counter.add, scale.repeats)
            leader = bench.leader(GROUP)
            follower = next(node for node in bench.cluster.nodes if node is not leader)
            before = batches(counter.add, scale.repeats)
            with silenced(follower, what):
                time.sleep(2.0)
                beside = batches(counter.add, scale.repeats)
            yield Row(f"all three up, before one is {what}", before)
            yield Row(f"a follower {what}", beside | {"x": beside["p99_ms"] / before["p99_ms"]})


def batches(call: Callable[[], object], repeats: int) -> Figures:
    taken = [times_ms(timed_ms(call, repeats)) for _ in range(BATCHES)]
    return {column: statistics.median(one[column] for one in taken) for column in taken[0]}


@contextmanager
def silenced(node: NodeProcess, what: str) -> Iterator[None]:
    """A stopped one takes bytes and connections; a black hole connections; a dead one refuses."""
    if what == "stopped":
        node.pause()
        yield
        node.resume()
    elif what == "dead":
        node.kill()
        yield
    else:
        node.kill()
        host, port = node.address.split(":")
        with socket.create_server((host, int(port)), backlog=64):
            yield


@contextmanager
def twenty_groups() -> Iterator[tuple[Bench, list[str], list[Counter], Sleeper]]:
    """A group that can be slow, and 19 others with their names."""
    with three_nodes() as bench:
        names = [f"g{number}" for number in range(1, SLOW_GROUPS)]
        counters = bench.create(names, Counter)
        (sleeper,) = bench.create(["slow"], Sleeper)
        sleeper.sleep(0.0)
        yield bench, names, counters, sleeper


def slow(scale: Scale) -> Iterator[Row]:
    """One of 20 groups executes a command of 3 s: what the callers of the other 19 wait for."""
    with twenty_groups() as (bench, names, counters, sleeper):
        terms = bench.terms(names)
        with Watched(counters) as watched:
            time.sleep(BEFORE_S)
            slow_at = time.perf_counter()
            sleeper.sleep.submit(SLOW_S).result()
            time.sleep(AFTER_S)
        elections = float(bench.terms(names) - terms)
        yield watched.row("before it", slow_at - BEFORE_S, slow_at - EDGE_S)
        yield watched.row("begun in its first second", slow_at, slow_at + 1.0)
        yield watched.row("begun later, while it runs", slow_at + 1.0, slow_at + SLOW_S)
        yield watched.row("begun after it", slow_at + SLOW_S, slow_at + SLOW_S + AFTER_S)
        yield Row("elections in the 19 meanwhile", {"elections": elections})


def hang(scale: Scale) -> Iterator[Row]:
    """One of 20 groups executes a command that never returns: how many of the other 19's are answered."""
    with twenty_groups() as (_, _, counters, sleeper):
        with Watched(counters, HANG_S) as watched:
            time.sleep(BEFORE_S)
            hung_at = time.perf_counter()
            sleeper.sleep.options(timeout=HANG_S).submit(FOREVER_S)
            time.sleep(HANG_S)
        yield watched.row("before it", hung_at - BEFORE_S, hung_at - EDGE_S)
        yield watched.row("begun in its first second", hung_at, hung_at + 1.0)
        yield watched.row("begun later", hung_at + 1.0, math.inf)


class Watched:
    """Adds 1 to every counter at a steady pace, whether the last ones are answered or not, so that a stall
    is felt by all calls that fall into it."""

    def __init__(self, counters: Sequence[Counter], timeout_s: float = TIMEOUT_S) -> None:
        self.submits = [sender(counter.add.options(timeout=timeout_s)) for counter in counters]
        self.calls: list[tuple[float, float]] = []
        """When it began, and milliseconds."""
        self.unanswered: list[float] = []
        """When each began that was given up."""
        self.settled: SimpleQueue[None] = SimpleQueue()
        self.asked = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        due = time.perf_counter()
        while not self.stopping.wait(max(0.0, due - time.perf_counter())):
            for submit in self.submits:
                submit(partial(self._done, time.perf_counter()))
                self.asked += 1
            due += PACE_S

    def _done(self, begun: float, outcome: Any) -> None:
        if outcome.exception() is None:
            self.calls.append((begun, (time.perf_counter() - begun) * 1000))
        else:
            self.unanswered.append(begun)
        self.settled.put(None)

    def __enter__(self) -> "Watched":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()
        while self.asked:
            self.settled.get()
            self.asked -= 1

    def between(self, start: float = 0.0, end: float = math.inf) -> list[float]:
        """Sorted milliseconds of the calls that began then and were answered."""
        return sorted(took for begun, took in self.calls if start <= begun < end)

    def row(self, words: str, start: float, end: float, note: str = "") -> Row:
        times = self.between(start, end)
        lost = sum(start <= begun < end for begun in self.unanswered)
        figures = times_ms(times) | {"worst_ms": times[-1]} if times else {}
        asked = len(times) + lost
        figures |= {"calls": float(asked), "answered_percent": 100 * len(times) / max(1, asked)}
        return Row(f"commands of the 19, {words}", figures, note)
