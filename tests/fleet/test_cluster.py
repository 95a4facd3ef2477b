"""The cluster's own data: every command, what it refuses, and what always holds."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import fleet.cluster.commands
from fleet.cluster.commands import Cluster
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, INACTIVE, LEAVING, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.cluster.wanted import cluster_voters, wanted_nodes
from fleet.errors import (
    BadArguments,
    CleanupOngoing,
    FleetError,
    GroupExists,
    NoSuchGroup,
    NoSuchNode,
    NotActive,
    Reject,
    Unavailable,
)
from fleet.interfaces import Context
from fleet.objects.context import executing
from fleet.raft.config import GroupConfig
from fleet.raft.ids import NodeName, node_of

CLASS = b"a class"


class Run:
    """A cluster and the index of its log."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.index = 1  # of the founding

    def __call__(self, method: str, *args: Any, now_ms: int = 0) -> Any:
        self.index += 1
        context = Context(index=self.index, now_ms=now_ms, session=1, seq=self.index, client="test")
        with executing(context):
            return getattr(self.cluster, method)(*args)

    def join(self, *names: str, disk: str = "d1", state: str = ACTIVE) -> None:
        for name in names:
            self("join", name, f"{name}{disk}", f"zone of {name}", f"{name}:1", 1.0, state)

    def add(self, *names: str, replicas: int = 3) -> None:
        for name in names:
            self("add_group", name, replicas, CLASS, GroupConfig())

    def report(self, reporter: str, target: str, unreachable: bool = True) -> bool:
        node = self.cluster.nodes[NodeName(target)]
        answer = self("report", reporter, target, node.incarnation, unreachable)
        assert isinstance(answer, bool)
        return answer

    def states(self) -> dict[str, str]:
        return {node.name: node.state for node in self.cluster.nodes.values()}


def places(run: Run, group: str) -> tuple[NodeName, ...]:
    return wanted_nodes(run.cluster.groups[group], run.cluster.nodes.values())


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def three(run: Run) -> Run:
    run.join("n1", "n2", "n3")
    return run


def refusal(call: Callable[[], Any]) -> FleetError:
    with pytest.raises(Reject) as caught:
        call()
    assert isinstance(caught.value.value, FleetError)
    return caught.value.value


# -- nodes -----------------------------------------------------------------------------------------------


def test_a_node_that_joins_again_as_it_was_changes_nothing(run: Run) -> None:
    run.join("n1")
    assert run("join", "n1", "n1d1", "zone of n1", "n1:1", 1.0, ACTIVE) == 2
    assert run("join", "n1", "n1d1", "zone of n1", "elsewhere:2", 1.0, ACTIVE) == 4
    assert run.cluster.nodes[NodeName("n1")].address == "elsewhere:2"


def test_a_known_disk_keeps_its_state_and_another_one_does_not(three: Run) -> None:
    three("set_state", "n1", LEAVING)
    three.join("n1")
    assert three.states()["n1"] == LEAVING
    three.join("n1", disk="d2")
    assert three.states()["n1"] == ACTIVE


@pytest.mark.parametrize("state", ["", LEAVING, "asleep"])
def test_a_node_joins_active_or_inactive(run: Run, state: str) -> None:
    assert isinstance(refusal(lambda: run.join("n1", state=state)), BadArguments)
    assert run.cluster.nodes == {}


def test_activating_and_draining_may_be_repeated(three: Run) -> None:
    for state in (ACTIVE, ACTIVE, LEAVING, LEAVING, ACTIVE, INACTIVE):
        three("set_state", "n1", state)
        assert three.states()["n1"] == state
    rev = three.cluster.nodes[NodeName("n1")].rev
    three("set_state", "n1", INACTIVE)
    assert three.cluster.nodes[NodeName("n1")].rev == rev


def test_what_is_no_node_and_no_state_is_refused(three: Run) -> None:
    assert isinstance(refusal(lambda: three("set_state", "n9", ACTIVE)), NoSuchNode)
    assert isinstance(refusal(lambda: three("set_state", "n1", "asleep")), BadArguments)
    assert isinstance(refusal(lambda: three("purge", "n9")), NoSuchNode)


def test_the_last_active_node_neither_leaves_nor_is_purged(three: Run) -> None:
    three("set_state", "n1", LEAVING)
    three("set_state", "n2", LEAVING)
    for method, args in (("set_state", ("n3", LEAVING)), ("purge", ("n3",))):
        assert isinstance(refusal(lambda: three(method, *args)), Unavailable)
    assert three.states()["n3"] == ACTIVE


def test_a_group_whose_own_nodes_all_leave_is_placed_like_any_other(three: Run) -> None:
    three("add_group", "g", 1, b"class", GroupConfig(), ("n1",))
    records = three.cluster.nodes
    assert wanted_nodes(three.cluster.groups["g"], records.values()) == ("n1",)
    three("set_state", "n1", LEAVING)
    (elsewhere,) = wanted_nodes(three.cluster.groups["g"], records.values())
    assert elsewhere in {"n2", "n3"}


def test_only_a_leaving_node_has_left_and_only_with_the_disk_that_left(three: Run) -> None:
    assert isinstance(refusal(lambda: three("left", "n1", "n1d1")), NotActive)
    three("set_state", "n1", LEAVING)
    three("left", "n1", "another disk")
    three("left", "n9", "n9d1")
    assert "n1" in three.states()
    three("left", "n1", "n1d1")
    three("left", "n1", "n1d1")
    assert set(three.states()) == {"n2", "n3"}


# -- purging ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(1, 8))
def test_a_purge_needs_a_majority_of_the_voters(run: Run, count: int) -> None:
    names = [f"n{number}" for number in range(count)]
    run.join(*names)
    voters = cluster_voters(run.cluster.nodes.values())
    assert len(voters) == min(5, count - (count + 1) % 2) and len(voters) % 2 == 1
    others = [name for name in names if name not in voters]
    target = others[0] if others else str(voters[0])
    reporters = [voter for voter in voters if voter != target]
    for name in others:
        if name != target:
            assert not run.report(name, target), "only voters are heard"
    for heard, reporter in enumerate(reporters, 1):
        purged = run.report(reporter, target)
        assert purged == (heard > len(voters) // 2)
        if purged:
            assert target not in run.states()
            return
    assert len(reporters) <= len(voters) // 2


def test_reports_are_withdrawn_and_count_once(run: Run) -> None:
    run.join("n1", "n2", "n3", "n4", "n5")
    for _ in range(5):
        assert not run.report("n1", "n5")
    assert not run.report("n2", "n5")
    assert not run.report("n1", "n5", unreachable=False)
    assert not run.report("n3", "n5")
    assert run.report("n1", "n5")
    assert "n5" not in run.states()


def test_reports_of_strangers_and_of_another_disk_are_not_heard(three: Run) -> None:
    assert not three("report", "n9", "n1", "n1d1", True)
    assert not three("report", "n2", "n1", "another disk", True)
    assert not three("report", "n2", "n9", "n9d1", True)
    assert three.cluster.nodes[NodeName("n1")].reports == {}


def test_the_reports_of_a_node_that_is_gone_are_forgotten(run: Run) -> None:
    run.join("n1", "n2", "n3", "n4", "n5")
    run.report("n1", "n5")
    run("purge", "n1")
    assert run.cluster.nodes[NodeName("n5")].reports == {}


def test_a_node_that_came_with_a_new_disk_is_not_blamed_for_the_old_one(three: Run) -> None:
    three.report("n1", "n3")
    three.join("n3", disk="d2")
    assert three.cluster.nodes[NodeName("n3")].reports == {}


def test_a_report_tells_since_when(three: Run) -> None:
    three("report", "n1", "n3", "n3d1", True, now_ms=5000)
    assert three.cluster.nodes[NodeName("n3")].reports == {"n1": 5000}


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


# -- the view ----------------------------------------------------------------------------------------------


def seen(cluster: Cluster, since: int, view: ClusterView, rev: int = 1) -> ClusterView:
    view.update(replace(cluster.view(since), rev=max(rev, 1)))
    return view


def content(view: ClusterView) -> tuple[Any, ...]:
    own = view.purge_after_ms, view.purge_after_rev, view.cluster_leader
    return view.nodes, view.groups, view.removed, own


NODES = ("n1", "n2", "n3", "n4")
node_names = st.sampled_from(NODES)
disks = st.sampled_from(["d1", "d2"])
groups = st.sampled_from(["a", "b", "c"])
operations = st.one_of(
    st.tuples(st.just("join"), node_names, disks, st.sampled_from([ACTIVE, INACTIVE])),
    st.tuples(st.just("set_state"), node_names, st.sampled_from([ACTIVE, INACTIVE, LEAVING])),
    st.tuples(st.just("left"), node_names, disks),
    st.tuples(st.just("report"), node_names, node_names, st.booleans()),
    st.tuples(st.just("purge"), node_names),
    st.tuples(st.just("add_group"), groups, st.integers(-1, 4)),
    st.tuples(st.just("remove_group"), groups),
    st.tuples(st.just("cleaned"), st.integers(0, 3), node_names),
    st.tuples(st.just("set_replicas"), groups, st.integers(0, 4)),
    st.tuples(st.just("prefer_leader"), st.sampled_from(["a", "b", CLUSTER_GROUP]), node_names),
    st.tuples(
        st.just("pin_group"), groups, st.lists(node_names, max_size=2).map(tuple), st.integers(0, 2)
    ),  # fmt: skip
    st.tuples(st.just("set_purge_after"), st.sampled_from([10, 1000, 5000])),
    st.tuples(st.just("look")),
)


def operate(run: Run, operation: tuple[Any, ...]) -> None:
    match operation:
        case ("join", name, disk, state):
            run.join(name, disk=disk, state=state)
        case ("left", name, disk):
            run("left", name, f"{name}{disk}")
        case ("report", reporter, target, unreachable):
            if target in run.cluster.nodes:
                run.report(reporter, target, unreachable)
        case ("add_group", name, replicas):
            run.add(name, replicas=replicas)
        case ("cleaned", place, name):
            uids = tuple(run.cluster.removed)[place : place + 1]
            run("cleaned", uids, name)
        case (method, *args):
            run(method, *args)


@settings(deadline=None)
@given(st.lists(operations, max_size=60), st.integers(1, 3))
def test_what_always_holds(history: list[tuple[Any, ...]], kept_max: int) -> None:
    """A name is in groups or removed, never both; a refusal changes nothing; a view brought up to date
    piece by piece, also one that looked so long ago that what it missed was forgotten, equals the whole."""
    run, view = Run(), ClusterView()
    with patch.object(fleet.cluster.commands, "GONE_KEPT_MAX", kept_max):
        for operation in history:
            if operation == ("look",):
                seen(run.cluster, view.rev, view, run.index)
                assert content(view) == content(seen(run.cluster, 0, ClusterView()))
                continue
            before = content(seen(run.cluster, 0, ClusterView()))
            try:
                operate(run, operation)
            except Reject:
                assert content(seen(run.cluster, 0, ClusterView())) == before
            cluster = run.cluster
            removed = [removal.name for removal in cluster.removed.values()]
            assert len({*removed, *cluster.groups}) == len(removed) + len(cluster.groups)
            assert all(set(removal.waiting) <= set(cluster.nodes) for removal in cluster.removed.values())
            assert all(removal.waiting for removal in cluster.removed.values())
            assert all(set(node.reports) <= set(cluster.nodes) for node in cluster.nodes.values())
            assert not set(cluster.gone_nodes) & set(cluster.nodes)
            assert not set(cluster.gone_groups) & set(cluster.groups)
            preferred = {cluster.cluster_leader, *(group.leader for group in cluster.groups.values())}
            assert preferred <= {"", *cluster.nodes}
        seen(run.cluster, view.rev, view, run.index)
        assert content(view) == content(seen(run.cluster, 0, ClusterView()))


def test_a_view_is_as_big_as_what_changed(three: Run) -> None:
    for number in range(50):
        three.add(f"g{number}")
    rev = three.index
    three("set_replicas", "g7", 2)
    view = three.cluster.view(rev)
    assert not view.whole
    assert ([group.name for group in view.groups], view.nodes, view.gone_groups) == (["g7"], (), ())


@pytest.mark.parametrize(
    "count, zones, expected", [(1, 1, 1), (2, 2, 1), (3, 3, 3), (4, 4, 3), (9, 3, 5), (20, 5, 5)]
)
def test_voters_are_few_odd_and_spread_over_zones(count: int, zones: int, expected: int) -> None:
    nodes = [
        NodeRecord(NodeName(f"n{number}"), "d", f"z{number % zones}", "", 0.0, ACTIVE)
        for number in range(count)
    ]
    voters = cluster_voters(nodes)
    assert len(voters) == expected
    homes = {node.zone for node in nodes if node.name in voters}
    assert len(homes) == min(zones, expected)
    leaving = [replace(node, state=LEAVING) if node.name == voters[0] else node for node in nodes]
    assert voters[0] not in cluster_voters(leaving)
