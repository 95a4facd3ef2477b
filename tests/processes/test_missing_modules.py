"""Nodes that cannot load the class in force at all, since its module was moved: their members keep the log
and vote, and the group is upgraded to the class in its new place (S50)."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import OtherCode
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import QUICK
from tests.processes.test_upgrades import FIRST, NODES
from tests.support.waiting import eventually

OLD, NEW = "tally_before", "tally_after"


class Places:
    def __init__(self, home: Path) -> None:
        self.home = home

    def deploy(self, module: str, *names: str) -> None:
        """This module, and not the other one."""
        for name in names:
            home = self.home / name
            home.mkdir(exist_ok=True)
            for one in (OLD, NEW):
                (home / f"{one}.py").unlink(missing_ok=True)
            (home / f"{module}.py").write_text(FIRST)

    def tally(self, module: str) -> Any:
        """As a caller has it, who has both."""
        (self.home / "here" / f"{module}.py").write_text(FIRST)
        importlib.invalidate_caches()
        return importlib.import_module(module).Tally


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    (tmp_path / "here").mkdir()
    yield Places(tmp_path)
    for module in (OLD, NEW):
        sys.modules.pop(module, None)


@pytest.fixture
def three(yard: NodeFleet, places: Places) -> NodeFleet:
    places.deploy(OLD, *NODES)
    for name in NODES:
        node = yard.add(name, zone=name, purge_after=600.0)
        node.path = str(places.home / name)
        node.start()
    yard.await_nodes(*NODES)
    return yard


def moved(yard: NodeFleet, places: Places, *names: str) -> None:
    """The module has another name there, and the nodes are restarted before the group is upgraded."""
    places.deploy(NEW, *names)
    for name in names:
        yard[name].kill()
    for name in names:
        yard[name].start()


def test_a_majority_without_the_module_votes_and_the_group_is_upgraded(
    three: NodeFleet, places: Places
) -> None:
    group: Any = three.client.create_group("tally", places.tally(OLD), config=QUICK)
    assert group.put(50) == 50
    moved(three, places, "n1", "n2")
    assert group.put(1) == 51, "the one that has the module leads, and two votes make its entries commit"
    eventually(lambda: sum(map(bool, three.client.versions("tally").nodes.values())) == 2)
    told = three.client.versions("tally").nodes
    assert "No module named 'tally_before'" in " ".join(filter(None, told.values()))
    places.deploy(NEW, "n3")
    later = places.tally(NEW)
    three.client.upgrade("tally", later)
    assert three.client.group("tally", later).put(1) == 52
    eventually(lambda: set(three.client.versions("tally").nodes.values()) == {""}, 30.0)


def test_where_nobody_has_the_module_nothing_is_lost_until_it_is_back(
    three: NodeFleet, places: Places
) -> None:
    group: Any = three.client.create_group("tally", places.tally(OLD), config=QUICK)
    assert group.put(50) == 50
    moved(three, places, *NODES)
    with pytest.raises(OtherCode, match="cannot be loaded here"):
        group.get.options(timeout=3.0)()
    places.deploy(OLD, "n2")
    three["n2"].kill()
    three["n2"].start()
    eventually(lambda: group.get() == 50, 30.0)
    places.deploy(NEW, "n2")
    later = places.tally(NEW)
    three.client.upgrade("tally", later)
    assert three.client.group("tally", later).put(1) == 51
