"""Groups in memory only on real nodes: restarts, what reaches the disk, backups to the other kind."""

import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import lmdb
import pytest

import fleet
from fleet.actors.messages.operator import LOST
from fleet.errors import GroupExists, Unavailable
from tests.support.classes import Counter
from tests.support.waiting import eventually

from .fleet_nodes import NodeFleet
from .nodes import QUICK

COMMANDS = 200


def create(yard: NodeFleet, *names: str, persist: bool = False) -> list[Counter]:
    counters = yard.client.create_groups(names, Counter, config=QUICK, persist=persist)
    yard.await_settled(names)
    return counters


def transactions(yard: NodeFleet) -> int:
    """Of all nodes' disks so far."""
    total = 0
    for node in yard.running():
        with lmdb.open(str(node.directory / "env"), readonly=True, lock=False) as disk:
            total += disk.info()["last_txnid"]
    return total


def seconds(counter: Counter) -> float:
    began = time.monotonic()
    for _ in range(COMMANDS):
        counter.add(1)
    return time.monotonic() - began


def kill(yard: NodeFleet, names: Iterable[str]) -> None:
    for name in names:
        yard[name].kill()
    for name in names:
        yard[name].launch()
    for name in names:
        yard[name].await_start()


def is_well(yard: NodeFleet, name: str) -> bool:
    hosted = yard.hosted(name).get("quick")
    return hosted is not None and not hosted.ill


def test_a_command_in_memory_writes_nothing_to_a_disk_and_is_faster(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", purge_after=600.0)
    (kept,), (quick,) = create(yard, "kept", persist=True), create(yard, "quick")
    assert seconds(kept) and seconds(quick)  # sessions are opened
    before = transactions(yard)
    on_disk = seconds(kept)
    between = transactions(yard)
    in_memory = seconds(quick)
    after = transactions(yard)
    assert between - before >= COMMANDS and after - between < COMMANDS / 4
    assert in_memory < on_disk
    (spared,) = [group for group in yard.client.groups() if group.name == "quick"]
    assert spared.is_in_memory and kept.get() == quick.get() == 2 * COMMANDS


def test_nodes_are_killed_one_after_the_other_and_their_members_are_replaced(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", purge_after=600.0)
    (kept,), (quick,) = create(yard, "kept", persist=True), create(yard, "quick")
    places = yard.places(["kept", "quick"])
    for number, name in enumerate(("n1", "n2", "n3"), 1):
        assert quick.add(1) == kept.add(1) == number
        kill(yard, [name])
        eventually(partial(is_well, yard, name), 30)
        yard.await_settled(["kept", "quick"])
    assert quick.add(1) == kept.add(1) == 4
    now = yard.places(["kept", "quick"])
    assert now["kept"] == places["kept"] and not now["quick"] & places["quick"]


def test_all_nodes_are_killed_and_a_group_in_memory_is_lost_and_said_so(
    yard: NodeFleet, tmp_path: Path
) -> None:
    """Then it is created again from a backup, on disks; and from that in memory again (RV36)."""
    yard.start("n1", "n2", "n3", purge_after=600.0)
    (kept,), (quick,) = create(yard, "kept", persist=True), create(yard, "quick")
    assert quick.add(7) == kept.add(7) == 7
    yard.client.backup(tmp_path / "one")
    kill(yard, ["n1", "n2", "n3"])
    eventually(lambda: kept.add.options(timeout=2.0)(1) > 7, 30, "the group on disks")
    assert {yard.hosted(name)["quick"].ill for name in ("n1", "n2", "n3")} == {LOST}
    with pytest.raises(Unavailable, match="in memory only and was lost") as told:
        quick.add.options(timeout=3.0)(1)
    assert "fleet doctor" in str(told.value) and "restore a backup" in str(told.value)
    client = yard.client
    client.remove_group("quick")
    eventually(lambda: "quick" not in yard.hosted("n1"), 30)
    eventually(lambda: not client.cluster().view.removed, 30)  # type: ignore[union-attr]
    client.restore(tmp_path / "one", group="quick", persist=True)
    assert quick.get() == 7 and [g.is_in_memory for g in client.groups()] == [False, False]
    kill(yard, ["n1", "n2", "n3"])
    eventually(lambda: quick.get.options(timeout=2.0)() == 7, 30, "the group that is on disks now")
    client.backup(tmp_path / "two")
    client.restore(tmp_path / "two", group="quick", name="again", persist=False)
    assert client.group("again", Counter).add(1) == 8
    client.restore(tmp_path / "one", group="quick", name="as it was")
    in_memory = {group.name for group in client.groups() if group.is_in_memory}
    assert in_memory == {"again", "as it was"}


def test_who_wants_a_group_on_disks_is_not_given_one_in_memory(yard: NodeFleet) -> None:
    yard.start("n1")
    client = yard.client
    client.create_group("quick", Counter, persist=False)
    client.create_group("quick", Counter, persist=False, exist_ok=True)
    with pytest.raises(GroupExists, match="in memory only"):
        client.create_group("quick", Counter, exist_ok=True)
    client.create_group("kept", Counter)
    client.create_group("kept", Counter, persist=False, exist_ok=True)
    assert isinstance(client, fleet.Fleet)
