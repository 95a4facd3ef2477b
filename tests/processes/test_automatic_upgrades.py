"""Groups that change to later code by themselves, on real processes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import QUICK
from tests.processes.test_upgrades import FIRST, NODES, SECOND, Shop
from tests.support.waiting import eventually

AUTOMATIC = SECOND.replace("version=2", "version=2, auto_upgrade=True")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    yield Shop(tmp_path)
    sys.modules.pop("tally_shop", None)


def test_the_first_node_that_restarts_has_the_group_changed_once_every_node_has_the_code(
    yard: NodeFleet, shop: Shop
) -> None:
    shop.deploy(FIRST, *NODES)
    for name in NODES:
        node = yard.add(name, zone=name, purge_after=600.0)
        node.path = str(shop.home / name)
        node.start()
    yard.await_nodes(*NODES)
    group: Any = yard.client.create_group("tally", shop.tally(FIRST), config=QUICK)
    assert group.put(50) == 50
    shop.deploy(AUTOMATIC, "n1", "n2")
    yard["n2"].kill()
    yard["n2"].start()
    eventually(lambda: "is not changed" in yard["n2"].log.read_text())
    assert "n3: " in yard["n2"].log.read_text()
    assert group.put(1) == 51, "one node does not have the code yet"
    shop.deploy(AUTOMATIC, "n3")
    eventually(lambda: yard.client.versions("tally").version == 2, 40.0)
    later = yard.client.group("tally", shop.tally(AUTOMATIC))
    assert later.record(1) == 52
    eventually(lambda: set(yard.client.versions("tally").nodes.values()) == {""}, 30.0)
    shop.deploy(FIRST, *NODES)
    yard["n1"].kill()
    yard["n1"].start()
    eventually(lambda: yard.client.versions("tally").nodes["n1"], 30.0)  # type: ignore[index]
    assert later.record(1) == 53, "back it does not change by itself"


def test_a_group_of_one_member_waits_while_nobody_can_try_its_state(yard: NodeFleet, shop: Shop) -> None:
    """Its commands are behind its newest snapshot, and the code that may execute them is gone."""
    shop.deploy(FIRST, "n1")
    node = yard.add("n1")
    node.path = str(shop.home / "n1")
    node.start()
    yard.await_nodes("n1")
    group: Any = yard.client.create_group("tally", shop.tally(FIRST), config=QUICK)
    assert group.put(50) == 50
    shop.deploy(AUTOMATIC, "n1")
    node.kill()
    node.start()
    eventually(lambda: "commands wait for the former code" in node.log.read_text())
    assert yard.client.versions("tally").version == 1
    shop.deploy(FIRST, "n1")
    node.kill()
    node.start()
    eventually(lambda: yard.client.versions("tally").nodes["n1"] == "", 30.0)  # type: ignore[index]
    assert group.put(1) == 51


def test_a_class_that_cannot_migrate_is_not_taken_where_all_members_found_it(
    yard: NodeFleet, shop: Shop
) -> None:
    """Nobody had tried it with a state: the switch was made, and nobody could load what is in force."""
    shop.deploy(FIRST, "n1")
    node = yard.add("n1")
    node.path = str(shop.home / "n1")
    node.start()
    yard.await_nodes("n1")
    assert yard.client.create_group("tally", shop.tally(FIRST), config=QUICK).put(50) == 50
    shop.deploy(SECOND, "n1")
    yard.client.upgrade("tally", shop.tally(SECOND))  # takes a snapshot, as the first class left it
    third = AUTOMATIC.replace("version=2", "version=3")
    shop.deploy(third.replace('state["total"]', 'state["missing"]'), "n1")
    node.kill()
    node.start()
    eventually(lambda: "KeyError" in node.log.read_text(), 30.0)
    assert yard.client.versions("tally").version == 2
    shop.deploy(third, "n1")
    node.kill()
    node.start()
    eventually(lambda: yard.client.versions("tally").version == 3, 40.0)
    eventually(lambda: yard.client.versions("tally").nodes["n1"] == "", 30.0)  # type: ignore[index]
    assert yard.client.group("tally", shop.tally(third)).record(1) == 51
