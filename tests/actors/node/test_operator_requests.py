"""Requests to a node manager with real members, and its members' requests to their groups."""

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.actors.messages.operator import (
    DAMAGED,
    AddMember,
    CheckClass,
    GroupRequest,
    Hosted,
    HostMember,
    NodeRequest,
    OpReply,
)
from fleet.actors.messages.peer import OlderCopy, PeerMail
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_members import HostedMembers
from fleet.actors.node.manager import ROUND_MS
from fleet.actors.node.renewal import SETTLED_MS
from fleet.cluster.unjoined import UNJOINED_MS
from fleet.errors import StorageFault
from fleet.interfaces import ChoreDone, CreateGroups, DropGroup, Renew
from fleet.objects.class_refs import encode_class
from fleet.raft.codec import encode_messages
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Entry, Founded, MemberAdded
from fleet.raft.ids import MemberId, member_id
from fleet.raft.messages import AppendEntries
from fleet.storage.writer import carry_out
from tests.support.classes import Counter
from tests.support.node_bench import N1, N2, NodeBench

# -- requests ---------------------------------------------------------------------------------------------


def test_a_class_that_cannot_be_hosted_is_refused_before_anything_is_written(bench: NodeBench) -> None:
    spec = GroupSpec("g", b"nonsense", GroupConfig(), 7)
    for op in (CheckClass(b"nonsense"), HostMember(spec, ())):
        error = bench.request(op).error
        assert error is not None and error.kind == "DataClassUnavailable"
    assert bench.store.groups() == []


def test_rf1_a_request_for_a_group_that_was_removed_does_not_touch_its_successor(bench: NodeBench) -> None:
    bench.host(uid=9)
    error = bench.host(uid=7).error
    assert error is not None and error.kind == "NoSuchGroup"
    assert len(bench.members()) == 1


def test_a_request_of_another_cluster_does_not_touch_a_member(bench: NodeBench) -> None:
    bench.host(uid=7)
    bench.kernel.instance(bench.manager).cluster.belong(4)
    spec = GroupSpec("g", encode_class(Counter), GroupConfig(), 9, cluster=5)
    error = bench.request(HostMember(spec, ())).error
    assert error is not None and error.kind == "WrongCluster"
    assert len(bench.members()) == 1


def test_a_node_hosts_no_group_before_it_knows_its_cluster(bench: NodeBench) -> None:
    """It would carry out what clients of another cluster ask of the group."""
    spec = GroupSpec("g", encode_class(Counter), GroupConfig(), 9, cluster=5)
    error = bench.request(HostMember(spec, ())).error
    assert error is not None and error.kind == "Unavailable" and error.to_error().retry
    assert bench.members() == ()
    bench.kernel.instance(bench.manager).cluster.belong(5)
    assert bench.request(HostMember(spec, ())).value == Hosted(member_id(N1, "aaaa", 1))


def test_rf1_a_member_of_a_removed_group_makes_room_for_one_of_its_successor(bench: NodeBench) -> None:
    bench.host(uid=7)
    error = bench.host(uid=9).error
    assert error is not None and error.kind == "CleanupOngoing"
    bench.settle()
    assert bench.host(uid=9).value == Hosted(member_id(N1, "aaaa", 2))


def test_s26_a_member_that_left_is_not_given_again(bench: NodeBench) -> None:
    bench.host()
    bench.host(removed=(member_id(N1, "aaaa", 1),))
    bench.settle()
    again = bench.host(removed=(member_id(N1, "aaaa", 1),))
    assert again.value == Hosted(member_id(N1, "aaaa", 2))


def test_a_repeated_request_for_a_member_gives_the_same_one(bench: NodeBench) -> None:
    first, second = bench.host(), bench.host()
    assert first == second and first.value == Hosted(member_id(N1, "aaaa", 1))
    assert len(bench.store.groups()) == 1


def test_s74_a_member_is_told_of_when_it_is_durable_to_all_who_asked(bench: NodeBench) -> None:
    manager = bench.kernel.instance(bench.manager)
    manager.disk = bench.me
    spec = GroupSpec("g", encode_class(Counter), GroupConfig(), 7)
    got = [*bench.ask(bench.manager, NodeRequest(5, bench.me, HostMember(spec, ())))]
    got += bench.ask(bench.manager, NodeRequest(6, bench.me, HostMember(spec, ())))
    (chore,) = [one for one in got if type(one) is CreateGroups]
    assert OpReply not in map(type, got) and bench.store.groups() == []
    other = bench.ask(bench.manager, NodeRequest(7, bench.me, HostMember(replace(spec, uid=9), ())))
    (refused,) = [one.error for one in other if type(one) is OpReply]
    assert refused is not None and refused.kind == "CleanupOngoing"
    told = bench.ask(bench.manager, carry_out(bench.store, chore))
    hosted = Hosted(member_id(N1, "aaaa", 1))
    assert [(one.token, one.value) for one in told if type(one) is OpReply] == [(5, hosted), (6, hosted)]


def test_s83_an_older_copy_creates_nothing_until_it_has_another_name(bench: NodeBench) -> None:
    """It gives numbers, and so the names of members, a second time."""
    manager = bench.kernel.instance(bench.manager)
    bench.host("before", 5)
    manager.disk = bench.me
    spec = GroupSpec("g", encode_class(Counter), GroupConfig(), 7)
    (create,) = [
        one
        for one in bench.ask(bench.manager, NodeRequest(5, bench.me, HostMember(spec, ())))
        if type(one) is CreateGroups
    ]
    (renew,) = [one for one in bench.ask(bench.manager, OlderCopy("aaaa", 1, 8, N2)) if type(one) is Renew]
    told = bench.ask(bench.manager, carry_out(bench.store, create))
    told += bench.ask(bench.manager, NodeRequest(6, bench.me, HostMember(replace(spec, name="h"), ())))
    refused = [one.error.kind for one in told if type(one) is OpReply and one.error is not None]
    assert refused == ["Unavailable"] * 2
    drops = [one for one in told if type(one) is DropGroup]
    assert [drop.group for drop in drops] == [2] and bench.members()[0].ill == DAMAGED
    failed = ChoreDone(renew, StorageFault("it errs"))
    bench.ask(bench.manager, failed)
    assert manager.nodes.me.incarnation == "aaaa"
    (renew,) = [one for one in bench.advance(ROUND_MS / 1000 + 0.1) if type(one) is Renew]
    chores: list[DropGroup | Renew] = [*drops, renew]
    for chore in chores:
        bench.ask(bench.manager, carry_out(bench.store, chore))
    assert manager.nodes.me.incarnation == "aaaa-9"
    again = HostedMembers(manager)
    again.load()
    assert [info.ill for info in again.infos()] == [DAMAGED]


def test_s83_a_node_that_served_since_keeps_its_members_and_says_so(
    bench: NodeBench, caplog: pytest.LogCaptureFixture
) -> None:
    """The cluster committed with it: what either of two copies committed is kept for an operator (S84)."""
    manager = bench.kernel.instance(bench.manager)
    bench.host("before", 5)
    manager.disk = bench.me
    manager.cluster.membership.has_progressed = True
    bench.advance(SETTLED_MS / 1000 + 0.1)
    assert Renew not in map(type, bench.ask(bench.manager, OlderCopy("aaaa", 1, 8, N2)))
    assert bench.members()[0].ill == "" and "node n2 remembers 8 starts of its directory" in caplog.text


def asked_of_groups(got: list[Any]) -> list[Any]:
    return [one.op for one in got if type(one) is GroupRequest]


def test_a_member_that_was_never_brought_in_asks_its_group_to_be(bench: NodeBench) -> None:
    """Whoever asked for room died: the member may not go by a guess, since it may be asked for again. Once in
    the group it is made a voter or let go of, by its leader, which is a committed fact."""
    bench.host()
    bench.hello(N2)
    assert asked_of_groups(bench.advance(UNJOINED_MS / 1000 - 1)) == []
    (asked, *_) = asked_of_groups(bench.advance(3))
    assert asked == AddMember(member_id(N1, "aaaa", 1), bench.kernel.endpoint, 7)
    assert len(bench.members()) == 1


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_member_asks_for_nothing_while_it_hears_its_leader(bench: NodeBench, is_heard: bool) -> None:
    """And to be added when it hears nothing: the entry that added it may be lost (seed 30039)."""
    bench.host()
    me = member_id(N1, "aaaa", 1)
    founder = MemberId("n2@bbbb.1")
    log = Entry(1, 1, Founded(founder, "there:2", GroupConfig())), Entry(1, 2, MemberAdded(me, "here:1"))
    registry = bench.kernel.cells["registry"].address
    bench.ask(registry, PeerMail(me, encode_messages([AppendEntries(1, founder, me, 0, 0, log, 0, 0, 0)])))
    bench.hello(N2)
    if not is_heard:
        (asked,) = asked_of_groups(bench.advance(3 * UNJOINED_MS / 1000))
        assert isinstance(asked, AddMember) and asked.member == me
        return
    heartbeat = PeerMail(me, encode_messages([AppendEntries(1, founder, me, 2, 1, (), 0, 0, 0)]))
    for _ in range(3 * UNJOINED_MS // 500):
        bench.ask(registry, heartbeat)
        assert asked_of_groups(bench.advance(0.5)) == []
