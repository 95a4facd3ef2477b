"""Groups added and removed over many nodes, and what is refused (RF1-RF4, S58)."""

import importlib
import time
from pathlib import Path

import msgspec
import pytest

import fleet
from fleet.actors.node.hosted_members import LEFT_KEY
from fleet.client import cluster_api as operations
from fleet.client.cluster_api import Operations
from fleet.client.survey import RUNNING
from fleet.cluster.state import GroupInfo
from fleet.errors import CleanupOngoing, OtherDataClass
from fleet.objects.class_refs import encode_class
from fleet.storage import LmdbStore
from tests.support.classes import Counter, Ledger
from tests.support.waiting import eventually

from .fleet_nodes import NodeFleet, add_all, counting, group_names, refused
from .nodes import CLUSTER

GONE_S = 5.0
SHOP = """
import fleet

class Basket(fleet.Data):
    items: int = 0

    @fleet.command
    def put(self) -> int:
        self.items += 1
        return self.items
"""


def on_disk(home: Path, name: str) -> tuple[set[str], list[int]]:
    """The groups of a node that does not run, and the ids of those that it remembers to have left: until no
    restart can show them to it again."""
    store = LmdbStore(home / name, cluster=CLUSTER, node=name)
    try:
        left = store.get_meta(LEFT_KEY)
        return {record.name for record in store.groups()}, msgspec.msgpack.decode(left) if left else []
    finally:
        store.close()


def test_new_groups_wait_for_events_and_for_no_timer(
    yard: NodeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was polled for each 20 ms, and each 250 ms where a node had not heard of the group yet."""
    yard.start("n1", "n2", "n3")

    def polled(*args: object) -> None:
        raise AssertionError("the leader was looked for")

    monkeypatch.setattr(Operations, "_await_leader", polled)
    monkeypatch.setattr(operations, "FIRST_S", 30.0)
    for name in group_names(5):
        assert yard.client.create_group(name, Counter).add(1) == 1
    names = [f"many{number}" for number in range(20)]
    assert [group.add(1) for group in yard.client.create_groups(names, Counter)] == [1] * 20
    assert all(set(names) <= set(yard.hosted(node)) for node in yard.nodes)
    assert refused(lambda: yard.client.create_groups(["new", "many3"], Counter)) == "GroupExists"
    assert "new" in [group.name for group in yard.client.groups()]


@pytest.mark.parametrize("nodes, zones", [(3, 3), (4, 2)])
def test_rf4_groups_spread_evenly_and_each_client_counts_on(yard: NodeFleet, nodes: int, zones: int) -> None:
    count = 60
    yard.start("n1", zone="z0")
    for number in range(1, nodes):
        yard.start(f"n{number + 1}", zone=f"z{number % zones}")
    names = yard.create(group_names(count))
    with counting(yard, names) as load:
        load.await_more(5)
    leads = yard.leads(names)
    assert max(leads.values()) <= 4 * count / nodes
    for status in yard.statuses(names).values():
        homes = {yard.records()[node.partition("@")[0]].zone for node in status.voters}
        assert len(homes) == min(zones, 3)
    assert refused(lambda: yard.counter("nothing").add.options(timeout=5).submit(1).result()) == "NoSuchGroup"
    assert refused(lambda: yard.client.create_group("g0", Counter)) == "GroupExists"
    assert refused(lambda: yard.client.remove_group("nothing")) == "NoSuchGroup"


def test_rf1_rf2_removed_groups_are_gone_soon_with_their_data_and_may_be_added_again(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3")
    names = yard.create(group_names(100))
    add_all(yard, names, 1)
    removed = {group.uid for group in yard.view().groups.values()}
    began = time.monotonic()
    for reply in [yard.client._cluster.remove_group.submit(name) for name in names]:
        reply.result()
    eventually(lambda: not any(map(yard.hosted, yard.nodes)), GONE_S, "the members to be gone")
    assert time.monotonic() - began < GONE_S
    eventually(lambda: not yard.view().removed, what="all nodes to say so")
    yard.create(["g0"])
    assert yard.counter("g0").add(1) == 1
    for node in yard.nodes.values():
        node.stop()
        groups, left = on_disk(yard.home, node.name)
        assert groups == {"fleet:cluster", "g0"}
        assert removed.issuperset(left)
    for node in yard.nodes.values():
        node.launch()
    yard.await_settled(["g0"])
    assert yard.counter("g0").add(1) == 2
    assert all(set(yard.hosted(name)) == {"g0"} for name in yard.nodes)


def test_rf1_s58_a_name_is_not_given_again_while_a_node_that_is_away_may_hold_it(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", purge_after=600.0)
    yard.create(["g"])
    add_all(yard, ["g"], 1)
    yard["n3"].pause()
    yard.client.remove_group("g")
    eventually(lambda: [removal.waiting for removal in yard.view().removed.values()] == [("n3",)])
    for _ in range(10):
        with pytest.raises(CleanupOngoing, match="n3"):
            yard.client.create_group("g", Counter)
    yard["n3"].resume()
    again = eventually(lambda: yard.client.create_group("g", Counter))
    assert [again.add(1) for _ in range(10)] == list(range(1, 11))


def test_rf3_s58_cleaning_goes_on_after_a_node_died(yard: NodeFleet) -> None:
    """Added, removed and added again while a node is dead: it is purged, and when it comes back, the member
    on its disk joins nobody."""
    yard.start("n1", "n2", "n3", "n4")
    names = yard.create(group_names(12))
    add_all(yard, names, 1)
    yard["n4"].kill()
    for name in names:
        yard.client.remove_group(name)
    assert refused(lambda: yard.client.create_group("g0", Counter)) == "CleanupOngoing"
    yard.await_nodes("n1", "n2", "n3")
    yard.create(names)
    add_all(yard, names, 1)
    yard["n4"].start()
    yard.await_nodes("n1", "n2", "n3", "n4")
    yard.await_settled(names)
    add_all(yard, names, 2)
    members = yard.places(names)
    for name in yard.nodes:
        wanted = {group: info.member for group, info in yard.hosted(name).items()}
        assert all(member in members[group] for group, member in wanted.items()), "a former one lives"


def test_s58_added_and_removed_again_and_again(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", purge_after=600.0)
    yard["n3"].kill()
    for _ in range(3):
        yard.client.create_group("h", Counter, nodes=["n1", "n2"]).add(1)
        yard.client.remove_group("h")
        assert refused(lambda: yard.client.create_group("h", Counter)) == "CleanupOngoing"
        yard["n3"].start()
        eventually(lambda: not yard.view().removed)
        group = yard.client.create_group("h", Counter)
        assert [group.add(1), group.add(1)] == [1, 2]
        yard["n3"].kill()
        yard.client.remove_group("h")
        yard["n3"].start()
        eventually(lambda: not yard.view().removed)
        yard["n3"].kill()


# -- bad input --------------------------------------------------------------------------------


def test_what_cannot_be_is_refused_and_changes_nothing(yard: NodeFleet) -> None:
    yard.start("n1")
    client = yard.client
    assert refused(lambda: client.create_group("g", Counter, replicas=0)) == "BadArguments"
    assert refused(lambda: client.create_group("g", Counter, replicas=-1)) == "BadArguments"
    assert refused(lambda: client.create_group("", Counter)) == "BadArguments"
    assert refused(lambda: client.create_group("fleet:cluster", Counter)) == "BadArguments"
    assert refused(lambda: client.create_group("g", Counter, nodes=["n9"])) == "NoSuchNode"
    assert refused(lambda: client.drain("n9")) == "NoSuchNode"
    assert refused(lambda: client.purge("n9")) == "NoSuchNode"
    assert refused(lambda: client.activate("n9")) == "NoSuchNode"
    assert client.groups() == []
    group = client.create_group("g", Counter, replicas=3)
    assert group.add(1) == 1
    assert refused(lambda: client.create_group("g", Counter)) == "GroupExists"
    assert client.create_group("g", Counter, exist_ok=True).add(1) == 2
    with pytest.raises(OtherDataClass, match=r"classes\.Counter, not .*classes\.Ledger"):
        client.create_group("g", Ledger, exist_ok=True)
    assert refused(lambda: client.drain("n1")) == "Unavailable"
    assert refused(lambda: client.purge("n1")) == "Unavailable"
    client.activate("n1")
    client.activate("n1")
    assert yard.records()["n1"].state == "active"
    assert group.add(1) == 3


def test_changes_return_their_revisions_and_show_at_once(yard: NodeFleet) -> None:
    """`groups()` went on showing the settings of the creation, and what a node that lagged knew."""
    yard.start("n1", "n2", "n3")
    client = yard.client

    def shown() -> GroupInfo:
        (group,) = client.groups()
        return group

    group = client.create_group("g", Counter, replicas=3)
    for _ in range(3):
        group.add(1)
    first, changed = shown().config, fleet.GroupConfig(election_ms=2000)
    assert client.change_config("g", changed) == 4, "after three commands"
    assert (shown().config, shown().founding_config) == (changed, first)
    revisions = [shown().rev]
    revisions.append(client.pin_group("g", ["n2", "n3", "n1"]))
    assert shown().pinned == ("n2", "n3", "n1")
    revisions.append(client.pin_group("g", []))
    assert shown().pinned == ()
    revisions.append(client.transfer_leader("g", "n3"))
    assert shown().leader == "n3" and shown().rev == revisions[-1]
    revisions.append(client.release_leader("g"))
    assert shown().leader == ""
    revisions.append(client.set_replicas("g", 2))
    assert shown().replicas == 2
    revisions.append(client.drain("n3"))
    revisions.append(client.activate("n1"))
    revisions.append(client.set_purge_after(60))
    eventually(lambda: len(client.status("g").voters) == 2, what="the third member to go")
    revisions.append(client.remove_group("g"))
    assert client.groups() == []
    assert revisions == sorted(set(revisions))


def test_more_replicas_than_nodes_are_completed_as_nodes_come(yard: NodeFleet) -> None:
    yard.start("n1")
    names = yard.create(group_names(5), replicas=3)
    with counting(yard, names) as load:
        for count, name in enumerate(("n2", "n3", "n4"), 2):
            yard.start(name)
            yard.await_settled(names)
            sizes = {len(status.voters) for status in yard.statuses(names).values()}
            assert sizes == {min(count, 3)}
            load.await_more()


def test_draining_twice_and_activating_a_node_that_leaves(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4")
    names = yard.create(group_names(12))
    add_all(yard, names, 1)
    yard.client.drain("n2")
    if "n2" in yard.records():
        yard.client.drain("n2")
    yard.await_nodes("n1", "n3", "n4")
    assert refused(lambda: yard.client.drain("n2")) == "NoSuchNode"
    yard.await_settled(names)
    add_all(yard, names, 2)


def test_a_class_that_one_node_cannot_load_is_said_by_name_and_the_others_serve(
    yard: NodeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = yard.home / "modules"
    modules.mkdir()
    (modules / "fleet_test_shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(modules)
    basket = importlib.import_module("fleet_test_shop").Basket
    for name in ("n1", "n2", "n3"):
        node = yard.add(name, zone=name)
        node.path = "" if name == "n3" else str(modules)
        node.start()
    yard.await_nodes("n1", "n2", "n3")
    yard.client._cluster.add_group("shop", 3, encode_class(basket), fleet.GroupConfig())
    names = yard.create(group_names(4))
    group = yard.client.group("shop", basket)
    assert [group.put(), group.put()] == [1, 2]
    why = eventually(lambda: yard.hosted("n3")["shop"].other_code)
    assert "fleet_test_shop" in why and yard.hosted("n3")["shop"].state == RUNNING
    assert "fleet_test_shop" in yard["n3"].log.read_text()
    add_all(yard, names, 1)
