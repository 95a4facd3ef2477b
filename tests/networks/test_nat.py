"""Clients and nodes behind routers that translate addresses, and that forget connections without a word."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fleet.recipes import JobQueue
from tests.processes.fleet_nodes import NodeFleet, group_names
from tests.support.classes import Counter, Feed
from tests.support.waiting import eventually

from .hosts import ROOT, SwitchedFleet, why_not

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
THREE = ("n1", "n2", "n3")
FORGOTTEN_S = 10.0
"""What fleet/docs/networks.md says."""
IDLE_S = 4.0
"""Far below what routers have: a minute and more."""
GROUPS: dict[str, Any] = {"visits": Counter, "feed": Feed, "jobs": JobQueue[int]}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwitchedFleet]:
    hosts = SwitchedFleet(tmp_path_factory.mktemp("hosts"))
    try:
        hosts.start(*THREE, purge_after=600.0)
        yield hosts
    finally:
        hosts.close()


class Visitor:
    """A client behind a router, as a process (`tests/networks/visitor.py`)."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said = {what: queue.Queue[Any]() for what in ("watches", "added", "event", "job")}
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            what, value = json.loads(line)
            self.said[what].put(value)

    def add(self) -> float:
        """How long a command took."""
        assert self.process.stdin is not None
        self.process.stdin.write("add\n")
        self.process.stdin.flush()
        took: float = self.await_said("added")
        return took

    def await_said(self, what: str, wait_s: float = 30.0) -> Any:
        return self.said[what].get(timeout=wait_s)


@contextmanager
def visitor(hosts: SwitchedFleet, kind: str) -> Iterator[Visitor]:
    for group, data_class in GROUPS.items():
        hosts.client.create_group(group, data_class, exist_ok=True)
    wrapper = hosts.add_home(kind, IDLE_S)
    addresses = ",".join(hosts[node].address for node in THREE)
    about = addresses, str(hosts.secret_file), "test", kind
    words = [*wrapper, sys.executable, "-m", "tests.networks.visitor", *about]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        try:
            one = Visitor(process)
            one.await_said("added")
            yield one
        finally:
            process.kill()


def test_an_idle_connection_is_kept_alive(hosts: SwitchedFleet) -> None:
    with visitor(hosts, "caller") as one:
        made = hosts.connections_made("caller")
        time.sleep(2 * IDLE_S)  # that nobody says anything
        assert one.add() < 2
        assert hosts.connections_made("caller") == made


def test_calls_watches_and_workers_go_on_when_the_router_forgets_their_connections(
    hosts: SwitchedFleet,
) -> None:
    client = hosts.client
    with visitor(hosts, "worker") as one:
        before = client.group("visits", Counter).get()
        feed, jobs = client.group("feed", Feed), client.group("jobs", JobQueue[int])
        one.await_said("watches")
        feed.write("first", 1)
        assert one.await_said("event") == 1
        made = hosts.connections_made("worker")
        for act in ("add", "event", "job"):
            hosts.forget_connections("worker")
            began = time.monotonic()
            if act == "add":
                one.add()
            elif act == "event":
                feed.write("then", 2)
                assert one.await_said("event") == 2
            else:
                jobs.put(3)
                assert one.await_said("job") == 3
            assert time.monotonic() - began < FORGOTTEN_S, act
        assert client.group("visits", Counter).get() == before + 1, "once"
        assert hosts.connections_made("worker") > made


def test_a_node_behind_a_router_is_reached_where_it_advertises(hosts: SwitchedFleet) -> None:
    """It listens at an address that nobody else reaches; the router passes its port on."""
    wrapper = hosts.add_home("n4", idle_s=60.0, forwarded=(7400,))
    advertised = f"{hosts.routers['n4'][1]}:7400"
    node = NodeFleet.add(hosts, "n4", zone="n4", advertise=advertised)
    node.address, node.wrapper = "0.0.0.0:7400", wrapper
    node.start()
    hosts.await_nodes(*THREE, "n4")
    eventually(lambda: advertised in {one.address for one in hosts.client.nodes()}, 10, "its address")
    names = group_names(3)
    for name in names:
        hosts.client.create_group(name, Counter, nodes=("n4", "n1", "n2")).add(1)
    eventually(lambda: all(hosts.client.whereis(name) == "n4" for name in names), 20, "n4 to lead")
    hosts.forget_connections("n4")
    began = time.monotonic()
    assert [hosts.client.group(name, Counter).add(1) for name in names] == [2, 2, 2]
    assert time.monotonic() - began < FORGOTTEN_S
    hosts.await_settled(names)
