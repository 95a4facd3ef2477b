"""What a group's commands cost the others of its nodes, and how it goes on, in real processes (S71)."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgspec
import pytest

import fleet
from fleet.actors.messages.operator import MemberStatus
from fleet.errors import CommandFailed, FleetError, GroupHalted, QueryFailed
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import CLUSTER, QUICK, ROOT
from tests.support.classes import Counter
from tests.support.unruly import Unruly
from tests.support.waiting import eventually

NODES = ("n1", "n2", "n3")
OTHERS = [f"other{number}" for number in range(4)]
LIMIT_S = 1.5
LIMITED = msgspec.structs.replace(QUICK, command_limit_ms=int(LIMIT_S * 1000))
PACE_S = 0.02
FATAL: dict[str, Callable[[Unruly], Any]] = {
    "never returns": lambda group: group.hang(),
    "recurses without end": lambda group: group.recurse(),
    "leaves the interpreter": lambda group: group.leave(),
    "ends the process": lambda group: group.end(),
    "asks for more memory than there is": lambda group: group.reserve(10**15),
    "reads where nothing is": lambda group: group.crash(),
}


class Others:
    """One command after the other in each of the other groups: when each began, and how long it took."""

    def __init__(self, client: fleet.Fleet) -> None:
        self.counters = [client.group(name, Counter) for name in OTHERS]
        self.took: list[tuple[float, float]] = []
        self.failures: list[FleetError] = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(one,)) for one in self.counters]

    def _run(self, counter: Counter) -> None:
        while not self.is_over.wait(PACE_S):
            began = time.monotonic()
            try:
                counter.add(1)
            except FleetError as error:
                self.failures.append(error)
            self.took.append((began, time.monotonic() - began))

    def __enter__(self) -> "Others":
        for thread in self.threads:
            thread.start()
        eventually(lambda: len(self.took) > 2 * len(self.threads))
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def go_on(self, until: float) -> bool:
        return self.took[-1][0] > until

    def p99(self, since: float, until: float = float("inf")) -> float:
        """Of the commands that began in between. Seconds."""
        took = [seconds for began, seconds in self.took if since <= began < until]
        return quantiles(took, n=100, method="inclusive")[-1] if len(took) > 1 else max(took, default=0.0)


def three_nodes(yard: NodeFleet) -> Unruly:
    """One group that does what it should not, and others on the same nodes."""
    yard.start(*NODES, purge_after=600.0)
    for name in OTHERS:
        yard.client.create_group(name, Counter, config=QUICK)
    group = yard.client.create_group("unruly", Unruly, config=LIMITED)
    yard.await_settled([*OTHERS, "unruly"])
    return group


def terms(yard: NodeFleet, *names: str) -> dict[str, int]:
    return {name: status.term for name, status in yard.statuses(names or OTHERS).items()}


def status_of(yard: NodeFleet, group: str) -> MemberStatus:
    return yard.client.status(group, timeout=2.0)


@contextmanager
def undisturbed(yard: NodeFleet) -> Iterator[None]:
    """No other group has an election meanwhile, and no node's process ends."""
    before = terms(yard)
    assert set(before) == set(OTHERS)
    yield
    assert terms(yard) == before
    assert all(node.process is not None and node.process.poll() is None for node in yard.running())


def test_s71_a_slow_command_delays_only_its_own_group(yard: NodeFleet) -> None:
    group = three_nodes(yard)
    slow = yard.client.create_group("slow", Unruly, config=QUICK)
    yard.await_settled(["slow"])
    with undisturbed(yard), Others(yard.client) as others:
        began = time.monotonic()
        assert slow.sleep(3.0) is None
        assert time.monotonic() - began < 6.0
        eventually(partial(others.go_on, began + 5.0))
    assert others.failures == []
    first, later = others.p99(began, began + 1.0), others.p99(began + 1.5)
    print(f"\np99 of others: first second {first * 1000:.0f} ms, then {later * 1000:.0f} ms")
    assert first < 1.5
    assert later < 0.5
    assert slow.add() == group.add() == 1


def test_s71_a_fatal_command_fails_and_its_group_goes_on(yard: NodeFleet) -> None:
    group = three_nodes(yard)
    with undisturbed(yard), Others(yard.client) as others:
        for count, (what, call) in enumerate(FATAL.items(), 1):
            began = time.monotonic()
            with pytest.raises(CommandFailed):
                call(group)
            took_s = time.monotonic() - began
            print(f"\n{what}: failed after {took_s:.2f} s")
            assert took_s < LIMIT_S + 3.0, what
            assert group.add() == count, what  # nothing of it is left
    assert others.failures == []
    print(f"p99 of others: {others.p99(0) * 1000:.0f} ms")
    for node in yard.running():
        node.kill()
    for name in NODES:
        yard[name].launch()
    for name in NODES:
        yard[name].await_start()
    assert group.add() == len(FATAL) + 1
    assert status_of(yard, "unruly").halt is None


def test_s71_a_fatal_query_fails_at_its_caller(yard: NodeFleet) -> None:
    yard.start("n1")
    other = yard.client.create_group("other", Counter, replicas=1, config=QUICK)
    group = yard.client.create_group("unruly", Unruly, replicas=1, config=LIMITED)
    for query in (group.stall, group.fall):
        assert group.add() > 0
        began = time.monotonic()
        with pytest.raises(QueryFailed, match="ended its executor"):
            query()
        assert time.monotonic() - began < LIMIT_S + 3.0
    assert (group.add(), other.add(1)) == (3, 1)


def test_s71_a_command_is_passed_when_all_voters_are_there_again(yard: NodeFleet) -> None:
    """Until then its group refuses new commands, and the others go on."""
    group = three_nodes(yard)
    assert group.add() == 1
    yard["n3"].kill()
    hanging = group.hang.options(timeout=60.0).submit()
    with undisturbed(yard):
        await_halt(yard, group)
        assert yard.counter(OTHERS[0]).add(1) == 1
    yard["n3"].start()
    with pytest.raises(CommandFailed, match="hang"):
        hanging.result()
    assert group.add() == 2


def test_s71_a_command_that_hangs_after_a_restart_too_is_passed_by_an_operator(yard: NodeFleet) -> None:
    """Which of them executed it before, and told its caller, nobody knows any more. Its group refuses new
    commands, and the others go on."""
    group = three_nodes(yard)
    assert group.add() == 1
    yard["n3"].kill()
    hanging = group.hang.options(timeout=60.0).submit()
    await_halt(yard, group)
    for name in ("n1", "n2"):
        yard[name].kill()
    for name in ("n1", "n2", "n3"):
        yard[name].start()
    index = await_halt(yard, group)
    assert yard.counter(OTHERS[0]).add(1) == 1
    yard.client.skip("unruly", index)
    with pytest.raises(CommandFailed, match="hang"):
        hanging.result()
    assert group.add() == 2


def test_s71_an_operator_skips_a_command_while_a_voter_is_away(yard: NodeFleet) -> None:
    group = three_nodes(yard)
    yard["n3"].kill()
    hanging = group.hang.submit()
    index = await_halt(yard, group)
    words = ["group", "skip", "unruly", str(index), "--yes"]
    where = ["--connect", yard["n1"].address, "--cluster", CLUSTER, "--secret-file", str(yard.secret_file)]
    done = subprocess.run(
        [sys.executable, "-m", "fleet.cli", *words, *where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(CommandFailed, match="hang"):
        hanging.result()
    assert group.add() == 1
    yard["n3"].start()
    yard.await_settled(["unruly"])
    yard["n1"].kill()  # n3 is needed now
    assert group.add() == 2


def await_halt(yard: NodeFleet, group: Unruly) -> int:
    """Until the group refuses commands; the entry of the log where it has halted."""
    halt = eventually(lambda: status_of(yard, "unruly").halt, what="the group to halt")
    with pytest.raises(GroupHalted, match="hang") as caught:
        group.add()
    assert caught.value.facts["index"] == str(halt.index)
    return halt.index


def test_s71_a_killed_executor_costs_its_groups_no_second_and_no_leader(yard: NodeFleet) -> None:
    three_nodes(yard)
    names = [*OTHERS, "unruly"]
    before = terms(yard, *names)
    with Others(yard.client) as others:
        for node in yard.running():
            (executor,) = node.executors()
            began = time.monotonic()
            os.kill(executor, signal.SIGKILL)
            eventually(partial(others.go_on, began + 1.5))
            assert executor not in node.executors()
    longest = max(seconds for _, seconds in others.took)
    print(f"\nlongest command while executors were killed: {longest * 1000:.0f} ms")
    assert others.failures == []
    assert longest < 1.0
    assert terms(yard, *names) == before


def test_executors_end_with_a_node_that_is_killed_whatever_they_do(yard: NodeFleet, tmp_path: Path) -> None:
    yard.start("n1", executors=2)
    group = yard.client.create_group("unruly", Unruly, config=LIMITED)
    sign = tmp_path / "hangs"
    group.hang.submit(str(sign))
    eventually(sign.exists)
    executors = yard["n1"].executors()
    assert len(executors) >= 2
    yard["n1"].kill()
    try:
        eventually(lambda: not any(map(is_running, executors)))
    finally:
        for executor in filter(is_running, executors):
            os.kill(executor, signal.SIGKILL)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
