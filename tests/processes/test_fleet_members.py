"""Members that come up late, fail to, or are stale: the rest of the upstream fleet's cases (RF10-RF18)."""

import importlib

import pytest

import fleet
from fleet.actors.messages.operator import AddMember
from fleet.cluster.placement import Site, members_for
from fleet.errors import FleetError
from fleet.objects.class_refs import encode_class
from fleet.raft.ids import GroupName, NodeName, member_id, node_of
from tests.support.classes import Counter
from tests.support.waiting import eventually

from .fleet_nodes import NodeFleet, add_all, counting, group_names, incarnation, refused

LATER_S = 30.0
"""A step that was refused for good is tried again when everything is looked at: every ten rounds."""
FLAKY = """
import pathlib
import fleet

if (pathlib.Path(__file__).parent / "broken").exists():
    raise RuntimeError("broken on this host")

class Basket(fleet.Data):
    items: int = 0

    @fleet.command
    def put(self) -> int:
        self.items += 1
        return self.items
"""


def test_rf10_before_a_cluster_is_there_listings_raise(yard: NodeFleet) -> None:
    yard.add("n1", zone="z", join=["127.0.0.1:1"]).start()
    with yard.connect("n1", timeout=0.5) as client:
        for look in (client.groups, client.nodes, client.cluster, client.survey):
            assert refused(look) == "NoMajority"
        assert refused(lambda: client.create_group("g", Counter)) != ""


def test_rf10_before_activation_nodes_are_listed_and_no_group_can_be_added(yard: NodeFleet) -> None:
    yard.start("n1", active=False)
    assert {name: node.state for name, node in yard.records().items()} == {"n1": "inactive"}
    assert yard.client.groups() == []
    with pytest.raises(FleetError, match="no node is active"):
        yard.client.create_group("g", Counter)
    assert yard.client.groups() == []
    yard.client.activate("n1")
    assert yard.client.create_group("g", Counter).add(1) == 1
    assert [group.name for group in yard.client.groups()] == ["g"]


def test_rf11_a_member_that_cannot_start_at_first_is_brought_in_later(
    yard: NodeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node that should host it cannot load the class; then it can."""
    homes = {name: yard.home / f"modules of {name}" for name in ("n1", "n2")}
    for home in homes.values():
        home.mkdir()
        (home / "fleet_test_flaky.py").write_text(FLAKY)
    (homes["n2"] / "broken").touch()
    monkeypatch.syspath_prepend(homes["n1"])
    basket = importlib.import_module("fleet_test_flaky").Basket
    for name in ("n1", "n2"):
        yard.add(name, zone=name).path = str(homes[name])
    yard["n1"].start()
    eventually(lambda: "n1" in yard.records())
    yard.client._cluster.add_group("shop", 2, encode_class(basket), fleet.GroupConfig())
    group = yard.client.group("shop", basket)
    assert group.put() == 1
    yard["n2"].start()
    eventually(lambda: "broken on this host" in yard["n1"].log.read_text(), what="n1 to say why")
    assert group.put() == 2 and yard.hosted("n2") == {}
    (homes["n2"] / "broken").unlink()
    yard.await_settled(["shop"], LATER_S)
    assert len(yard.client.status("shop").voters) == 2 and group.put() == 3


def test_rf11_a_node_that_hangs_while_members_come_to_it_gets_them_when_it_goes_on(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", purge_after=600.0)
    names = yard.create(group_names(12))
    with counting(yard, names) as load:
        load.await_more()
        yard.add("n4", zone="n4").start()
        yard["n4"].pause()
        load.await_more(3)
        yard["n4"].resume()
        yard.await_nodes(*yard.nodes)
        yard.await_settled(names)
        load.await_more()
    assert yard.hosted("n4")


def test_rf11_a_node_that_dies_while_members_come_to_it_is_replaced(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3")
    names = yard.create(group_names(12))
    with counting(yard, names) as load:
        load.await_more()
        yard.add("n4", zone="n4").start()
        eventually(lambda: yard.hosted("n4"), what="the first member to come")
        yard["n4"].kill()
        del yard.nodes["n4"]
        yard.await_nodes("n1", "n2", "n3")
        yard.await_settled(names)
        load.await_more()
    members = yard.places(names)
    assert not any(node_of(member) == "n4" for group in members.values() for member in group)


def test_rf16_rf18_a_group_without_majority_stays_and_goes_on_when_a_disk_is_back(yard: NodeFleet) -> None:
    """Two of its three nodes are purged: nothing of it is removed by itself, what was acknowledged is on the
    disks, and one of the purged nodes that comes back with its disk is enough."""
    yard.start("n1", "n2", "n3", "n4", "n5", purge_after=600.0)
    homes = ["n3", "n4", "n5"]
    group = yard.client.create_group("g", Counter, nodes=homes)
    others = group_names(4)
    for name in others:
        yard.client.create_group(name, Counter, nodes=["n1", "n2", "n3"])
    assert [group.add(1) for _ in range(10)] == list(range(1, 11))
    for name in ("n4", "n5"):
        yard[name].kill()
    eventually(lambda: yard.client.status("g").role != "leader", what="the leader to step down")
    for name in ("n4", "n5"):
        yard.client.purge(name)
    yard.await_nodes("n1", "n2", "n3")
    yard.await_settled(others)
    add_all(yard, others, 1)
    status = yard.client.status("g")
    assert status.role != "leader" and set(map(node_of, status.voters)) == set(homes)
    assert "g" in yard.hosted("n3") and [info.name for info in yard.client.groups()] == ["g", *others]
    yard["n4"].start()
    yard.await_nodes("n1", "n2", "n3", "n4")
    assert group.get.options(timeout=60)() == 10
    assert group.add(1) == 11
    eventually(lambda: not any(node_of(member) == "n5" for member in yard.client.status("g").voters))
    yard["n5"].start()
    yard.await_nodes(*yard.nodes)
    yard.await_settled(["g", *others])
    assert group.add(1) == 12


def test_rf17_of_three_voters_two_are_purged_one_after_the_other_and_the_third_leads_alone(
    yard: NodeFleet,
) -> None:
    """Each is removed by a majority of those that remain. The cluster's own group, too, loses who is gone."""
    yard.start("n1", "n2", "n3", "n4", "n5", purge_after=600.0)
    group = yard.client.create_group("g", Counter, nodes=["n3", "n4", "n5"])
    for count, name in enumerate(("n4", "n5"), 1):
        yard[name].kill()
        eventually(lambda: yard.client.purge(name))
        eventually(lambda: len(yard.client.status("g").voters) == 3 - count)
        assert group.add(1) == count
    yard.await_nodes("n1", "n2", "n3")
    yard.await_settled(["g"])


def test_rf17_a_dead_voter_goes_though_nobody_can_be_brought_in_for_it(
    yard: NodeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next one that dies costs the majority. The nodes that are left cannot load the class."""
    modules = yard.home / "modules"
    modules.mkdir()
    (modules / "fleet_test_lonely.py").write_text(FLAKY)
    monkeypatch.syspath_prepend(modules)
    basket = importlib.import_module("fleet_test_lonely").Basket
    every, homes = ("n1", "n2", "n3", "n4"), ("n2", "n3", "n4")
    for node_name in every:
        node = yard.add(node_name, zone=node_name, purge_after=600.0)
        node.path = str(modules) if node_name in homes else ""
        node.start()
    yard.await_nodes(*every)
    sites = [Site(NodeName(node_name), node_name) for node_name in every]
    name = next(n for n in group_names(200) if {*members_for(GroupName(n), sites, 3)} == {*homes})
    yard.client._cluster.add_group(name, 3, encode_class(basket), fleet.GroupConfig())
    yard.await_settled([name])
    yard["n4"].kill()
    yard.client.purge("n4")
    eventually(lambda: {*map(node_of, yard.client.status(name).voters)} == {"n2", "n3"})
    assert yard.client.group(name, basket).put() == 1


def test_a_learner_that_its_node_does_not_hold_is_let_go_and_another_comes(yard: NodeFleet) -> None:
    """Left behind when a member was told to go, by a leader that did not know it, while another added it."""
    yard.start("n1", "n2", "n3", "n4", purge_after=600.0)
    group = yard.client.create_group("g", Counter, nodes=["n1", "n2", "n4"])
    assert group.add(1) == 1
    yard.client.pin_group("g", ["n1", "n2"], replicas=2)
    yard.await_settled(["g"])
    with counting(yard, ["g"], {"g": 1}) as load:
        ghost = member_id(NodeName("n4"), incarnation(yard, "n4"), 999)
        yard["n4"].pause()
        yard.client.pin_group("g", ["n1", "n2", "n4"], replicas=3)
        eventually(lambda: yard.client._ask(AddMember(ghost, yard["n4"].address), "g"))
        yard["n4"].resume()
        yard.await_settled(["g"])
        load.await_more()
    assert ghost in yard.client.status("g").removed


def test_rf12_a_removed_group_that_is_added_again_begins_anew_on_every_node(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4", "n5")
    for _ in range(3):
        group = eventually(lambda: yard.client.create_group("g", Counter, replicas=5, exist_ok=True))
        assert [group.add(1) for _ in range(10)] == list(range(1, 11))
        yard.await_settled(["g"])
        yard.client.remove_group("g")
        eventually(lambda: not any(map(yard.hosted, yard.nodes)), what="its members to be gone")
