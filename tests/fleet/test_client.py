"""A client and one node, in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.actors.member import Member

SECRET = "a secret of the tests, long enough"


class Counter(fleet.Data):
    value: int = 0

    @fleet.command
    def add(self, n: int = 1) -> int:
        """Add `n`, and say what that makes."""
        self.value += n
        return self.value

    @fleet.query
    def get(self) -> int:
        return self.value


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fleet.Node]:
    directory: Path = tmp_path_factory.mktemp("node")
    with fleet.Node("n1", "127.0.0.1:0", directory, secret=SECRET) as node:
        yield node


@pytest.fixture
def client(node: fleet.Node) -> Iterator[fleet.Fleet]:
    with connect(node) as client:
        yield client


def connect(node: fleet.Node, **options: Any) -> fleet.Fleet:
    return fleet.connect(node.address, secret=SECRET, **options)


def member_of(node: fleet.Node, group: str) -> Member:
    cells = node._system.base.kernel.cells.values()
    actors = [getattr(cell, "instance", None) for cell in cells]
    (member,) = [actor for actor in actors if isinstance(actor, Member) and actor.spec.name == group]
    return member


def test_s76_a_client_that_is_closed_leaves_no_session_behind(node: fleet.Node) -> None:
    with connect(node) as leaving:
        leaving.create_group("left", Counter, replicas=1).add()
        assert len(member_of(node, "left").applier.sessions.sessions) == 1
    with connect(node) as other:
        assert other.group("left", Counter).get() == 1
    assert member_of(node, "left").applier.sessions.sessions == {}
