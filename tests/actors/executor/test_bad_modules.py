"""Modules that exit, hang or raise when a node's executor imports them (S70)."""

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import fleet
from fleet.actors.executor import watchdog
from fleet.errors import DataClassUnavailable
from tests.support.classes import Counter
from tests.support.nodes_here import NodesHere
from tests.support.waiting import eventually

GOOD = """
import fleet

class Odd(fleet.Data):
    n: int = 0

    @fleet.command
    def add(self):
        self.n += 1
        return self.n
"""
BAD = {
    "exits": "import sys; sys.exit(3)",
    "ends its process": "import os; os._exit(3)",
    "hangs": "import time; time.sleep(1000)",
    "raises": "raise RuntimeError('not today')",
}
LIMIT_MS = 1200
SOON_S = LIMIT_MS / 1000 + 4.0


class Module:
    """`odd_shop`: fine where this process has imported it, and what a test makes of it for executors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write(GOOD)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    @property
    def cls(self) -> type[fleet.Data]:
        return importlib.import_module("odd_shop").Odd  # type: ignore[no-any-return]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    (tmp_path / "modules").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(watchdog, "LOAD_LIMIT_MS", LIMIT_MS)
    module = Module(tmp_path / "modules" / "odd_shop.py")
    assert module.cls
    yield module
    del sys.modules["odd_shop"]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[NodesHere]:
    with ExitStack() as stack:
        yield NodesHere(tmp_path, stack)


def trouble(client: fleet.Fleet, address: str) -> str:
    """Why the member of the group `odd` on that node does not run, or executes nothing; "" if it does."""
    (info,) = [one for one in client.members(address).members if one.group == "odd"]
    return info.other_code or ("" if info.state in ("running", "waiting") else info.state)


@pytest.mark.parametrize("how", BAD)
def test_s70_a_bad_module_is_an_error_at_who_creates_a_group(
    nodes: NodesHere, module: Module, how: str
) -> None:
    nodes.start("n1")
    client = nodes.connect("n1")
    even = client.create_group("even", Counter, replicas=1)
    module.write(BAD[how])
    began = time.monotonic()
    with pytest.raises(DataClassUnavailable, match="odd_shop|loading it"):
        client.create_group("odd", module.cls, replicas=1)
    assert time.monotonic() - began < SOON_S
    assert even.add(2) == 2


def test_s70_a_class_is_tried_again_when_its_executor_ended_for_another_reason(
    nodes: NodesHere, module: Module
) -> None:
    """It was killed before it read what it was asked."""
    nodes.start("n1")
    client = nodes.connect("n1")
    (executor,) = [child for child in map(int, children()) if is_executor(child)]
    os.kill(executor, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (executor, signal.SIGKILL)).start()
    assert client.create_group("odd", module.cls, replicas=1).add() == 1  # type: ignore[attr-defined]
    assert executor not in map(int, children())


def children() -> list[str]:
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split()]


def is_executor(process: int) -> bool:
    return b"executor" in Path(f"/proc/{process}/cmdline").read_bytes()


@pytest.mark.parametrize("how", BAD)
def test_s70_a_node_starts_and_serves_the_others_when_a_module_went_bad(
    nodes: NodesHere, module: Module, how: str
) -> None:
    node = nodes.start("n1")
    with fleet.connect(node.address, secret=node.secret) as client:
        even = client.create_group("even", Counter, replicas=1)
        odd = client.create_group("odd", module.cls, replicas=1)
        assert (even.add(1), odd.add()) == (1, 1)  # type: ignore[attr-defined]
    node.stop()
    module.write(BAD[how])
    began = time.monotonic()
    nodes.start("n1")
    assert time.monotonic() - began < 5.0
    client = nodes.connect("n1")
    assert client.group("even", Counter).add(1) == 2
    assert time.monotonic() - began < SOON_S
    assert eventually(lambda: trouble(client, node.address), what="the node to tell why")
    nodes.running["n1"].stop()
    module.write(GOOD)
    nodes.start("n1")
    assert nodes.connect("n1").group("odd", module.cls).add() == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["hangs"])
def test_s70_a_node_with_a_bad_module_gets_no_member_until_the_module_is_good(
    nodes: NodesHere, module: Module, how: str, tmp_path: Path
) -> None:
    nodes.start("n1")
    client = nodes.connect("n1")
    odd = client.create_group("odd", module.cls, replicas=2)
    assert odd.add() == 1  # type: ignore[attr-defined]
    tried = tmp_path / "tried"
    module.write(f"open({str(tried)!r}, 'w').close()\n{BAD[how]}")
    nodes.start("n2", "n1", zone="b")
    eventually(tried.exists, what="the other node to try the class")
    assert odd.add() == 2  # type: ignore[attr-defined]
    module.write(GOOD)
    eventually(lambda: len(client.status("odd").voters) == 2, what="the other node to have a member")
    assert odd.add() == 3  # type: ignore[attr-defined]
