"""Effects on real nodes: at least once and in order, whatever is killed meanwhile (S51)."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.processes.nodes import QUICK, Cluster, NodeProcess, eventually, leader_node
from tests.support.orders import FILE, Orders


def test_s51_effects_outlive_the_death_of_their_leader_and_of_all_nodes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "effects"
    path.touch()
    monkeypatch.setitem(os.environ, FILE, str(path))  # nodes and their executors inherit it
    cluster.start(3)
    client = cluster.connect(timeout=20.0)
    group: Any = client.create_group("orders", Orders, config=QUICK)
    leader = leader_node(cluster, client, "orders")
    replies = [group.order.submit(f"n{number}") for number in range(50)]
    leader.kill()
    for reply in replies:
        reply.result()
    leader.start()
    group.order("before the end")
    cluster.restart_all(cluster.nodes, NodeProcess.kill)
    again: Any = cluster.connect(timeout=20.0).group("orders", Orders)
    eventually(lambda: again.order("after"), what="the group to serve")
    eventually(lambda: path.read_text().endswith(" after\n"), what="the last effect")
    first: dict[str, str] = {}
    for line in path.read_text().splitlines():
        id, _, value = line.partition(" ")
        assert first.setdefault(id, value) == value
    assert sorted(first, key=lambda id: tuple(map(int, id.split("-")))) == list(first), "in order"
    assert sorted(first.values()) == sorted([*(f"n{n}" for n in range(50)), "before the end", "after"])
