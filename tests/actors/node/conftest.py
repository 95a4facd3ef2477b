"""A node in one thread."""

import pytest

from tests.support.node_bench import NodeBench


@pytest.fixture
def bench() -> NodeBench:
    bench = NodeBench()
    bench.start()
    return bench
