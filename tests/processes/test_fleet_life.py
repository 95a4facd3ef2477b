"""Nodes that come, go, die and return, while every group counts on (RF5-RF9, RF20, S57, S59, S65)."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet.actors.messages.operator import Hosted, HostMember
from fleet.actors.messages.values import GroupSpec
from fleet.errors import FleetError
from fleet.raft.ids import NodeName, node_of
from tests.support.waiting import eventually

from .fleet_nodes import NodeFleet, add_all, counting, group_names, incarnation, moved, refused

ELECTION_S = 2.0
"""A follower campaigns after one to two times the election timeout."""
BACK_S = 2 * ELECTION_S
"""A node that was purged hears of it within an election timeout; then it joins."""


@pytest.mark.parametrize(
    "nodes, zones, count",
    [(3, 3, 24), (4, 2, 24), *(pytest.param(*how, 60, marks=pytest.mark.long) for how in ((3, 3), (4, 2)))],
)
def test_rf5_rf20_nodes_come_one_by_one_and_go_under_load(
    yard: NodeFleet, nodes: int, zones: int, count: int
) -> None:
    yard.start("n0", zone="z0")
    for number in range(1, nodes):
        yard.start(f"n{number}", zone=f"z{number % zones}")
    names = yard.create(group_names(count))
    with counting(yard, names) as load:
        load.await_more()
        for number in range(nodes, 2 * nodes):
            yard.start(f"n{number}", zone=f"z{number % zones}")
            yard.await_settled(names)
        load.await_more()
        for number in range(nodes):
            yard.client.drain(f"n{number}", wait_s=30)
            assert yard[f"n{number}"].await_end() == 0  # it leaves when it hosts nothing any more
            yard.drop(f"n{number}")
            yard.await_settled(names)
        load.await_more()
        assert load.longest_s < ELECTION_S
    assert set(yard.records()) == {f"n{number}" for number in range(nodes, 2 * nodes)}


def test_rf6_rf8_a_dead_node_is_purged_by_the_majority_and_its_members_are_replaced(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4")
    names = yard.create(group_names(60))
    with counting(yard, names) as load:
        load.await_more()
        yard["n4"].kill()
        unreachable = eventually(lambda: yard.client.cluster().unreachable_ms.get(NodeName("n4")))
        assert unreachable >= 1000
        assert "n4" in yard.records()
        yard.await_nodes("n1", "n2", "n3")
        yard.await_settled(names)
        load.await_more()
    for name in ("n1", "n2", "n3"):
        assert all(info.state == "running" for info in yard.hosted(name).values())


def test_rf8_a_node_that_dies_right_after_it_joined_is_purged(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3")
    node = yard.add("n4", zone="n4").start()
    eventually(lambda: "n4" in yard.records())
    node.kill()
    yard.await_nodes("n1", "n2", "n3")
    assert refused(lambda: yard.client.purge("n4")) == "NoSuchNode"


def test_rf7_a_member_of_the_cluster_group_that_is_removed_is_replaced(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3")
    before = yard.client.status("fleet:cluster")
    victim = next(member for member in before.voters if member != before.member)
    eventually(lambda: yard.client.remove_member("fleet:cluster", node_of(victim)))

    def is_replaced() -> bool:
        status = yard.client.status("fleet:cluster")
        answering = all(peer.responsive and peer.votes for peer in status.peers)
        return len(status.peers) == 2 and answering and victim not in status.voters

    eventually(is_replaced)
    assert yard.create(["g"]) == ["g"]


def test_rf9_of_five_nodes_three_are_lost_one_after_the_other(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4", "n5")
    names = yard.create(group_names(10))
    with counting(yard, names) as load:
        for count, name in enumerate(("n5", "n1", "n3"), 1):
            load.await_more()
            yard[name].kill()
            del yard.nodes[name]
            yard.await_nodes(*yard.nodes)
            yard.await_settled(names)
            assert len(yard.nodes) == 5 - count
        load.await_more()
    assert set(yard.nodes) == {"n2", "n4"}


def test_a_wiped_disk_is_another_node_and_its_old_members_are_replaced(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", purge_after=600.0)
    names = yard.create(group_names(12))
    before, disk = yard.places(names), incarnation(yard, "n3")
    with counting(yard, names) as load:
        load.await_more()
        yard["n3"].kill()
        yard["n3"].wipe()
        yard["n3"].start()
        eventually(lambda: incarnation(yard, "n3") != disk)
        yard.await_nodes("n1", "n2", "n3")
        yard.await_settled(names)
        load.await_more()
    after = yard.places(names)
    assert moved(before, after) == len(names)
    assert not any(disk in member for members in after.values() for member in members)


def test_a_node_that_moved_to_another_address_is_found_again(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", purge_after=600.0)
    names = yard.create(group_names(12))
    before = yard.places(names)
    with counting(yard, names) as load:
        yard["n2"].kill()
        yard["n2"].move()
        yard["n2"].start()
        eventually(lambda: yard.records()["n2"].address == yard["n2"].address)
        yard.await_settled(names)
        load.await_more()
    assert yard.places(names) == before


def test_a_purged_node_that_returns_is_new_and_lives_again(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4")
    names = yard.create(group_names(16))
    with counting(yard, names) as load:
        load.await_more()
        yard["n4"].pause()
        yard.await_nodes("n1", "n2", "n3")
        yard.await_settled(names)
        yard["n4"].resume()
        yard.await_nodes("n1", "n2", "n3", "n4")
        yard.await_settled(names)
        load.await_more()
    for name in yard.nodes:
        expected = {
            group for group, members in yard.places(names).items() if name in {*map(node_of, members)}
        }
        eventually(lambda: set(yard.hosted(name)) == expected, what=f"{name} to hold what it should")


def test_a_node_that_was_purged_while_it_was_down_is_back_soon_after_its_start(yard: NodeFleet) -> None:
    """Each in turn: a voter of the cluster's own group is told that it was removed when it campaigns, and a
    learner, which never does, when it asks."""
    yard.start("n1", "n2", "n3", "n4", purge_after=600.0)
    names = yard.create(group_names(8))
    add_all(yard, names, 1)
    for name in list(yard.nodes):
        yard[name].kill()
        eventually(lambda: yard.client.purge(name))
        yard.await_nodes(*(set(yard.nodes) - {name}))
        yard.await_settled(names)
        yard[name].start()
        began = time.monotonic()
        yard.await_nodes(*yard.nodes)
        yard.await_settled(names)
        assert time.monotonic() - began < BACK_S
    add_all(yard, names, 2)


def test_clocks_that_are_years_apart_break_nothing(yard: NodeFleet) -> None:
    year_ms = 365 * 86_400_000
    yard.start("n1")
    yard.start("n2", offset_ms=year_ms)
    yard.start("n3", offset_ms=-year_ms)
    yard.start("n4", offset_ms=3 * year_ms)
    names = yard.create(group_names(12))
    with counting(yard, names) as load:
        load.await_more(3)
        yard.client.drain("n2", wait_s=30)
        yard.drop("n2")
        yard.await_settled(names)
        yard["n4"].kill()
        yard.await_nodes("n1", "n3")
        load.await_more(3)
        yard["n4"].start()
        yard.await_nodes("n1", "n3", "n4")
        yard.await_settled(names)


# -- S57 ------------------------------------------------------------------------------------------------


def test_s57_two_nodes_drain_at_once_and_no_leader_goes_to_either(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4", "n5")
    names = yard.create(group_names(24))
    for name in names[:6]:
        yard.client.pin_group(name, ["n2", "n1", "n3"])
    yard.await_settled(names)
    with counting(yard, names) as load:
        load.await_more()
        yard.client.transfer_leader("fleet:cluster", "n3")
        yard.client.activate("n3")  # so that the client asks the new leader first
        yard["n2"].pause()  # it hears of both at once, and has leaderships to hand over
        yard.client.drain("n1")
        told = yard["n1"].log.stat().st_size
        yard.client.drain("n2")
        yard["n2"].resume()
        for name in ("n1", "n2"):
            assert yard[name].await_end() == 0
        with yard["n1"].log.open() as log:
            log.seek(told)
            assert re.findall(r"group=.* leads$", log.read(), re.M) == []
        yard.drop("n1")
        yard.drop("n2")
        yard.await_nodes("n3", "n4", "n5")
        yard.await_settled(names)
        load.await_more()
        assert load.longest_s < ELECTION_S


def test_s57_a_draining_node_is_killed_and_goes_on_leaving_when_it_is_back(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4", purge_after=600.0)
    names = yard.create(group_names(24))
    with counting(yard, names) as load:
        load.await_more()
        yard.client.drain("n1")
        yard["n1"].kill()
        load.await_more()
        yard["n1"].start()
        yard.await_nodes("n2", "n3", "n4")
        yard.await_settled(names)
        load.await_more()


def test_s57_a_draining_node_that_never_comes_back_is_purged(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4")
    names = yard.create(group_names(12))
    with counting(yard, names) as load:
        yard.client.drain("n1")
        yard["n1"].kill()
        del yard.nodes["n1"]
        yard.await_nodes("n2", "n3", "n4")
        yard.await_settled(names)
        load.await_more()


# -- S59, S65 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.long)])
def test_s59_a_new_node_gets_its_share_and_nobody_waits_for_long(yard: NodeFleet, count: int) -> None:
    yard.start("n1", "n2", "n3")
    names = yard.create(group_names(count))
    before = yard.places(names)
    with counting(yard, names, pace_s=count / 300) as load:  # 300 commands a second: room to move
        load.await_more()
        load.longest_s = 0.0
        yard.start("n4")
        took_s = yard.await_settled(names)
        load.await_more()
        assert load.longest_s < ELECTION_S
    assert took_s < 60
    view = yard.view()  # not before: for a moment some nodes do not know of the new one
    optimum = sum("n4" in view.wanted(group) for group in view.groups.values())
    assert moved(before, yard.places(names)) <= 1.05 * optimum


def test_a_member_whose_creation_was_abandoned_halfway_goes_on_committed_proof(yard: NodeFleet) -> None:
    """As when the leader died between asking for room and adding the member, and another one wants none."""
    yard.start("n1", "n2", "n3", "n4", purge_after=600.0)
    (name,) = yard.create(["g"])
    add_all(yard, [name], 1)
    group = yard.view().groups[name]
    (stranger,) = set(yard.nodes) - set(yard.view().wanted(group))
    spec = GroupSpec(name, group.data_class, group.config, group.uid, cluster=yard.client._uid())
    hosted = yard.client._ask(HostMember(spec, ()), address=yard[stranger].address)
    assert isinstance(hosted, Hosted) and set(yard.hosted(stranger)) == {name}
    eventually(lambda: not yard.hosted(stranger), what="the member that nobody added to be gone")
    status = yard.client.status(name)
    assert hosted.member in status.removed, "it left by a commit"
    assert hosted.member not in (*status.voters, *status.learners)
    yard.await_settled([name])
    add_all(yard, [name], 2)


def test_a_leadership_that_an_operator_moved_stays_there(yard: NodeFleet) -> None:
    """Not only until the next round: also after its node was away, and until it is released."""
    yard.start("n1", "n2", "n3", purge_after=600.0)
    (name,) = yard.create(["g"])
    first, *_, other = yard.view().wanted(yard.view().groups[name])
    yard.client.transfer_leader(name, other)
    assert node_of(yard.client.status(name).member) == other
    term = yard.client.status(name).term
    with counting(yard, [name]) as load:
        load.await_more(30)
        assert (yard.client.status(name).term, yard.leads([name])) == (term, {other: 1}), "it was handed back"
        yard[other].kill()
        load.await_more()
        yard[other].start()
        yard.await_settled([name])
        assert yard.leads([name]) == {other: 1}
        yard.client.release_leader(name)
        yard.await_settled([name])
        assert yard.leads([name]) == {first: 1}
        load.await_more()


def test_the_leadership_of_the_clusters_own_group_stays_where_it_was_moved(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", purge_after=600.0)
    before = yard.client.status("fleet:cluster")
    other = next(node_of(member) for member in before.voters if member != before.member)
    yard.client.transfer_leader("fleet:cluster", other)
    term = yard.client.status("fleet:cluster").term
    yard.create(group_names(10))
    after = yard.client.status("fleet:cluster")
    assert (node_of(after.member), after.term) == (other, term)


def test_a_group_is_pinned_to_other_nodes_under_load_and_placed_again(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4", purge_after=600.0)
    names = yard.create(group_names(4), replicas=2)
    before = yard.places(names)
    with counting(yard, names) as load:
        load.await_more()
        for name in names:
            yard.client.pin_group(name, ["n4", "n2"])
        yard.await_settled(names)
        assert yard.leads(names) == {"n4": len(names)}
        assert refused(lambda: yard.client.pin_group(names[0], ["n9"])) == "NoSuchNode"
        assert refused(lambda: yard.client.pin_group(names[0], ["n4", "n2", "n1"])) == "BadArguments"
        assert refused(lambda: yard.client.set_replicas(names[0], 3)) == "BadArguments"
        for name in names:
            yard.client.pin_group(name, [])
        yard.await_settled(names)
        load.await_more()
    assert {name: {*map(node_of, members)} for name, members in yard.places(names).items()} == {
        name: {*map(node_of, members)} for name, members in before.items()
    }


def test_s65_an_operator_and_the_reconciliation_at_once_end_where_things_belong(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3", "n4")
    names = yard.create(group_names(16))
    stop = threading.Event()
    outcomes: set[str] = set()

    def meddle() -> None:
        """As fast as it is answered. An outcome is unknown where the leader changes meanwhile."""
        turn = 0
        while not stop.is_set():
            turn += 1
            name, node = names[turn % len(names)], f"n{turn % 4 + 1}"
            act = yard.client.transfer_leader if turn % 3 else yard.client.remove_member
            try:
                act(name, node, 2.0)
                outcomes.add("")
            except FleetError as error:
                outcomes.add(type(error).__name__)

    with counting(yard, names) as load, ThreadPoolExecutor(1) as pool:
        operator = pool.submit(meddle)
        try:
            load.await_more(3)
            yard.client.drain("n4", wait_s=30)
            yard.await_nodes("n1", "n2", "n3")
            load.await_more(3)
            eventually(lambda: "" in outcomes, what="the operator to be done with a request")
        finally:
            stop.set()
        operator.result(30)
        yard.await_settled(names)
        load.await_more()
    assert outcomes <= {
        "",
        "BadArguments",
        "CannotRemoveLeader",
        "ChangeInProgress",
        "NoSuchNode",
        "NotMember",
        "OutcomeUnknown",
        "TargetUnresponsive",
        "Unavailable",
        "WouldBreakQuorum",
    }
