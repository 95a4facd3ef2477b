"""Three node managers, their members and a client on Thespian's own base, where every actor is a process.

Run by `test_stock_base.py`. Each line on stdin is an expression, its value
is answered in one line on stdout; the end of stdin is the end.
"""

import ast
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from thespian.actors import Actor, ActorSystem, WakeupMessage

from fleet.actors.client.calls import ClientCall
from fleet.actors.client.questions import Question
from fleet.actors.client.router import Router
from fleet.actors.messages.client import ClientReply
from fleet.actors.messages.local import StartNode
from fleet.actors.messages.operator import GetStatus, ListMembers, MemberStatus, NodeRequest, OpReply
from fleet.actors.messages.peer import NodeHello
from fleet.actors.messages.values import NodeInfo
from fleet.actors.node.manager import NodeManager
from fleet.actors.runtime.clock import SystemClock
from fleet.actors.runtime.turn import EndTurn
from fleet.cluster.codec import codec_of
from fleet.cluster.state import CLUSTER_GROUP
from fleet.objects.class_refs import encode_class
from fleet.objects.outcomes import CallOutcome, Impatient, Succeeded
from fleet.objects.payload import decode_result
from fleet.raft.config import GroupConfig
from fleet.raft.ids import NodeName
from tests.support.classes import Counter
from tests.support.ports import free_port
from tests.support.waiting import eventually

NAMES = ("n1", "n2", "n3")
GROUP = "visits"
CONFIG = GroupConfig(heartbeat_ms=200, election_ms=1000)
WAIT_S = 15.0
ASK_AGAIN_S = 0.1
"""Every question is a round trip between processes."""


class Driver(Actor):
    """A client as a plain Thespian actor. It learns of the registries by introducing itself to the
    managers, as a node that hosts nothing."""

    def __init__(self) -> None:
        self.router: Router | None = None
        self.asker: Any = None
        self.results: list[Any] = []
        self.wanted = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:
        router = self.router
        if isinstance(message, tuple):
            self.asker, self.results = sender, []
            getattr(self, message[0])(*message[1:])
        elif router is None:
            return
        elif isinstance(message, NodeHello):
            router.learn(message.me.name, message.registry)
            if self.wanted == -1 and len(router.endpoints.registries) == len(NAMES):
                self.wanted = 0
                self.send(self.asker, "introduced")
        elif isinstance(message, ClientReply | OpReply | EndTurn | WakeupMessage):
            router.handle(message)

    def introduce(self, *managers: Any) -> None:
        self.router = Router(self, SystemClock(), "driver", 1, [])
        self.wanted = -1
        me = NodeInfo(NodeName("driver"), "", "", "", SystemClock().wall_ms())
        for manager in managers:
            self.send(manager, NodeHello(me, self.myAddress, self.myAddress, (), True))

    def call(self, kind: str, method: str, count: int, *args: Any) -> None:
        self.wanted = count
        for _ in range(count):
            self.submit(GROUP, kind == "query", codec_of(GROUP).encode_call(method, args, {}))

    def submit(self, group: str, is_query: bool, payload: bytes) -> None:
        assert self.router is not None
        deadline = SystemClock().now_ms() + round(WAIT_S * 1000)
        self.router.submit(ClientCall(group, is_query, payload, deadline, Impatient(self.settled)))

    def create(self) -> None:
        self.wanted = 1
        args = (GROUP, len(NAMES), encode_class(Counter), CONFIG)
        self.submit(CLUSTER_GROUP, False, codec_of(CLUSTER_GROUP).encode_call("add_group", args, {}))

    def nodes(self) -> None:
        self.wanted = 1
        self.submit(CLUSTER_GROUP, True, codec_of(CLUSTER_GROUP).encode_call("view", (0,), {}))

    def settled(self, outcome: CallOutcome) -> None:
        self.note(decode_result(outcome.value) if isinstance(outcome, Succeeded) else str(outcome.error))

    def note(self, result: Any) -> None:
        self.results.append(result)
        if len(self.results) == self.wanted:
            self.send(self.asker, self.results)

    def status(self) -> None:
        """As each member tells it, in the order of the nodes' names."""
        assert self.router is not None
        self.wanted = len(NAMES)
        deadline = SystemClock().now_ms() + 1000
        for name in NAMES:
            self.router.ask(Question(GetStatus(), GROUP, name, deadline, self.note_status))

    def note_status(self, outcome: Any) -> None:
        self.note(outcome if isinstance(outcome, MemberStatus) else None)


class World:
    def __init__(self, home: Path) -> None:
        self.home = home
        settings = {"Admin Port": free_port(), "Convention Address.IPv4": ("127.0.0.1", 0)}
        self.system = ActorSystem("multiprocTCPBase", settings, transientUnique=True)
        self.managers = [self.system.createActor(NodeManager) for _ in NAMES]
        self.driver = self.system.createActor(Driver)
        for seed, (name, manager) in enumerate(zip(NAMES, self.managers)):
            start = StartNode(
                name=NodeName(name),
                address="",
                zone="",
                cluster="stock",
                clock=SystemClock(),
                seed=seed,
                join=(),
                founders=(),
                active=True,
                weight=1.0,
                purge_after_ms=600_000,
                store=None,
                writer=None,
                directory=str(home / name),
                peers=tuple(self.managers[:1]) if seed else (),
            )
            self.system.tell(manager, start)

    def ask(self, target: Any, message: Any, wait_s: float = WAIT_S) -> Any:
        return self.system.ask(target, message, timedelta(seconds=wait_s))

    def introduce(self) -> Any:
        return self.ask(self.driver, ("introduce", *self.managers))

    def create(self) -> str:
        """When the cluster has every node."""

        def have_joined() -> bool:
            (view,) = self.ask(self.driver, ("nodes",)) or ("",)
            return len(getattr(view, "nodes", ())) == len(NAMES)

        eventually(have_joined, WAIT_S, "the nodes to join", ASK_AGAIN_S)
        (group,) = self.ask(self.driver, ("create",))
        return str(group.initial[0][0])

    def call(self, kind: str, method: str, count: int = 1, *args: Any) -> Any:
        return self.ask(self.driver, ("call", kind, method, count, *args), 2 * WAIT_S)

    def leader(self) -> MemberStatus | None:
        """None until every member votes."""
        for status in self.ask(self.driver, ("status",)) or ():
            if status is not None and status.role == "leader":
                return status if len(status.voters) == len(NAMES) else None
        return None

    def await_leader(self) -> str:
        return str(eventually(self.leader, WAIT_S, "a leader", ASK_AGAIN_S).member)

    def process_of(self, member: str) -> int:
        """Whoever holds the member's directory."""
        homes = (self.home / member.split("@")[0] / "members").iterdir()
        newest = max(homes, key=lambda path: int(path.name))  # the cluster group's came before
        return int((newest / "lock").read_text())

    def kill(self, member: str) -> int:
        process = self.process_of(member)
        os.kill(process, signal.SIGKILL)
        return process

    def await_back(self, member: str, was: int) -> bool:
        """Another process serves it, and it has applied what the leader had committed."""

        def is_back() -> bool:
            statuses = [status for status in self.ask(self.driver, ("status",)) or () if status is not None]
            commit = max((status.commit for status in statuses if status.role == "leader"), default=0)
            mine = [status for status in statuses if status.member == member]
            return bool(commit and mine) and mine[0].applied >= commit and self.process_of(member) != was

        return eventually(is_back, WAIT_S, f"{member} to be back", ASK_AGAIN_S)

    def members(self) -> list[str]:
        replies = [self.ask(manager, NodeRequest(0, None, ListMembers())) for manager in self.managers]
        return [member.state for reply in replies for member in reply.value.members]


def main() -> None:
    world = World(Path(sys.argv[1]))
    try:
        for line in sys.stdin:
            method, *args = ast.literal_eval(line)
            print(repr(getattr(world, method)(*args)), flush=True)
    finally:
        world.system.shutdown()


if __name__ == "__main__":
    main()
