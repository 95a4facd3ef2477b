"""Watchers at a member whose object is an applier: answers come when the test says so."""

from types import SimpleNamespace
from typing import Any

from thespian.actors import ActorAddress

from fleet.actors.executor.event_pages import read_events, take_fresh
from fleet.actors.member.watchers import Watchers
from fleet.actors.messages.client import KeepWatch, WatchGroup, WatchReply
from fleet.actors.messages.executor import EntriesApplied, LeaveEvents, ReadEvents
from fleet.objects.applier import Applier
from fleet.objects.executor import ObjectExecutor
from fleet.raft.config import GroupConfig
from fleet.raft.group_events import LAST, GroupEvent, Position
from fleet.raft.ids import MemberId
from fleet.raft.state import Leader
from tests.support.classes import Feed

LEADER = MemberId("n2@d.1")


class Bench:
    """A member whose object is an applier; answers come when the test says so."""

    number, index, is_open = 3, 1, True

    def __init__(self) -> None:
        self.applier = Applier(ObjectExecutor(Feed), GroupConfig())
        self.run = 1
        self.questions: list[Any] = []
        self.left = 0
        self.now = 0
        self.replies: list[tuple[Any, WatchReply]] = []
        self.leads = True
        self.tokens = iter(range(1, 10**6))
        clock = SimpleNamespace(now_ms=lambda: self.now)
        membership = SimpleNamespace(current=SimpleNamespace(addresses={LEADER: "n2:1"}))
        self.window = SimpleNamespace(send=self.leave)
        member: Any = SimpleNamespace(
            spec=SimpleNamespace(name="g", uid=7),
            start=SimpleNamespace(clock=clock),
            core=SimpleNamespace(
                is_leader=True, role=Leader(1, {}, 0, 0, 0), id="n1@d.1", leader=None, membership=membership
            ),
            object=self,
            send=lambda to, reply: self.replies.append((to, reply)),
        )
        self.core = member.core
        self.watchers = Watchers(member, SimpleNamespace(next_token=lambda: next(self.tokens)))

    @property
    def revision(self) -> int:
        return self.applier.revision

    def put(self, question: ReadEvents) -> None:
        assert question.run == self.run
        self.questions.append(question)

    def leave(self, m: LeaveEvents) -> None:
        self.left += 1
        self.applier.fresh_events = None

    def answer(self) -> None:
        """All questions, as the object is now; and those that follow."""
        while self.questions:
            self.watchers.on_read(read_events(self.applier, self.questions.pop(0)))

    def emit(self, *kinds: str) -> None:
        """One command that emits these, applied, and told."""
        applier = self.applier
        applier.revision += 1
        events = [GroupEvent(applier.revision, n, kind, b"") for n, kind in enumerate(kinds)]
        applier.events.add(events, 1000, 1 << 20)
        if applier.fresh_events is not None:
            applier.fresh_events += events
        told = EntriesApplied(self.number, self.run, 0, applier.revision, (), (), None, take_fresh(applier))
        self.watchers.on_applied(told)

    def watch(self, client: str = "c", after: Position | None = (0, LAST), **more: Any) -> None:
        number = more.pop("number", 1)
        self.watchers.take(WatchGroup("g", client, address(client), number, after, None))

    def keep(self, client: str = "c", taken: int = 0, **more: Any) -> None:
        self.watchers.keep(KeepWatch("g", client, address(client), 1, taken, **{"asks": False} | more))

    def told(self, client: str = "c") -> list[WatchReply]:
        """Since it was asked last."""
        found = [reply for to, reply in self.replies if to == address(client)]
        self.replies = [one for one in self.replies if one[0] != address(client)]
        return found

    def places(self, client: str = "c") -> list[Position]:
        return [event.position for reply in self.told(client) for event in reply.events]


ADDRESSES: dict[str, Any] = {}


def address(client: str) -> Any:
    return ADDRESSES.setdefault(client, ActorAddress(client))
