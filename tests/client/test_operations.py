"""What a client makes of what nodes say, one node at a time."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fleet.actors.messages.operator import ClusterSeen, GetCluster, MemberList
from fleet.actors.messages.values import NodeInfo
from fleet.client.cluster_api import Operations
from fleet.cluster.state import ACTIVE, NodeRecord, View
from fleet.errors import ConfigError, FleetError, Unavailable
from fleet.node import Node
from fleet.raft.ids import NodeName

N1, N2 = NodeName("n1"), NodeName("n2")


def info(node: NodeName) -> NodeInfo:
    return NodeInfo(node, f"{node}:1", "z", "d", 1)


def seen_by(node: NodeName, *nodes: NodeName, rev: int = 1) -> ClusterSeen:
    """Knowing of no nodes is not to have found the cluster yet."""
    records = tuple(NodeRecord(one, "d", "z", f"{one}:1", 1.0, ACTIVE) for one in nodes)
    view = View(rev, records, (), (), (), (), (), 600_000, True)
    return ClusterSeen(info(node), view if nodes else None, {})


@dataclass
class Nodes(Operations):
    """Each of them answers the next of what it is to say of the cluster, and at last the last of it again."""

    says: dict[str, list[ClusterSeen | FleetError]]
    known: list[str]
    asked: list[tuple[str, Any]] = field(default_factory=list)
    timeout: float = 5.0
    name: str = "fleet"

    def _addresses(self) -> list[str]:
        return self.known

    def _foreign(self) -> list[str]:
        return []

    def _learn(self, addresses: Sequence[str]) -> None:
        self.known = list(dict.fromkeys([*self.known, *addresses]))

    def _ask_soon(self, op: Any, group: str, address: str, repeats: bool, timeout: float | None) -> Any:
        self.asked.append((address, op))
        told, future = self.says[address], Future[Any]()
        answer = told.pop(0) if len(told) > 1 and op == GetCluster() else told[0]
        if isinstance(answer, FleetError):
            future.set_exception(answer)
        else:
            future.set_result(answer if op == GetCluster() else MemberList(answer.node, ()))
        return future


def test_a_node_that_has_not_found_its_cluster_yet_is_asked_again() -> None:
    early, late = seen_by(N2), seen_by(N2, N1, N2)
    nodes = Nodes({"n1:1": [Unavailable("down")], "n2:1": [early, early, late]}, ["n1:1", "n2:1"])
    assert nodes.cluster() == late
    assert [address for address, _ in nodes.asked].count("n1:1") == 1


def test_a_node_that_has_not_seen_what_this_client_changed_is_asked_again() -> None:
    """A group that had just been added was missing in what the first node that answered said."""
    early, late = seen_by(N1, N1, rev=8), seen_by(N1, N1, rev=9)
    nodes = Nodes({"n1:1": [early, early, late]}, ["n1:1"])
    assert nodes.cluster() == early
    nodes._committed = 9
    assert nodes.cluster() == late


def test_when_no_node_finds_its_cluster_in_time_that_is_said() -> None:
    nodes = Nodes({"n1:1": [seen_by(N1)]}, ["n1:1"])
    with pytest.raises(Unavailable, match="found its cluster") as caught:
        nodes.cluster(timeout=0.1)
    assert caught.value.facts == {"address": "n1:1"}


def test_a_node_that_joins_during_a_survey_is_asked_and_not_taken_for_silent() -> None:
    before, after = seen_by(N1, N1), seen_by(N1, N1, N2, rev=2)
    nodes = Nodes({"n1:1": [before, after], "n2:1": [seen_by(N2, N1, N2, rev=2)]}, ["n1:1"])
    survey = nodes.survey()
    assert {name: one.state for name, one in survey.nodes.items()} == {N1: ACTIVE, N2: ACTIVE}
    assert not survey.silent


@pytest.mark.parametrize("name", ["", "a/b", "a b", "n" * 201])
def test_a_node_name_that_cannot_be_is_refused_before_anything_is_made(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a node's name"):
        Node(name, data_dir=str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()
