"""All nodes stopped and started: nothing acknowledged is lost, nothing removed is back (RF21, S56)."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest

from fleet.errors import Unavailable
from tests.support.waiting import eventually

from .fleet_nodes import PURGE_S, NodeFleet, add_all, counting, group_names

FOUR = ("n1", "n2", "n3", "n4")


@pytest.mark.parametrize(
    "order",
    [
        ("n4", "n3", "n2", "n1"),
        pytest.param(("n1", "n2", "n3", "n4"), marks=pytest.mark.long),
        pytest.param(("n2", "n4", "n1", "n3"), marks=pytest.mark.long),
        pytest.param(("n3", "n1", "n4", "n2"), marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("count", [24, pytest.param(60, marks=pytest.mark.long)])
def test_s56_the_whole_fleet_is_killed_under_load_and_started_in_any_order(
    yard: NodeFleet, order: tuple[str, ...], count: int
) -> None:
    """What was under way is answered after the restart, once, by the same sequence."""
    yard.start(*FOUR, purge_after=600.0)
    names = yard.create(group_names(count))
    before = yard.places(names)
    with counting(yard, names) as load:
        load.await_more(2)
        for name in FOUR:
            yard[name].kill()
        for name in order:
            yard[name].start()
        load.await_more(2)
        yard.await_settled(names)
    assert yard.places(names) == before


def test_s56_three_nodes_are_stopped_and_started_in_each_of_the_six_orders(yard: NodeFleet) -> None:
    """Stopped in good order or killed, in turn; everything that was acknowledged is there each time."""
    yard.start("n1", "n2", "n3", purge_after=600.0)
    names = yard.create(group_names(10))
    before, counted = yard.places(names), dict[str, int]()
    for turn, order in enumerate(permutations(("n1", "n2", "n3"))):
        with counting(yard, names, counted) as load:
            load.await_more(2)
        for node in yard.nodes.values():
            node.kill() if turn % 2 else node.stop()
        for name in order:
            yard[name].start()
        with counting(yard, names, counted) as load:
            load.await_more()
        yard.await_settled(names)
        assert yard.places(names) == before
        assert {name: yard.counter(name).get() for name in names} == counted


@pytest.mark.parametrize(
    "missing", ["n1", *(pytest.param(name, marks=pytest.mark.long) for name in FOUR[1:])]
)
def test_s56_one_node_stays_away_and_everything_is_there(yard: NodeFleet, missing: str) -> None:
    yard.start(*FOUR, purge_after=600.0)
    names = yard.create(group_names(24))
    before = yard.places(names)
    with counting(yard, names) as load:
        load.await_more(2)
    for node in yard.nodes.values():
        node.stop()
    for name in reversed(FOUR):
        if name != missing:
            yard[name].start()
    with counting(yard, names, load.counted) as load:
        load.await_more(2)
    assert [group.name for group in yard.client.groups()] == sorted(names)
    yard[missing].start()
    yard.await_settled(names)
    assert yard.places(names) == before
    with counting(yard, names, load.counted) as load:
        load.await_more()


def test_s56_who_asks_for_the_cluster_while_it_starts_again_is_answered(yard: NodeFleet) -> None:
    """The first node of three knows nothing of the cluster until a second one is there."""
    yard.start("n1", "n2", "n3", purge_after=600.0)
    for name in ("n1", "n2", "n3"):
        yard[name].stop()
    yard["n3"].start()
    with pytest.raises(Unavailable, match="has found its cluster yet"):
        yard.client.cluster(timeout=0.5)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(yard.client.nodes)
        yard["n2"].start()
        assert [node.name for node in asked.result()] == ["n1", "n2", "n3"]


def test_rf21_groups_are_restored_and_removed_ones_are_not(yard: NodeFleet) -> None:
    """Also on a node that was away when they were removed, and is the first to start."""
    yard.start(*FOUR, purge_after=600.0)
    names = yard.create(group_names(20))
    add_all(yard, names, 1)
    kept, removed = names[:10], names[10:]
    held = set(yard.hosted("n4"))
    yard["n4"].stop()
    for name in removed:
        yard.client.remove_group(name)
    assert held & set(removed)
    for name in FOUR[:3]:
        yard[name].stop()
    for name in reversed(FOUR):
        yard[name].start()
    yard.await_settled(kept)
    eventually(lambda: not yard.view().removed, what="the removed groups to be gone everywhere")
    assert all(set(yard.hosted(name)) <= set(kept) for name in FOUR)
    assert {group.name for group in yard.client.groups()} == set(kept)
    add_all(yard, kept, 2)
    assert yard.create(removed) == removed
    add_all(yard, removed, 1)


def test_a_fleet_of_one_that_was_stopped_with_two_others_dead_waits_and_then_goes_on(yard: NodeFleet) -> None:
    """A group whose members are all down is restarted and never removed (W10)."""
    yard.start("n1", "n2", "n3")
    names = yard.create(group_names(6))
    add_all(yard, names, 1)
    for name in ("n1", "n2", "n3"):
        yard[name].kill()
    yard["n2"].start()
    eventually(lambda: {info.state for info in yard.hosted("n2").values()} == {"running"})
    until = time.monotonic() + 2 * PURGE_S
    while time.monotonic() < until:
        assert {info.state for info in yard.hosted("n2").values()} == {"running"}
        assert len(yard.hosted("n2")) == len(names)
    yard["n3"].start()
    add_all(yard, names, 2)
    yard["n1"].start()
    yard.await_nodes("n1", "n2", "n3")
    yard.await_settled(names)
    add_all(yard, names, 3)
