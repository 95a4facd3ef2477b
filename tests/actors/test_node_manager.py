"""The node manager with real members on a kernel whose time is the test's: a node in one thread."""

from collections import Counter as Tally
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from fleet.actors.mail import (
    CreateGroup,
    ErrorRecord,
    GroupSpec,
    Hello,
    Hosted,
    HostMember,
    ListMembers,
    ListNodes,
    MemberInfo,
    MemberStopped,
    NodeInfo,
    NodeRequest,
    Nodes,
    OpReply,
    StartNode,
)
from fleet.actors.node_manager import BACK_OFF_MS, MANAGER, REACHABLE_MS, ROUND_MS, STABLE_MS, NodeManager
from fleet.errors import Damaged, DataClassUnavailable, FleetError, StorageFault, Unavailable
from fleet.payload import encode_class
from fleet.ports import Loaded
from fleet.raft.config import GroupConfig
from fleet.raft.ids import MemberId, NodeName, member_id
from fleet.storage.memory_store import MemoryStore
from tests.actors.base.helpers import Bench
from tests.processes.classes import Counter

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

    def start(self) -> None:
        start = StartNode(
            name=N1,
            address=self.kernel.endpoint,
            zone="z",
            cluster="c",
            clock=BenchClock(self),
            seed=1,
            seeds=(),
            store=self.store,
            writer=None,
        )
        self.ask(self.manager, start)

    def request(self, op: Any) -> OpReply:
        got = self.ask(self.manager, NodeRequest(5, self.me, op))
        (reply,) = [one for one in got if type(one) is OpReply]
        assert reply.token == 5
        return reply

    def found(self, *nodes: NodeName, name: str = "g") -> OpReply:
        spec = GroupSpec(name, encode_class(Counter), nodes or (N1,), GroupConfig())
        return self.request(CreateGroup(spec))

    def members(self) -> tuple[MemberInfo, ...]:
        value = self.request(ListMembers()).value
        assert value is not None
        return value.members  # type: ignore[union-attr]

    def hello(self, name: NodeName, *known: NodeInfo, started_ms: int = 1) -> list[Any]:
        """From a node whose manager and registry are the test's mailbox."""
        info = NodeInfo(name, "", "z", "bbbb", started_ms)
        return self.ask(self.manager, Hello(info, self.me, self.me, known, False))


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
    first.found(name="a")
    first.found(name="b")
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


# -- supervision ------------------------------------------------------------------------------------------


def test_a_member_whose_disk_errs_is_started_again_later_each_time_and_never_in_a_storm(
    bench: NodeBench,
) -> None:
    bench.store.error = StorageFault("the disk erred")
    bench.found()
    counts = []
    for _ in range(5):
        bench.advance(60)
        counts.append(bench.store.loads[1])
    least, most = BACK_OFF_MS
    assert counts[0] <= 10
    assert counts[-1] - counts[-2] <= 60_000 / most + 1
    assert "the disk erred" in bench.members()[0].state
    bench.store.error = None
    bench.advance(most / 1000)
    assert bench.members()[0].state == "running"


def test_a_damaged_member_is_not_started_again_and_says_why(bench: NodeBench) -> None:
    bench.store.error = Damaged("a record is torn", place="entry 7")
    bench.found()
    bench.advance(300)
    assert bench.store.loads[1] == 1
    assert "a record is torn" in bench.members()[0].state
    assert bench.found(name="other").error is None


def test_s63_a_member_that_dies_without_a_word_comes_back_as_the_same_member(bench: NodeBench) -> None:
    bench.found()
    bench.advance(1)
    (before,) = bench.members()
    children = next(cell for cell in bench.kernel.cells.values() if cell.address == bench.manager).children
    member = next(cell for cell in children.values() if type(cell.instance).__name__ == "Member")
    bench.ask(member.address, ActorExitRequest())
    assert bench.members()[0].state == "it died"
    bench.advance(BACK_OFF_MS[0] / 1000)
    assert bench.members() == (before,)
    assert bench.store.loads[1] == 2


def test_a_member_that_ran_for_long_is_forgiven(bench: NodeBench) -> None:
    bench.found()
    (member,) = bench.members()
    for _ in range(5):
        bench.advance((STABLE_MS + 1) / 1000)
        bench.ask(bench.manager, MemberStopped(member.member, False, "once", True))
        assert bench.members()[0].state == "once"
        bench.advance(BACK_OFF_MS[0] / 1000)
        assert bench.members()[0].state == "running"


def test_the_data_of_a_removed_member_goes_and_its_number_is_never_used_again(bench: NodeBench) -> None:
    bench.found()
    (member,) = bench.members()
    bench.ask(bench.manager, MemberStopped(member.member, True, "", False))
    assert bench.members() == () and bench.store.groups() == []
    bench.found()
    assert bench.members()[0].member == member_id(N1, "aaaa", 2)


# -- requests ---------------------------------------------------------------------------------------------


def test_bad_requests_are_refused_before_anything_is_written(bench: NodeBench) -> None:
    ours = encode_class(Counter)
    refused = {
        "": CreateGroup(GroupSpec("", ours, (N1,), GroupConfig())),
        "founder": CreateGroup(GroupSpec("g", ours, (N2, N1), GroupConfig())),
        "node": CreateGroup(GroupSpec("g", ours, (N1, N2), GroupConfig())),
        "class": CreateGroup(GroupSpec("g", b"nonsense", (N1,), GroupConfig())),
        "class here": HostMember(GroupSpec("g", b"nonsense", (N1,), GroupConfig(), MemberId("n2@x.1"))),
    }
    errors = {name: bench.request(op).error for name, op in refused.items()}
    assert {name: error.kind for name, error in errors.items() if error is not None} == {
        "": "BadArguments",
        "founder": "BadArguments",
        "node": "NoSuchNode",
        "class": "DataClassUnavailable",
        "class here": "DataClassUnavailable",
    }
    assert bench.store.groups() == []


def test_rf1_a_member_of_another_group_of_that_name_is_not_hosted(bench: NodeBench) -> None:
    bench.found()
    error = bench.found().error
    assert error is not None and error.kind == "GroupExists"
    spec = GroupSpec("g", encode_class(Counter), (N2, N1), GroupConfig(), MemberId("n2@bbbb.1"))
    error = bench.request(HostMember(spec)).error
    assert error is not None and error.kind == "GroupExists"


def test_a_repeated_request_for_a_member_gives_the_same_one(bench: NodeBench) -> None:
    spec = GroupSpec("g", encode_class(Counter), (N2, N1), GroupConfig(), MemberId("n2@bbbb.1"))
    first, second = bench.request(HostMember(spec)), bench.request(HostMember(spec))
    assert first == second and first.value == Hosted(member_id(N1, "aaaa", 1))
    assert len(bench.store.groups()) == 1


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
    bench.ask(bench.manager, Hello(info, bench.me, bench.me, (), False))
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


@pytest.mark.parametrize(
    "error, most", [(DataClassUnavailable("no module"), 12), (Unavailable("in a moment"), 600)]
)
def test_a_node_that_refuses_a_member_for_good_is_asked_once_a_round(error: FleetError, most: int) -> None:
    bench = NodeBench()
    bench.start()
    bench.hello(N2)
    bench.found(N1, N2)
    asked = 0
    waiting = bench.settle()
    for _ in range(1000):
        requests = [one for one in waiting if type(one) is NodeRequest and type(one.op) is HostMember]
        asked += len(requests)
        waiting = []
        for one in requests:
            waiting += bench.ask(bench.manager, OpReply(one.token, None, ErrorRecord.of(error)))
        waiting += bench.hello(N2) + bench.advance(0.01)
    assert 10_000 / ROUND_MS - 2 <= asked <= most
