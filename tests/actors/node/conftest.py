"""Nodes in one thread, and nodes in this process."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.node_bench import NodeBench
from tests.support.nodes_here import NodesHere


@pytest.fixture
def bench() -> NodeBench:
    bench = NodeBench()
    bench.start()
    return bench


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[NodesHere]:
    with ExitStack() as stack:
        yield NodesHere(tmp_path, stack)
