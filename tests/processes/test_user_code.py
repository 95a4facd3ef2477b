"""What users' modules and commands do to the nodes that run them, on real processes (S70, S71)."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.errors import DataClassUnavailable
from tests.processes.fleet_nodes import NodeFleet
from tests.support.classes import Counter

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
