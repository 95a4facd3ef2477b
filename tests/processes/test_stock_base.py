"""The same actors on Thespian's own multiprocTCPBase, so that they never grow to depend on ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.stock_world import StockWorld


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[StockWorld]:
    world = StockWorld(tmp_path, "tests.processes.stock_base", str(tmp_path))
    yield world
    world.end()


def test_s63_on_the_stock_base_a_group_elects_commits_answers_and_survives_a_killed_leader(
    stock: StockWorld,
) -> None:
    assert stock.do("introduce") == "introduced"
    stock.do("create")
    leader = stock.do("await_leader")
    assert leader
    assert stock.do("call", "command", "add", 20, 1) == list(range(1, 21))
    assert stock.do("call", "query", "get") == [20]
    was = stock.do("kill", leader)
    assert stock.do("call", "command", "add", 20, 1) == list(range(21, 41))
    assert stock.do("await_back", leader, was)
    assert stock.do("call", "query", "get") == [40]
    assert set(stock.do("members")) == {"running"}
