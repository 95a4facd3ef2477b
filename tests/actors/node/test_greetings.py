"""What a node manager makes of what other nodes say of themselves."""

from typing import Any

import pytest

from fleet.actors.messages.operator import (
    ClusterSeen,
    GetCluster,
    ListNodes,
    Nodes,
)
from fleet.actors.messages.peer import Clone, NodeHello, OlderCopy
from fleet.actors.messages.values import NodeInfo
from fleet.actors.messages.well_known import MANAGER
from fleet.actors.node.known_nodes import ECHOES_MAX
from fleet.actors.node.manager import ROUND_MS
from fleet.actors.node.operator_requests import REACHABLE_MS
from fleet.raft.ids import NodeName
from tests.support.node_bench import N1, N2, NodeBench

# -- other nodes --------------------------------------------------------------------------------------------


def test_the_later_start_of_a_node_says_where_it_is(bench: NodeBench) -> None:
    n3 = NodeName("n3")
    for address, started_ms in (("old:1", 5), ("new:1", 9), ("old:1", 5)):
        bench.hello(N2, NodeInfo(n3, address, "z", "cccc", started_ms))
    value = bench.request(ListNodes()).value
    assert isinstance(value, Nodes)
    assert {info.name: info.address for info in value.nodes}[n3] == "new:1"


def test_a_node_that_fell_silent_is_looked_for_by_its_name(bench: NodeBench) -> None:
    """The actor that was met may be gone, and the process at its address a new one that knows nobody."""
    info = NodeInfo(N2, "there:2", "z", "bbbb", 1)
    bench.ask(bench.manager, NodeHello(info, bench.me, bench.me, (), False, 0))
    assert NodeHello in map(type, bench.advance(ROUND_MS / 1000))
    assert bench.transport.sent == []
    bench.advance(2 * REACHABLE_MS / 1000)
    ident, _, message = bench.transport.sent[-1]
    assert (ident.endpoint, ident.local, type(message)) == ("there:2", MANAGER, NodeHello)


def test_another_node_of_the_same_name_is_not_believed(bench: NodeBench) -> None:
    bench.hello(N1, started_ms=10**15)
    value = bench.request(ListNodes()).value
    assert isinstance(value, Nodes)
    assert [info.incarnation for info in value.nodes] == ["aaaa"]


def a_life(boot: int, started_ms: int, address: str = "there:2") -> NodeInfo:
    return NodeInfo(N2, address, "z", "bbbb", started_ms, boot)


def say(bench: NodeBench, info: NodeInfo) -> list[Any]:
    return bench.ask(bench.manager, NodeHello(info, bench.me, bench.me, (), False, 0))


def test_s83_a_disk_that_was_put_back_is_told_and_a_late_word_is_not(bench: NodeBench) -> None:
    say(bench, a_life(7, 100))
    assert OlderCopy not in map(type, say(bench, a_life(6, 50)))
    assert OlderCopy("bbbb", 6, 7, N1) in say(bench, a_life(6, 200))
    assert OlderCopy not in map(type, say(bench, a_life(8, 300)))
    assert OlderCopy not in map(type, say(bench, a_life(0, 400)))  # it could not count
    assert OlderCopy("bbbb", 7, 8, N1) in say(bench, a_life(7, 500))


@pytest.mark.parametrize("boot", [7, 8])
def test_s83_the_second_process_of_a_directory_is_told_and_named(bench: NodeBench, boot: int) -> None:
    """With as many starts (a copy made while it stood still) or one more (while it ran)."""
    first, second = a_life(7, 100), a_life(boot, 200, "here:2")
    told = []
    for _ in range(ECHOES_MAX):
        told += [*say(bench, first), *say(bench, second)]
    told += say(bench, first)
    clones = [one for one in told if type(one) is Clone]
    assert clones and {(one.started_ms, one.address) for one in clones} == {(200, "there:2")}
    value = bench.request(GetCluster()).value
    assert isinstance(value, ClusterSeen) and value.clones == {N2: "here:2"}
    assert Clone in map(type, say(bench, a_life(boot + 1, 300, "here:2")))


def test_s83_a_node_that_moved_is_no_clone(bench: NodeBench) -> None:
    assert Clone not in map(type, say(bench, a_life(7, 100)) + say(bench, a_life(8, 200, "here:2")))
    assert Clone not in map(type, say(bench, a_life(7, 100)) + say(bench, a_life(8, 200, "here:2")))
