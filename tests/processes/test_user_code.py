"""What users' modules and commands do to the nodes that run them, on real processes (S70, S71)."""

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.errors import DataClassUnavailable
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import QUICK
from tests.support.classes import Counter
from tests.support.waiting import eventually

AT_THE_CALLER = """
import fleet

class Odd(fleet.Data):
    n: int = 0

    @fleet.command
    def add(self) -> int:
        self.n += 1
        return self.n
"""
ON_THE_NODES = {
    "exits": "import sys\nsys.exit(3)\n",
    "raises": "raise RuntimeError('not today')\n",
    "interrupts": "raise KeyboardInterrupt\n",
    "is interrupted in its class": "class Odd:\n    raise GeneratorExit\n",
}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """The caller's module `odd_shop`; the nodes find another one in `tmp_path / "there"`."""
    for place, text in (("here", AT_THE_CALLER), ("there", ON_THE_NODES[request.param])):
        (tmp_path / place).mkdir()
        (tmp_path / place / "odd_shop.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    yield importlib.import_module("odd_shop").Odd
    del sys.modules["odd_shop"]


@pytest.mark.parametrize("odd", ON_THE_NODES, indirect=True)
def test_s70_a_module_that_ends_its_import_on_the_nodes_is_an_error_at_the_caller(
    yard: NodeFleet, odd: type[fleet.Data], tmp_path: Path
) -> None:
    node = yard.add("n1")
    node.path = str(tmp_path / "there")
    node.start()
    with pytest.raises(DataClassUnavailable, match="odd_shop"):
        yard.client.create_group("odd", odd, replicas=1)
    assert yard.client.create_group("even", Counter, replicas=1).add(2) == 2


SLOW = """
import os, time
while os.path.exists({sign!r}):
    time.sleep(0.05)
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Any]]:
    """A class whose import does not end while the file `waits` exists."""
    text = SLOW.format(sign=str(tmp_path / "waits")) + AT_THE_CALLER
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "slow_shop.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    yield importlib.import_module("slow_shop").Odd
    del sys.modules["slow_shop"]


def test_s71_a_leader_whose_new_executor_does_not_load_the_class_hands_over(
    yard: NodeFleet, slow: type[Any], tmp_path: Path
) -> None:
    for name in ("n1", "n2", "n3"):
        node = yard.add(name, zone=name, purge_after=600.0)
        node.path = str(tmp_path / "modules")
        node.start()
    yard.await_nodes("n1", "n2", "n3")
    group = yard.client.create_group("slow", slow, config=QUICK)
    assert group.add() == 1
    yard.await_settled(["slow"])
    leader = yard.client.status("slow").leader
    assert leader is not None
    (tmp_path / "waits").touch()
    for executor in yard[leader.split("@")[0]].executors():
        os.kill(executor, signal.SIGKILL)
    assert group.add.options(timeout=20.0)() == 2
    assert yard.client.status("slow").leader != leader
    (tmp_path / "waits").unlink()
    eventually(lambda: len({status.applied for status in yard.client.statuses("slow").values()}) == 1)
    assert group.add() == 3
