"""The cluster's commands about groups: what each changes, and what it refuses."""

import pytest

from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, INACTIVE, LEAVING
from fleet.cluster.view import ClusterView
from fleet.errors import (
    BadArguments,
    CleanupOngoing,
    GroupExists,
    NoSuchGroup,
    NoSuchNode,
    Unavailable,
)
from fleet.raft.config import GroupConfig
from fleet.raft.ids import node_of
from tests.cluster.cluster_run import CLASS, Run, places, refusal, seen

# -- groups ----------------------------------------------------------------------------------------------


def test_a_group_begins_on_the_wanted_nodes_with_the_life_that_is_its_own(three: Run) -> None:
    three.add("g")
    (group,) = three.cluster.groups.values()
    assert group.uid == group.rev == three.index
    assert {node_of(member) for member, _ in group.initial} == {"n1", "n2", "n3"}
    assert all(member.endswith(f".g{group.uid}") for member, _ in group.initial)
    assert {address for _, address in group.initial} == {"n1:1", "n2:1", "n3:1"}


def test_a_group_may_want_more_nodes_than_there_are_and_only_active_ones_count(run: Run) -> None:
    run.join("n1")
    run.join("n2", state=INACTIVE)
    run.add("g", replicas=3)
    assert [node_of(member) for member, _ in run.cluster.groups["g"].initial] == ["n1"]


def test_pinned_nodes_are_taken_in_their_order(three: Run) -> None:
    three("add_group", "g", 2, CLASS, GroupConfig(), ("n3", "n1"))
    assert [node_of(member) for member, _ in three.cluster.groups["g"].initial] == ["n3", "n1"]
    three("set_state", "n3", LEAVING)
    view = seen(three.cluster, 0, ClusterView())
    assert view.wanted(view.groups["g"]) == ("n1",)


def test_an_operators_choice_of_leader_holds_while_a_voter_is_wanted_there(three: Run) -> None:
    three.add("g")
    first, second, third = places(three, "g")
    assert three("prefer_leader", "g", third) == ""
    assert places(three, "g") == (third, first, second)
    assert three("prefer_leader", "g", second) == third
    three("set_state", second, LEAVING)
    assert places(three, "g")[0] == first
    three("set_state", second, ACTIVE)
    assert places(three, "g")[0] == second
    three("prefer_leader", "g", "")
    assert places(three, "g") == (first, second, third)


def test_a_choice_of_leader_ends_with_the_node(three: Run) -> None:
    three.add("g")
    choice = places(three, "g")[2]
    three("prefer_leader", "g", choice)
    three("prefer_leader", CLUSTER_GROUP, choice)
    assert seen(three.cluster, 0, ClusterView()).cluster_wanted().voters[0] == choice
    three("purge", choice)
    assert three.cluster.groups["g"].leader == three.cluster.cluster_leader == ""


def test_no_leader_is_wanted_where_no_voter_is(three: Run) -> None:
    three.add("one", replicas=1)
    (home,) = places(three, "one")
    other = min({"n1", "n2", "n3"} - {home})
    assert isinstance(refusal(lambda: three("prefer_leader", "one", other)), BadArguments)
    assert isinstance(refusal(lambda: three("prefer_leader", "one", "n9")), NoSuchNode)
    assert isinstance(refusal(lambda: three("prefer_leader", "none", "n1")), NoSuchGroup)


def test_a_group_is_pinned_and_placed_again(three: Run) -> None:
    three.add("g", replicas=2)
    before = places(three, "g")
    three("prefer_leader", "g", before[1])
    for wrong in (("n3",), ("n3", "n1", "n2"), ("n3", "n3")):
        refused = refusal(lambda: three("pin_group", "g", wrong))
        assert isinstance(refused, BadArguments) and "has 2 replicas" in refused.what
    assert (three.cluster.groups["g"].pinned, three.cluster.groups["g"].replicas) == ((), 2)
    three("pin_group", "g", ("n3", "n1", "n3"))
    assert (places(three, "g"), three.cluster.groups["g"].replicas) == (("n3", "n1"), 2)
    assert isinstance(refusal(lambda: three("set_replicas", "g", 3)), BadArguments)
    assert isinstance(refusal(lambda: three("pin_group", "g", ("n9",))), NoSuchNode)
    three("pin_group", "g", ())
    assert places(three, "g") == before


def test_a_group_shows_the_newest_configuration_that_was_told_and_keeps_the_first_one(three: Run) -> None:
    three.add("g")
    uid, first = three.cluster.groups["g"].uid, three.cluster.groups["g"].config
    second, third = GroupConfig(election_ms=2000), GroupConfig(election_ms=3000)
    three("note_config", "g", uid, third, 30)
    three("note_config", "g", uid, second, 20)
    three("note_config", "g", uid + 1, second, 40)
    three("note_config", "gone", uid, second, 40)
    group = three.cluster.groups["g"]
    assert (group.config, group.founding_config, group.rev) == (third, first, uid + 1)
    three("note_config", "g", uid, second, 40)
    group = three.cluster.groups["g"]
    assert (group.config, group.founding_config) == (second, first)


def test_a_group_is_pinned_to_more_nodes_where_that_is_said(three: Run) -> None:
    three.add("g", replicas=2)
    assert isinstance(refusal(lambda: three("pin_group", "g", ("n3", "n1"), 3)), BadArguments)
    three("pin_group", "g", ("n3", "n1", "n2"), 3)
    assert (places(three, "g"), three.cluster.groups["g"].replicas) == (("n3", "n1", "n2"), 3)
    three("pin_group", "g", ())
    assert three.cluster.groups["g"].replicas == 3


@pytest.mark.parametrize("name, replicas", [("", 3), (CLUSTER_GROUP, 3), ("g", 0), ("g", -1)])
def test_a_group_that_cannot_be_is_refused(three: Run, name: str, replicas: int) -> None:
    assert isinstance(refusal(lambda: three.add(name, replicas=replicas)), BadArguments)
    assert three.cluster.groups == {}


def test_names_that_are_taken_or_unknown_are_refused(three: Run) -> None:
    three.add("g")
    assert isinstance(refusal(lambda: three.add("g")), GroupExists)
    for call in (("remove_group", "h"), ("set_replicas", "h", 1)):
        assert isinstance(refusal(lambda: three(*call)), NoSuchGroup)
    pinned = ("add_group", "h", 1, CLASS, GroupConfig(), ("n9",))
    assert isinstance(refusal(lambda: three(*pinned)), NoSuchNode)
    assert isinstance(refusal(lambda: three("set_replicas", "g", 0)), BadArguments)
    assert isinstance(refusal(lambda: three("set_purge_after", 10)), BadArguments)


def test_a_group_without_an_active_node_is_refused(run: Run) -> None:
    assert isinstance(refusal(lambda: run.add("g")), Unavailable)
    run.join("n1", state=INACTIVE)
    assert isinstance(refusal(lambda: run.add("g")), Unavailable)


def test_rf1_a_removed_name_is_free_when_every_node_has_cleaned(three: Run) -> None:
    three.add("g")
    uid = three.cluster.groups["g"].uid
    three("remove_group", "g")
    for name in ("n1", "n2", "n3"):
        error = refusal(lambda: three.add("g"))
        assert isinstance(error, CleanupOngoing) and name in str(error)
        three("cleaned", (uid, 999), name)
        three("cleaned", (uid,), name)
    three.add("g")
    assert three.cluster.groups["g"].uid > uid


def test_a_removal_of_one_group_leaves_another_of_its_name(three: Run) -> None:
    three.add("g")
    uid = three.cluster.groups["g"].uid
    assert isinstance(refusal(lambda: three("remove_group", "g", uid - 1)), NoSuchGroup)
    assert three.cluster.groups["g"].uid == uid
    three("remove_group", "g", uid)
    assert three.cluster.groups == {}


def test_rf3_a_node_that_is_gone_is_not_waited_for(three: Run) -> None:
    three.add("g")
    uid = three.cluster.groups["g"].uid
    three("remove_group", "g")
    three("cleaned", (uid,), "n1")
    three("purge", "n2")
    assert three.cluster.removed[uid].waiting == ("n3",)
    three("set_state", "n3", LEAVING)
    three("left", "n3", "n3d1")
    assert three.cluster.removed == {}


def test_what_a_founder_says_of_the_purge_window_counts_while_nobody_else_has(run: Run) -> None:
    run("set_purge_after", 7000, True)
    run("set_purge_after", 8000, True)
    assert run.cluster.purge_after_ms == 7000
    run("set_purge_after", 9000)
    run("set_purge_after", 8000, True)
    assert run.cluster.purge_after_ms == 9000
