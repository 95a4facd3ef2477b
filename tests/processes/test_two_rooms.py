"""The process of consensus neither imports nor unpickles nor runs what is a user's; its executors do."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from tests.processes.fleet_nodes import FleetNode, NodeFleet

SHOP = """
import os
from dataclasses import dataclass
import fleet

RAN = os.environ["SHOP_RAN"]

def note(what):
    with open(RAN, "a") as file:
        file.write(f"{os.getpid()} {what}\\n")

note("import")

@dataclass
class Order:
    title: str
    count: int

class Watcher(fleet.LeaderHooks["Shop"]):
    def on_committed(self, event):
        note("hook")

    def on_elected(self, state, term):
        note("elected")

class Shop(fleet.Data, hooks=Watcher):
    orders: list = []

    @fleet.command
    def add(self, order):
        note("command")
        self.orders.append(order)
        return order

    @fleet.query
    def all(self):
        note("query")
        return self.orders

    def __getstate__(self):
        note("dump")
        return self.__dict__

    def __setstate__(self, state):
        note("load")
        self.__dict__.update(state)
"""
# What a process imports, however it does, and what it unpickles, also in C, from its first line on.
WATCH = """
import os, pickle, sys
SEEN = os.open(os.environ["SHOP_SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def see(*what):
    os.write(SEEN, (f"{os.getpid()} " + " ".join(map(str, what)) + chr(10)).encode())

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        see("import", name)

def audit(event, args):
    if event == "pickle.find_class":
        see("find", *args)

sys.meta_path.insert(0, Finder)
sys.addaudithook(audit)

def watched(load):
    def watching(data, *args, **kwargs):
        if b"Order" in bytes(data) or b"shop" in bytes(data):
            see("loads", len(data))
        return load(data, *args, **kwargs)
    return watching

import _pickle, cloudpickle
pickle.loads = _pickle.loads = watched(pickle.loads)
cloudpickle.loads = watched(cloudpickle.loads)
"""
OFTEN = fleet.GroupConfig(snapshot_floor_bytes=1 << 10, log_tail=1, heartbeat_ms=60, election_ms=400)


class WatchedNode(FleetNode):
    def command(self) -> list[str]:
        words = super().command()
        words[words.index("-c") + 1] = WATCH + words[words.index("-c") + 1]
        return words


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "odd_shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setenv("SHOP_RAN", str(tmp_path / "ran"))
    monkeypatch.setenv("SHOP_SEEN", str(tmp_path / "seen"))
    yield importlib.import_module("odd_shop")
    del sys.modules["odd_shop"]


def add(yard: NodeFleet, name: str, path: Path, **settings: Any) -> FleetNode:
    others = [node.address for node in yard.nodes.values()]
    node = WatchedNode(name, yard.home, yard.secret_file, join=others, zone=name, **settings)
    yard.nodes[name] = node
    node.path = str(path / "modules")
    return node


def lines(path: Path) -> list[tuple[int, str]]:
    """Process and what it did."""
    split = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
    return [(int(process), what) for process, what in split]


def start(node: FleetNode) -> int:
    """Its process."""
    node.start()
    assert node.process is not None
    return node.process.pid


def loads(seen: list[tuple[int, str]], process: int) -> list[str]:
    """What it imported or unpickled of the user's."""
    mine = [what for one, what in seen if one == process]
    assert "import fleet" in mine
    return [what for what in mine if "shop" in what or not what.startswith("import ")]


def test_the_process_of_consensus_runs_nothing_of_a_user(yard: NodeFleet, shop: Any, tmp_path: Path) -> None:
    nodes = [start(add(yard, "n1", tmp_path))]
    group = yard.client.create_group("shop", shop.Shop, replicas=2, config=OFTEN)
    for number in range(60):
        assert group.add(shop.Order("x" * 100, number)) == shop.Order("x" * 100, number)
    nodes.append(start(add(yard, "n2", tmp_path)))  # gets a snapshot
    yard.await_nodes("n1", "n2")
    yard.await_settled(["shop"])
    for node in yard.running():
        node.kill()
    nodes += [start(node) for node in yard.nodes.values()]
    group.add(shop.Order("last", 60))
    assert len(group.all()) == 61
    ran, seen = lines(tmp_path / "ran"), lines(tmp_path / "seen")
    in_executors = {what for process, what in ran if process not in (os.getpid(), *nodes)}
    assert in_executors >= {"import", "command", "query", "dump", "load", "hook", "elected"}
    assert [what for process, what in ran if process in nodes] == []
    assert [loads(seen, process) for process in nodes] == [[]] * 4


def test_a_node_without_executors_is_seen_to_import_and_unpickle(
    yard: NodeFleet, shop: Any, tmp_path: Path
) -> None:
    """What the test above relies on."""
    process = start(add(yard, "n1", tmp_path, executors=0))
    group = yard.client.create_group("shop", shop.Shop, replicas=1)
    group.add(shop.Order("first", 1))
    seen = loads(lines(tmp_path / "seen"), process)
    assert {"import odd_shop", "find odd_shop Order"} <= set(seen)
    assert any(what.startswith("loads") for what in seen)
    assert (process, "command") in lines(tmp_path / "ran")
