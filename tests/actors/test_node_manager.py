"""The node manager with real members on a kernel whose time is the test's: a node in one thread."""

from collections import Counter as Tally
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from thespian.actors import ActorExitRequest

from fleet.actors.messages.local import MemberStopped, Routes, StartNode
from fleet.actors.messages.operator import (
    DAMAGED,
    AddMember,
    CheckClass,
    ClusterSeen,
    GetCluster,
    GroupRequest,
    Hosted,
    HostMember,
    ListMembers,
    ListNodes,
    MemberInfo,
    NodeRequest,
    Nodes,
    OpReply,
)
from fleet.actors.messages.peer import Clone, Hello, OlderCopy, PeerMail
from fleet.actors.messages.values import GroupSpec, NodeInfo
from fleet.actors.messages.well_known import MANAGER
from fleet.actors.node.hosted_members import BACK_OFF_MS, STABLE_MS, HostedMembers
from fleet.actors.node.known_nodes import ECHOES_MAX
from fleet.actors.node.manager import ROUND_MS, NodeManager
from fleet.actors.node.operator_requests import REACHABLE_MS
from fleet.actors.node.renewal import SETTLED_MS
from fleet.cluster.unjoined import UNJOINED_MS
from fleet.errors import Damaged, FleetError, StorageFault
from fleet.interfaces import ChoreDone, CreateGroups, DropGroup, Loaded, Renew
from fleet.objects.payload import encode_class
from fleet.raft.codec import encode_messages
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Entry, Founded, MemberAdded
from fleet.raft.ids import GroupName, MemberId, NodeName, member_id
from fleet.raft.messages import AppendEntries
from fleet.storage.memory_store import MemoryStore
from fleet.storage.writer import carry_out
from tests.actors.base.helpers import Bench
from tests.support.classes import Counter

N1, N2 = NodeName("n1"), NodeName("n2")


class BenchClock:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def now_ms(self) -> int:
        return 10_000 + round(self.bench.transport.now() * 1000)

    def wall_ms(self) -> int:
        return 1_000_000 + self.now_ms()


class TestStore(MemoryStore):
    """Counts the starts of members, which load first, and fails them if told to."""

    __test__ = False
    error: FleetError | None = None

    def __init__(self) -> None:
        super().__init__("c", N1, incarnation="aaaa")
        self.loads: Tally[int] = Tally()

    def load(self, number: int) -> Loaded:
        self.loads[number] += 1
        if self.error is not None:
            raise self.error
        return super().load(number)


class NodeBench(Bench):
    def __init__(self, store: TestStore | None = None) -> None:
        super().__init__()
        self.store = store or TestStore()
        self.manager = self.create(NodeManager, name="node")

    def start(self, founders: tuple[str, ...] = (), **how: Any) -> None:
        self.ask(self.manager, replace(self.settings(founders), **how))

    def settings(self, founders: tuple[str, ...] = ()) -> StartNode:
        return StartNode(
            name=N1,
            address=self.kernel.endpoint,
            zone="z",
            cluster="c",
            clock=BenchClock(self),
            seed=1,
            join=(),
            founders=founders,
            active=True,
            weight=1.0,
            purge_after_ms=0,
            store=self.store,
            writer=None,
            peers=(self.me,),  # with somebody to join it founds no cluster of its own
        )

    def request(self, op: Any) -> OpReply:
        got = self.ask(self.manager, NodeRequest(5, self.me, op))
        (reply,) = [one for one in got if type(one) is OpReply]
        assert reply.token == 5
        return reply

    def host(self, name: str = "g", uid: int = 7, removed: tuple[MemberId, ...] = ()) -> OpReply:
        """As the leader of the group would ask for it."""
        spec = GroupSpec(name, encode_class(Counter), GroupConfig(), uid)
        return self.request(HostMember(spec, removed))

    def members(self) -> tuple[MemberInfo, ...]:
        value = self.request(ListMembers()).value
        assert value is not None
        return value.members  # type: ignore[union-attr]

    def hello(self, name: NodeName, *known: NodeInfo, started_ms: int = 1) -> list[Any]:
        """From a node whose manager and registry are the test's mailbox."""
        info = NodeInfo(name, "", "z", "bbbb", started_ms)
        return self.ask(self.manager, Hello(info, self.me, self.me, known, False, 0))


@pytest.fixture
def bench() -> NodeBench:
    bench = NodeBench()
    bench.start()
    return bench


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
    spec = GroupSpec("g", encode_class(Counter), GroupConfig(), 9, cluster=5)
    error = bench.request(HostMember(spec, ())).error
    assert error is not None and error.kind == "WrongCluster"
    assert len(bench.members()) == 1


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


def test_a_member_that_heard_of_its_group_asks_for_nothing(bench: NodeBench) -> None:
    bench.host()
    me = member_id(N1, "aaaa", 1)
    founder = MemberId("n2@bbbb.1")
    log = Entry(1, 1, Founded(founder, "there:2", GroupConfig())), Entry(1, 2, MemberAdded(me, "here:1"))
    mail = encode_messages([AppendEntries(1, founder, me, 0, 0, log, 0, 0, 0)])
    bench.ask(bench.kernel.cells["registry"].address, PeerMail(me, mail))
    bench.hello(N2)
    assert asked_of_groups(bench.advance(3 * UNJOINED_MS / 1000)) == []


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
    bench.ask(bench.manager, Hello(info, bench.me, bench.me, (), False, 0))
    assert Hello in map(type, bench.advance(ROUND_MS / 1000))
    assert bench.transport.sent == []
    bench.advance(2 * REACHABLE_MS / 1000)
    ident, _, message = bench.transport.sent[-1]
    assert (ident.endpoint, ident.local, type(message)) == ("there:2", MANAGER, Hello)


def test_another_node_of_the_same_name_is_not_believed(bench: NodeBench) -> None:
    bench.hello(N1, started_ms=10**15)
    value = bench.request(ListNodes()).value
    assert isinstance(value, Nodes)
    assert [info.incarnation for info in value.nodes] == ["aaaa"]


def a_life(boot: int, started_ms: int, address: str = "there:2") -> NodeInfo:
    return NodeInfo(N2, address, "z", "bbbb", started_ms, boot)


def say(bench: NodeBench, info: NodeInfo) -> list[Any]:
    return bench.ask(bench.manager, Hello(info, bench.me, bench.me, (), False, 0))


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
