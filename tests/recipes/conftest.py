from collections.abc import Iterator
from pathlib import Path

import pytest

import fleet

SECRET = "a secret of the tests, long enough"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fleet.Node]:
    directory: Path = tmp_path_factory.mktemp("node")
    with fleet.Node("n1", "127.0.0.1:0", directory, secret=SECRET, executors=0) as node:
        yield node


@pytest.fixture(scope="module")
def client(node: fleet.Node) -> Iterator[fleet.Fleet]:
    with fleet.connect(node.address, secret=SECRET) as client:
        yield client
