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
from fleet.errors import FleetError, StoreFull, WrongVersion
from fleet.raft.ids import NodeName
from fleet.versions import Build
from tests.support.node_bench import N1, N2, NodeBench, TestStore

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


# -- the version of the fleet ------------------------------------------------------------------------------


def say_version(bench: NodeBench, build: Build, version: int) -> list[NodeHello]:
    """A hello that wants an answer; the hellos that come back."""
    info = NodeInfo(N2, "there:2", "z", "bbbb", 1, 0, build)
    told = bench.ask(bench.manager, NodeHello(info, bench.me, bench.me, (), True, 0, 0, version))
    return [one for one in told if isinstance(one, NodeHello)]


def knows(bench: NodeBench) -> set[NodeName]:
    value = bench.request(ListNodes()).value
    assert isinstance(value, Nodes)
    return {info.name for info in value.nodes}


def test_a_node_ends_where_a_version_is_in_force_that_it_does_not_speak() -> None:
    ended: list[FleetError] = []
    bench = NodeBench()
    bench.start(build=Build("1.0", 1, 1), on_end=ended.append)
    say_version(bench, Build("1.1", 1, 2), 2)
    (error,) = ended
    assert isinstance(error, WrongVersion)
    assert "version 2 of the fleet is in force" in str(error) and "node n2 reports" in str(error)


def test_a_node_that_does_not_speak_what_is_in_force_is_not_met_and_learns_that() -> None:
    bench = NodeBench(TestStore(Build("1.1", 1, 2)))
    bench.start(build=Build("1.1", 1, 2))
    bench.hello(NodeName("n3"))
    say_version(bench, Build("1.1", 1, 2), 2)
    assert bench.store.version == 2, "its directory has what is in force before it joins"
    n4 = NodeInfo(NodeName("n4"), "there:4", "z", "cccc", 1, 0, Build("1.0", 1, 1))
    told = bench.ask(bench.manager, NodeHello(n4, bench.me, bench.me, (), True, 0))
    assert [one.version for one in told if isinstance(one, NodeHello)] == [2]
    assert knows(bench) == {N1, N2, NodeName("n3")}


def test_a_node_of_an_earlier_build_is_met_as_long_as_it_speaks_what_is_in_force() -> None:
    bench = NodeBench()
    bench.start(build=Build("1.1", 1, 2))
    assert say_version(bench, Build("1.0", 1, 1), 1)
    assert knows(bench) == {N1, N2}


def test_a_disk_that_cannot_take_the_version_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = NodeBench(TestStore(Build("1.1", 1, 2)))
    bench.start(build=Build("1.1", 1, 2))

    def full(version: int) -> None:
        raise StoreFull("no space is left")

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "raise_version", full)
        say_version(bench, Build("1.1", 1, 2), 2)
        assert bench.store.version == 1 and "its directory does not have version 2 yet" in caplog.text
    bench.advance(ROUND_MS / 1000)
    assert bench.store.version == 2
