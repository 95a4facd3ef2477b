"""Reminders on real nodes: called once, whatever is killed while they are due (S52)."""

from typing import Any

from tests.processes.nodes import QUICK, Cluster, NodeProcess, eventually, leader_node
from tests.support.stock import Stock


def called(stock: Any) -> list[str]:
    return [what for what, _ in stock.told.options(timeout=20.0)()]


def test_s52_reminders_outlive_the_death_of_their_leader_and_of_all_nodes(three: Cluster) -> None:
    client = three.connect(timeout=20.0)
    stock: Any = client.create_group("stock", Stock, config=QUICK)
    leader = leader_node(three, client, "stock")
    for number in range(20):
        stock.note(f"n{number}", 0.1 * number)
    stock.reserve("bought", 2.0)
    assert stock.buy("bought")
    leader.kill()
    expected = [f"n{number}" for number in range(20)]
    eventually(lambda: called(stock) == expected, what="all reminders to be called once")

    leader.start()
    stock.note("late", 0.2)
    stock.note("tick", 0.2, 3600.0, "t")
    three.restart_all(three.nodes, NodeProcess.kill)
    again: Any = three.connect(timeout=20.0).group("stock", Stock)
    eventually(lambda: len(called(again)) >= 22, what="what was due meanwhile to be called late")
    assert sorted(called(again)) == sorted([*expected, "late", "tick"])
    assert again.holders() == []
