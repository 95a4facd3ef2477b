"""The cluster's commands about nodes: what each changes, and what it refuses."""

import pytest

from fleet.cluster.state import ACTIVE, INACTIVE, LEAVING
from fleet.cluster.wanted import cluster_voters, wanted_nodes
from fleet.errors import (
    BadArguments,
    NoSuchNode,
    NotActive,
    Unavailable,
)
from fleet.raft.config import GroupConfig
from fleet.raft.ids import NodeName
from tests.cluster.cluster_run import Run, refusal

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
