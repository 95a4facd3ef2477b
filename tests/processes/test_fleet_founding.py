"""Nodes that start at once with the same seeds found exactly one cluster (S55)."""

import pytest

from fleet.errors import FleetError
from tests.support.classes import Counter
from tests.support.waiting import eventually

from .fleet_nodes import FleetNode, NodeFleet, add_all, group_names


def seeded(yard: NodeFleet, count: int, seeds: int) -> list[FleetNode]:
    """Nodes with the same seeds, none of them started."""
    nodes = [yard.add(f"n{number:02}", founders=[], zone=f"z{number % 3}") for number in range(count)]
    for node in nodes:
        node.settings["founders"] = [seed.address for seed in nodes[:seeds]]
    return nodes


def launch(*nodes: FleetNode) -> None:
    for node in nodes:
        node.launch()
    for node in nodes:
        node.await_start()


def await_one_cluster(yard: NodeFleet) -> None:
    names = tuple(sorted(node.name for node in yard.running()))

    def is_one() -> bool:
        records, statuses = set(yard.records()), yard.client.statuses("fleet:cluster")
        if set(statuses) != set(names) or records != set(yard.nodes):
            return False
        return len({status.leader for status in statuses.values()}) == 1 and yard.is_whole()

    eventually(is_one, 60, "one cluster of all")
    founders = {line for node in yard.nodes.values() for line in founded(node)}
    assert len(founders) == 1, founders


def founded(node: FleetNode) -> set[str]:
    """With whom it founded a cluster, by its log."""
    lines = node.log.read_text().splitlines()
    return {line.partition("founds cluster ")[2] for line in lines if "founds cluster" in line}


@pytest.mark.parametrize("count, seeds", [(6, 3), pytest.param(20, 5, marks=pytest.mark.long)])
def test_s55_all_start_at_once(yard: NodeFleet, count: int, seeds: int) -> None:
    launch(*seeded(yard, count, seeds))
    await_one_cluster(yard)
    for node in yard.nodes.values():
        assert " removes " not in node.log.read_text(), "a founder was taken for a stranger"
    names = yard.create(group_names(6))
    add_all(yard, names, 1)


@pytest.mark.parametrize("count, seeds", [(5, 3), pytest.param(20, 5, marks=pytest.mark.long)])
def test_s55_a_seed_is_down_and_comes_later(yard: NodeFleet, count: int, seeds: int) -> None:
    late, *others = seeded(yard, count, seeds)
    launch(*others)
    del yard.nodes[late.name]
    await_one_cluster(yard)
    yard.nodes[late.name] = late
    late.start()
    await_one_cluster(yard)
    add_all(yard, yard.create(["g"]), 1)


@pytest.mark.parametrize("moment", ["serves", "promised", "founds"])
def test_s55_the_smallest_is_killed_in_the_founding_and_comes_back(yard: NodeFleet, moment: str) -> None:
    first, *others = nodes = seeded(yard, 4, 3)
    for node in nodes:
        node.launch()
    first.await_start()
    if moment == "promised":
        others[0].await_start()
    elif moment == "founds":
        eventually(lambda: founded(first))
    first.kill()
    for node in others:
        if moment != "promised" or node is not others[0]:
            node.await_start()
    first.start()
    await_one_cluster(yard)
    add_all(yard, yard.create(["g"]), 1)


def test_s55_two_of_three_seeds_are_killed_and_come_back(yard: NodeFleet) -> None:
    nodes = seeded(yard, 5, 3)
    launch(*nodes)
    for node in nodes[:2]:
        node.kill()
    launch(*nodes[:2])
    await_one_cluster(yard)


def test_s55_a_minority_of_the_seeds_founds_nothing(yard: NodeFleet) -> None:
    nodes = seeded(yard, 3, 3)
    nodes[2].start()
    with pytest.raises(FleetError):
        yard.client.cluster(timeout=2.0)
    assert nodes[2].log.read_text().count("founds cluster") == 0
    launch(*nodes[:2])
    await_one_cluster(yard)


def test_s55_a_node_that_is_told_to_join_founds_nothing(yard: NodeFleet) -> None:
    node = yard.add("n1", zone="z", join=["127.0.0.1:1"]).start()
    with pytest.raises(FleetError):
        yard.client.cluster(timeout=2.0)
    assert "founds cluster" not in node.log.read_text()


def test_the_purge_window_is_the_founders_until_an_operator_changes_it(yard: NodeFleet) -> None:
    yard.start("n1", purge_after=600.0)
    yard.start("n2", "n3", purge_after=3.0)
    assert yard.view().purge_after_ms == 600_000
    yard.client.set_purge_after(500)
    for name in ("n1", "n2"):
        yard[name].stop()
        yard[name].start()
        yard.client.create_group(name, Counter).add(1)
        eventually(lambda: yard.client.members(yard[name].address))
    yard.await_settled(["n1", "n2"])
    assert yard.view().purge_after_ms == 500_000
