"""Classes whose code changes, on real processes: no log is executed by other code than its own (S50)."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.errors import CannotUpgrade, OtherCode
from fleet.raft.ids import NodeName, node_of
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import QUICK
from tests.support.waiting import eventually

FIRST = """
import fleet

class Tally(fleet.Data, version=1):
    def __init__(self):
        self.total = 0

    @fleet.command
    def put(self, n: int) -> int:
        self.total += n
        return self.total

    @fleet.query
    def get(self) -> int:
        return self.total
"""
SECOND = """
import fleet

class Tally(fleet.Data, version=2):
    def __init__(self):
        self.sums = {"all": 0}

    @classmethod
    def migrate(cls, version, state):
        return {"sums": {"all": state["total"]}}

    @classmethod
    def migrate_back(cls, version, state):
        return {"total": state["sums"]["all"]}

    @fleet.command
    def record(self, n: int) -> int:
        self.sums["all"] += n
        return self.sums["all"]

    @fleet.query
    def get(self) -> int:
        return self.sums["all"]
"""
ONE_WAY = SECOND.replace("migrate_back", "no_way_back")
BROKEN = SECOND.replace('state["total"]', 'state["missing"]')
NODES = ("n1", "n2", "n3")


class Shop:
    """The module `tally_shop`, as each node and the caller find it."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def deploy(self, text: str, *where: str) -> None:
        for name in where:
            (self.home / name).mkdir(exist_ok=True)
            (self.home / name / "tally_shop.py").write_text(text)

    def tally(self, text: str) -> Any:
        """The class as a caller with this code has it."""
        self.deploy(text, "here")
        sys.modules.pop("tally_shop", None)
        importlib.invalidate_caches()
        return importlib.import_module("tally_shop").Tally


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    yield Shop(tmp_path)
    sys.modules.pop("tally_shop", None)


@pytest.fixture
def three(yard: NodeFleet, shop: Shop) -> NodeFleet:
    shop.deploy(FIRST, *NODES)
    for name in NODES:
        node = yard.add(name, zone=name, purge_after=600.0)
        node.path = str(shop.home / name)
        node.start()
    yard.await_nodes(*NODES)
    return yard


def filled(yard: NodeFleet, tally: Any) -> Any:
    """A group whose log holds commands of the first version, and no snapshot."""
    group = yard.client.create_group("tally", tally, config=QUICK)
    for _ in range(5):
        group.put(10)
    assert group.get() == 50
    return group


def test_s50_a_command_is_renamed_and_the_state_is_migrated_without_a_restart(
    three: NodeFleet, shop: Shop
) -> None:
    group = filled(three, shop.tally(FIRST))
    shop.deploy(SECOND, *NODES)
    assert group.put(1) == 51  # what runs is still the former code
    second = shop.tally(SECOND)
    revision = three.client.upgrade("tally", second)
    group = three.client.group("tally", second)
    assert group.get() == 51
    assert group.record(9) == 60
    versions = three.client.versions("tally")
    assert (versions.version, set(versions.nodes.values())) == (2, {""})
    assert three.client.upgrade("tally", second) >= revision  # repeated: nothing happens
    for node in three.nodes.values():
        node.kill()
    for node in three.nodes.values():
        node.start()
    assert group.record(1) == 61


def test_s50_all_nodes_restart_with_a_renamed_command_and_nothing_is_lost(
    three: NodeFleet, shop: Shop
) -> None:
    """The log holds commands of the former code only: nobody executes them until that is back on one node."""
    group = filled(three, shop.tally(FIRST))
    shop.deploy(SECOND, *NODES)
    for node in three.nodes.values():
        node.kill()
    for node in three.nodes.values():
        node.start()
    second = shop.tally(SECOND)
    with pytest.raises(OtherCode):
        three.client.group("tally", second).get.options(timeout=3.0)()
    eventually(lambda: set(three.client.versions("tally").nodes.values()) - {None, ""}, 20.0)
    shop.deploy(FIRST, "n2")
    three["n2"].kill()
    three["n2"].start()
    first = three.client.group("tally", shop.tally(FIRST))
    eventually(lambda: first.get() == 50, 30.0)
    shop.deploy(SECOND, "n2")
    second = shop.tally(SECOND)
    three.client.upgrade("tally", second)
    assert three.client.group("tally", second).record(1) == 51
    del group


def test_a_class_that_cannot_take_the_state_changes_nothing(three: NodeFleet, shop: Shop) -> None:
    group = filled(three, shop.tally(FIRST))
    shop.deploy(BROKEN, *NODES)
    with pytest.raises(CannotUpgrade, match="n1.*n2.*n3"):
        three.client.upgrade("tally", shop.tally(BROKEN))
    assert group.put(1) == 51
    shop.deploy(SECOND, "n1", "n2")
    shop.deploy(FIRST, "n3")
    with pytest.raises(CannotUpgrade, match="n3: OtherCode"):
        three.client.upgrade("tally", shop.tally(SECOND))
    assert group.put(1) == 52


def test_s50_a_group_returns_to_the_former_code_if_there_is_a_way_back(three: NodeFleet, shop: Shop) -> None:
    filled(three, shop.tally(FIRST))
    for text, total in ((SECOND, 51), (ONE_WAY, 52)):
        shop.deploy(text, *NODES)
        later = shop.tally(text)
        three.client.upgrade("tally", later)
        assert three.client.group("tally", later).record(1) == total
    shop.deploy(FIRST, *NODES)
    first = shop.tally(FIRST)
    with pytest.raises(CannotUpgrade, match="no way back to version 1"):
        three.client.upgrade("tally", first)
    shop.deploy(SECOND, *NODES)
    three.client.upgrade("tally", shop.tally(SECOND))
    shop.deploy(FIRST, *NODES)
    first = shop.tally(FIRST)
    three.client.upgrade("tally", first)
    assert three.client.group("tally", first).put(1) == 53


def test_a_node_that_joins_after_an_upgrade_gets_a_member(three: NodeFleet, shop: Shop) -> None:
    """Its log begins with the snapshot, and its class is the one in force."""
    filled(three, shop.tally(FIRST))
    shop.deploy(SECOND, *NODES, "n4")
    second = shop.tally(SECOND)
    three.client.upgrade("tally", second)
    node = three.add("n4", zone="n4", purge_after=600.0)
    node.path = str(shop.home / "n4")
    node.start()
    three.await_nodes(*NODES, "n4")
    three.client.pin_group("tally", ["n4", "n1", "n2"])
    eventually(lambda: str(three.client.status("tally").leader).startswith("n4"), 40.0)
    assert three.client.group("tally", second).record(1) == 51


def test_nodes_host_groups_of_both_codes_side_by_side(three: NodeFleet, shop: Shop) -> None:
    """What a node has imported for one group does not keep it from hosting another with new code."""
    first = shop.tally(FIRST)
    filled(three, first)
    old = three.client.create_group("old", first, config=QUICK)
    old.put(7)
    shop.deploy(SECOND, *NODES)
    second = shop.tally(SECOND)
    new = three.client.create_group("new", second, config=QUICK)
    three.client.upgrade("tally", second)
    assert (new.record(3), old.put(1)) == (3, 8)
    three.client.remove_member("tally", str(follower(three, "tally")))
    eventually(lambda: len(three.client.status("tally").voters) == 3, 30.0)
    assert three.client.group("tally", second).record(1) == 51
    eventually(lambda: set(three.client.versions("tally").nodes.values()) == {""}, 30.0)


def follower(yard: NodeFleet, group: str) -> NodeName:
    status = yard.client.status(group)
    return next(node_of(voter) for voter in status.voters if voter != status.leader)


def test_a_member_with_other_code_waits_while_the_others_serve(three: NodeFleet, shop: Shop) -> None:
    group = filled(three, shop.tally(FIRST))
    shop.deploy(SECOND, "n3")
    three["n3"].kill()
    three["n3"].start()
    assert group.put(1) == 51
    eventually(lambda: "version 2" in (three.client.versions("tally").nodes[NodeName("n3")] or ""), 20.0)
    assert group.put(1) == 52
    shop.deploy(SECOND, "n1", "n2")
    second = shop.tally(SECOND)
    three.client.upgrade("tally", second)
    assert three.client.group("tally", second).record(8) == 60
    eventually(lambda: set(three.client.versions("tally").nodes.values()) == {""}, 30.0)


def test_a_class_of_a_script_is_upgraded_by_value(three: NodeFleet, shop: Shop) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(FIRST, space)
    group = three.client.create_group("tally", space["Tally"], config=QUICK)
    group.put(50)
    later: dict[str, Any] = {"__name__": "__main__"}
    exec(SECOND, later)
    three.client.upgrade("tally", later["Tally"])
    assert three.client.group("tally", later["Tally"]).record(1) == 51
    assert fleet.errors.CannotUpgrade is CannotUpgrade
