"""The node manager with real members: how it starts them from the disk, and again when they fail."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from thespian.actors import ActorExitRequest

from fleet.actors.messages.local import MemberStopped, Routes
from fleet.actors.messages.operator import (
    ListMembers,
    ListNodes,
    NodeRequest,
    Nodes,
)
from fleet.actors.messages.values import NodeInfo
from fleet.actors.node.hosted_members import BACK_OFF_MS, STABLE_MS
from fleet.errors import Damaged, StorageFault
from fleet.raft.ids import GroupName, NodeName, member_id
from tests.support.node_bench import N1, N2, NodeBench, TestStore

# -- start ----------------------------------------------------------------------------------------------


def test_what_comes_before_the_node_knows_itself_is_asked_again_and_harms_nobody() -> None:
    bench = NodeBench()
    assert bench.hello(N2) == []
    assert bench.ask(bench.manager, NodeRequest(1, bench.me, ListNodes())) == []
    bench.start()
    assert isinstance(bench.request(ListNodes()).value, Nodes)


def test_a_node_starts_the_members_of_its_disk_as_the_ones_they_were() -> None:
    first = NodeBench()
    first.start()
    first.host("a")
    first.host("b")
    before = first.members()
    assert [member.member for member in before] == [member_id(N1, "aaaa", 1), member_id(N1, "aaaa", 2)]
    again = NodeBench(first.store)
    again.start()
    assert again.members() == before
    assert {member.state for member in before} == {"running"}


def test_nodes_that_were_met_are_known_after_a_restart() -> None:
    first = NodeBench()
    first.start()
    first.hello(N2, NodeInfo(NodeName("n3"), "there:3", "z", "cccc", 1))
    again = NodeBench(first.store)
    again.start()
    value = again.request(ListNodes()).value
    assert isinstance(value, Nodes)
    assert {info.name for info in value.nodes} == {"n1", "n2", "n3"}
    assert {ident.endpoint for ident, _, _ in again.transport.sent} == {"there:3"}


def a_group_record(store: TestStore, data: bytes) -> None:
    store.create_group(GroupName("g"), data)


@pytest.mark.parametrize(
    "spoil, place",
    [
        (lambda store: store.put_meta("nodes", b"\x91\xa1n"), "nodes"),
        (lambda store: store.put_meta("left", b"\xa4text"), "left"),
        (lambda store: store.put_meta("founding", b"?"), "founding"),
        (lambda store: a_group_record(store, b"\x93\x01"), "group record"),
    ],
)
def test_a_node_whose_own_record_rotted_does_nothing_but_say_so(
    spoil: Callable[[TestStore], None], place: str
) -> None:
    """Without its record of other nodes it might found a second cluster."""
    bench = NodeBench()
    spoil(bench.store)
    bench.start(founders=(bench.kernel.endpoint, "there:2", "there:3"))
    for op in (ListMembers(), ListNodes()):
        error = bench.request(op).error
        assert error is not None and error.kind == "NodeDamaged"
        assert error.facts["place"] == place
        assert "--join" in str(error.to_error())
    assert bench.advance(20) == [] and bench.transport.sent == []
    bench.ask(bench.manager, ActorExitRequest())
    assert bench.transport.stopped


def test_a_founder_that_crashed_at_once_still_says_how_long_a_node_may_be_away() -> None:
    first = NodeBench()
    first.tell(first.manager, replace(first.settings(), peers=(), purge_after_ms=7000))
    while not first.store.groups():
        first.kernel.run(0, 1)
    again = NodeBench(first.store)
    again.start(peers=(), purge_after_ms=7000)
    again.advance(5)
    assert again.kernel.instance(again.manager).view.purge_after_ms == 7000


# -- supervision ------------------------------------------------------------------------------------------


def test_a_member_whose_disk_errs_is_started_again_later_each_time_and_never_in_a_storm(
    bench: NodeBench,
) -> None:
    bench.store.error = StorageFault("the disk failed")
    bench.host()
    counts = []
    for _ in range(5):
        bench.advance(60)
        counts.append(bench.store.loads[1])
    least, most = BACK_OFF_MS
    assert counts[0] <= 10
    assert counts[-1] - counts[-2] <= 60_000 / most + 1
    assert "the disk failed" in bench.members()[0].state
    bench.store.error = None
    bench.advance(most / 1000)
    assert bench.members()[0].state == "running"


def test_a_damaged_member_is_not_started_again_and_says_why(bench: NodeBench) -> None:
    bench.store.error = Damaged("a record is torn", place="entry 7")
    bench.host()
    bench.advance(300)
    assert bench.store.loads[1] == 1
    assert "a record is torn" in bench.members()[0].state
    assert bench.host("other").error is None


def test_s63_a_member_that_dies_without_a_word_comes_back_as_the_same_member(bench: NodeBench) -> None:
    bench.host()
    bench.advance(1)
    (before,) = bench.members()
    children = next(cell for cell in bench.kernel.cells.values() if cell.address == bench.manager).children
    assert children is not None
    member = next(cell for cell in children.values() if type(cell.instance).__name__ == "Member")
    bench.ask(member.address, ActorExitRequest())
    assert bench.members()[0].state == "its actor ended"
    bench.advance(BACK_OFF_MS[0] / 1000)
    assert bench.members() == (before,)
    assert bench.store.loads[1] == 2


@pytest.mark.parametrize("blow", [ActorExitRequest(), Routes(None)])  # type: ignore[arg-type]
def test_a_node_without_its_registry_stops_and_does_not_only_look_alive(bench: NodeBench, blow: Any) -> None:
    bench.host()
    bench.ask(bench.kernel.cells["registry"].address, blow)
    assert bench.transport.stopped
    assert bench.kernel.actor_count() == 0


def test_a_member_that_ran_for_long_is_forgiven(bench: NodeBench) -> None:
    bench.host()
    (member,) = bench.members()
    for _ in range(5):
        bench.advance((STABLE_MS + 1) / 1000)
        bench.ask(bench.manager, MemberStopped(member.member, False, "once", True))
        assert bench.members()[0].state == "once"
        bench.advance(BACK_OFF_MS[0] / 1000)
        assert bench.members()[0].state == "running"


def test_the_data_of_a_removed_member_goes_and_its_number_is_never_used_again(bench: NodeBench) -> None:
    bench.host()
    (member,) = bench.members()
    bench.ask(bench.manager, MemberStopped(member.member, True, "", False))
    assert bench.members() == () and bench.store.groups() == []
    bench.host()
    assert bench.members()[0].member == member_id(N1, "aaaa", 2)
