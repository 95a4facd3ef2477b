"""The cluster's state as nodes view it, whole and by increments, and what always holds of it."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import fleet.cluster.commands
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, INACTIVE, LEAVING, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.cluster.wanted import cluster_voters
from fleet.errors import (
    Reject,
)
from fleet.raft.ids import NodeName
from tests.cluster.cluster_run import Run, seen


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
