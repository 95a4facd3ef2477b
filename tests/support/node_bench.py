"""A node manager with real members on a kernel whose time is the test's: a node in one thread."""

from collections import Counter as Tally
from typing import Any

from msgspec.structs import replace

from fleet.actors.messages.local import StartNode
from fleet.actors.messages.operator import (
    HostMember,
    ListMembers,
    MemberInfo,
    NodeRequest,
    OpReply,
)
from fleet.actors.messages.peer import NodeHello
from fleet.actors.messages.values import GroupSpec, NodeInfo
from fleet.actors.node.manager import NodeManager
from fleet.errors import FleetError
from fleet.interfaces import Loaded
from fleet.objects.class_refs import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.ids import MemberId, NodeName
from fleet.storage.memory_store import MemoryStore
from fleet.versions import THIS_BUILD, Build
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

    def __init__(self, build: Build = THIS_BUILD) -> None:
        super().__init__("c", N1, incarnation="aaaa", build=build)
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
        return self.ask(self.manager, NodeHello(info, self.me, self.me, known, False, 0))
