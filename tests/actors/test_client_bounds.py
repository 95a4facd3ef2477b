"""What one client may have under way at a member, and how what it asked leaves."""

from typing import Any

import pytest

from fleet.actors.member import client_requests as clients
from fleet.actors.messages.client import ClientReply, ClientRequest
from fleet.actors.messages.operator import HostMember
from fleet.actors.messages.values import GroupSpec
from fleet.objects.payload import encode_call, encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import member_id
from tests.actors.test_node_manager import N1, NodeBench
from tests.support.classes import Counter

ME = member_id(N1, "aaaa", "f1")
GET = encode_call("get", (), {})


class LeaderBench(NodeBench):
    """A node whose only group has one member, which leads."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.start()
        spec = GroupSpec("g", encode_class(Counter), GroupConfig(), 7, ME, Founded(ME, "", GroupConfig()))
        self.request(HostMember(spec, ()))
        self.registry: Any = self.kernel.instance(self.manager).registry
        for _ in range(20):
            self.transport.time += 0.1
            self.settle()
        (opened,) = self.call(opens=True)
        self.session = opened.session

    def call(self, opens: bool = False, commands: Any = (), queries: Any = ()) -> list[ClientReply]:
        session = 0 if opens else self.session
        self.number += 1
        asked = ClientRequest(
            "g", "c", self.me, session, 0, opens, tuple(commands), tuple(queries), self.number
        )
        return [reply for reply in self.ask(self.registry, asked) if type(reply) is ClientReply]


@pytest.fixture
def bench() -> LeaderBench:
    return LeaderBench()


def test_s69_queries_and_commands_beyond_a_clients_share_are_refused(
    bench: LeaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "PENDING_MAX", 2)
    add = encode_call("add", (1,), {})
    three = [(1, GET), (2, GET), (3, GET)]
    for reply in (bench.call(queries=three), bench.call(commands=[(1, add), (2, add), (3, add)])):
        kinds = {refusal.error.kind for one in reply for refusal in one.refusals}
        assert kinds == {"Overloaded"} and not any(one.answers or one.results for one in reply)
    (told,) = bench.call(queries=three[:2])
    assert [query for query, _ in told.answers] == [1, 2] and not told.refusals


def test_s69_queries_that_would_fill_a_member_are_refused(
    bench: LeaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "READING_BYTES_MAX", 2 * len(GET))
    (reply,) = bench.call(queries=[(1, GET), (2, GET), (3, GET)])
    assert [refusal.error.kind for refusal in reply.refusals] == ["Overloaded"]
    for _ in range(3):  # what was answered counts no more
        (reply,) = bench.call(queries=[(1, GET), (2, GET)])
        assert len(reply.answers) == 2


def test_s69_answers_leave_a_reply_at_a_time(bench: LeaderBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "REPLY_BYTES_MAX", 1)
    replies = bench.call(queries=[(1, GET), (2, GET), (3, GET)])
    assert [query for reply in replies for query, _ in reply.answers] == [1, 2, 3]
    assert max(len(reply.answers) for reply in replies) == 1
