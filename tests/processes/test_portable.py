"""Three nodes without what only Linux has: pairs of sockets and temporary files do its work."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.processes.nodes import (
    QUICK,
    Cluster,
    CounterLoad,
    NodeProcess,
    eventually,
    leader_node,
    member_status,
)
from tests.support.classes import Counter, Shelf
from tests.support.portable import environment

VALUE = bytes(range(256)) * 4000
"""A state of a few is more than goes to an executor in a message."""
SNAPSHOTS = msgspec.structs.replace(QUICK, snapshot_factor=1.0, snapshot_floor_bytes=1 << 16)


class PortableNode(NodeProcess):
    def environment(self) -> dict[str, str]:
        return environment()


class PortableCluster(Cluster):
    node_class = PortableNode


@pytest.fixture
def portable(tmp_path: Path) -> Iterator[Cluster]:
    cluster = PortableCluster(tmp_path)
    yield cluster
    cluster.close()


def is_there(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_leaders_are_killed_and_nothing_is_lost_or_doubled(portable: Cluster) -> None:
    portable.start(3)
    client = portable.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    with CounterLoad(counter, writers=3, readers=1, depth=20) as load:
        for _ in range(2):
            load.await_more(200)
            leader = leader_node(portable, client, "visits")
            executors = leader.executors()
            leader.kill()
            load.await_more(200)
            eventually(lambda: not any(map(is_there, executors)), what="executors to end with their node")
            leader.start()
    load.check()


def test_a_big_state_is_kept_in_snapshots_and_comes_back_from_them(portable: Cluster) -> None:
    portable.start(3)
    client = portable.connect(timeout=30.0)
    shelf = client.create_group("shelf", Shelf, config=SNAPSHOTS)
    for title in "abcd":
        shelf.put(title, VALUE)
    for node in portable.nodes:
        eventually(lambda: member_status(portable, client, "shelf", node).snapshot_index, what="a snapshot")
    portable.restart_all(portable.nodes, NodeProcess.kill)
    assert shelf.size() == 4 * len(VALUE)
    assert shelf.put("e", VALUE) == 5
