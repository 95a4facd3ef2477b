"""A data class whose states pass gates, so that a test can hold an upgrade at a step of it on a real node."""

import importlib
import os
import sys
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

from tests.processes.fleet_nodes import NodeFleet
from tests.support.waiting import eventually

GATES = "FLEET_TEST_GATES"
COMMON = """
import os
import time
import fleet

def gate(name):
    home = os.environ.get("FLEET_TEST_GATES")
    if home is None:
        return  # at a caller
    with open(f"{home}/{name}.passed", "a") as file:
        file.write(f"{os.getpid()}\\n")
    while is_closed(f"{home}/{name}.closed"):
        time.sleep(0.005)

def is_closed(path):
    try:
        with open(path) as file:
            return str(os.getpid()) not in file.read().split()
    except FileNotFoundError:
        return False

class Gated:
    def __getstate__(self):
        gate("dump")
        return dict(self.__dict__)

    def __setstate__(self, state):
        gate("load")
        self.__dict__.update(state)
"""
FIRST = (
    COMMON
    + """
class Tally(Gated, fleet.Data, version=1):
    def __init__(self):
        self.total = 0

    @fleet.command
    def add(self, n: int) -> int:
        self.total += n
        return self.total
"""
)
SECOND = (
    COMMON
    + """
class Tally(Gated, fleet.Data, version=2):
    def __init__(self):
        self.sums = {"all": 0}

    @classmethod
    def migrate(cls, version, state):
        return {"sums": {"all": state["total"]}}

    @classmethod
    def migrate_back(cls, version, state):
        return {"total": state["sums"]["all"]}

    @fleet.command
    def add(self, n: int) -> int:
        self.sums["all"] += n
        return self.sums["all"]
"""
)
TEXTS = (FIRST, SECOND)
MODULE = "gated_tally"


class Gates:
    """Of the nodes of a fleet. A process that comes to a closed gate waits there until that is opened."""

    def __init__(self, yard: NodeFleet, home: Path) -> None:
        self.yard, self.home = yard, home

    def prepare(self, name: str) -> None:
        """Before the node is started."""
        node, home = self.yard[name], self.home / name
        home.mkdir()
        node.path, node.variables = str(home), {GATES: str(home)}

    def deploy(self, text: str) -> Any:
        """On every node, and here. Returns the class as a caller has it."""
        for name in (*self.yard.nodes, "here"):
            self.deploy_on(name, text)
        sys.modules.pop(MODULE, None)
        importlib.invalidate_caches()
        return importlib.import_module(MODULE).Tally

    def deploy_on(self, name: str, text: str) -> None:
        (self.home / name).mkdir(exist_ok=True)
        (self.home / name / f"{MODULE}.py").write_text(text)

    def close(self, gate: str, *names: str, but: dict[str, int] | None = None) -> None:
        """`but`: processes that may pass, by node."""
        for name in names:
            (self.home / name / f"{gate}.passed").unlink(missing_ok=True)
            new = self.home / name / "new"
            new.write_text(str((but or {}).get(name, "")))
            new.rename(self.home / name / f"{gate}.closed")

    def open(self, gate: str, *names: str) -> None:
        for name in names or tuple(self.yard.nodes):
            (self.home / name / f"{gate}.closed").unlink(missing_ok=True)

    def open_all(self) -> None:
        for gate in ("dump", "load"):
            self.open(gate)

    def await_at(self, gate: str, name: str, but: int = 0) -> int:
        """Until a process of that node is at the gate; its id. `but`: not that one."""

        def arrived() -> int:
            path = self.home / name / f"{gate}.passed"
            there = [int(one) for one in path.read_text().split()] if path.exists() else []
            return next((pid for pid in there if pid != but and Path(f"/proc/{pid}").exists()), 0)

        return eventually(arrived, what=f"{name} to come to the gate {gate!r}")

    def await_all_at(self, gate: str) -> dict[str, int]:
        """Those whose executor has moved, and found other code, do not come: they try the class alone."""
        nodes = self.yard.client.versions("tally").nodes
        return {name: self.await_at(gate, name) if told == "" else 0 for name, told in nodes.items()}


def in_thread(act: Any) -> "Future[Any]":
    """Nodes must be started from the main thread, so whatever blocks runs in another one."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def end(pid: int) -> None:
    os.kill(pid, 9)
