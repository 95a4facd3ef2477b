"""A cluster without nodes or groups, and the commands of a test."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cluster.commands import Cluster
from fleet.cluster.state import ACTIVE
from fleet.cluster.view import ClusterView
from fleet.cluster.wanted import wanted_nodes
from fleet.errors import (
    FleetError,
    Reject,
)
from fleet.interfaces import Context
from fleet.objects.context import executing
from fleet.raft.config import GroupConfig
from fleet.raft.ids import NodeName

CLASS = b"a class"


class Run:
    """A cluster and the index of its log."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.index = 1  # of the founding

    def __call__(self, method: str, *args: Any, now_ms: int = 0) -> Any:
        self.index += 1
        context = Context(revision=self.index, now_ms=now_ms, session=1, seq=self.index, client="test")
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


def refusal(call: Callable[[], Any]) -> FleetError:
    with pytest.raises(Reject) as caught:
        call()
    assert isinstance(caught.value.value, FleetError)
    return caught.value.value


# -- the view ----------------------------------------------------------------------------------------------


def seen(cluster: Cluster, since: int, view: ClusterView, rev: int = 1) -> ClusterView:
    view.update(replace(cluster.view(since), rev=max(rev, 1)))
    return view
