from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """No node of it is left, however the test ends."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


@pytest.fixture
def three(cluster: Cluster) -> Cluster:
    cluster.start(3)
    return cluster


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[NodeFleet]:
    """Many groups over nodes that come and go. No node of it is left, however the test ends."""
    yard = NodeFleet(tmp_path)
    yield yard
    yard.close()
