"""What one client may have under way at a member, and how what it asked leaves."""

from collections.abc import Sequence
from typing import Any

import pytest

from fleet.actors.member import client_queries, waiters
from fleet.actors.member import client_requests as clients
from fleet.actors.member.waiters import Waiter
from fleet.actors.messages.client import ClientReply, ClientRequest
from fleet.actors.messages.operator import HostMember
from fleet.actors.messages.values import GroupSpec
from fleet.objects import executor
from fleet.objects.applier import Applier
from fleet.objects.class_refs import encode_class
from fleet.objects.payload import encode_call
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import member_id
from fleet.raft.sessions import STALE
from tests.support.classes import Counter
from tests.support.node_bench import N1, NodeBench

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

    def call(
        self, opens: bool = False, commands: Any = (), queries: Any = (), first: int = 1
    ) -> list[ClientReply]:
        session = 0 if opens else self.session
        self.number += 1
        asked = ClientRequest(
            "g", "c", self.me, session, 0, opens, first, tuple(commands), 1, tuple(queries), self.number
        )
        return [reply for reply in self.ask(self.registry, asked) if type(reply) is ClientReply]


@pytest.fixture
def bench() -> LeaderBench:
    return LeaderBench()


def test_s69_queries_and_commands_beyond_a_clients_share_are_refused(
    bench: LeaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "PENDING_MAX", 2)
    add = encode_call("add", (1,), {})
    three = [GET] * 3
    for reply in (bench.call(queries=three), bench.call(commands=[add] * 3)):
        kinds = {refusal.error.kind for one in reply for refusal in one.refusals}
        assert kinds == {"Overloaded"} and not any(one.answers or one.results for one in reply)
    for _ in range(3):  # what was answered counts no more
        (told,) = bench.call(queries=three[:2])
        assert [(one.first, len(one.values)) for one in told.answers] == [(1, 2)] and not told.refusals
    for _ in range(3):
        (told,) = bench.call(commands=[add, add])
        assert sum(len(one.values) for one in told.results) == 2 and not told.refusals


def test_s69_queries_that_would_fill_a_member_are_refused(
    bench: LeaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_queries, "READING_BYTES_MAX", 2 * len(GET))
    (reply,) = bench.call(queries=[GET] * 3)
    assert [refusal.error.kind for refusal in reply.refusals] == ["Overloaded"]
    for _ in range(3):  # what was answered counts no more
        (reply,) = bench.call(queries=[GET] * 2)
        assert [len(one.values) for one in reply.answers] == [2]


def test_s69_answers_leave_a_reply_at_a_time(bench: LeaderBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "REPLY_BYTES_MAX", 1)
    monkeypatch.setattr(executor, "RESULTS_BYTES_MAX", 1)
    order: list[str] = []
    execute, tell = Applier.query, clients.ClientRequests._tell

    def query(self: Applier, payloads: Sequence[bytes]) -> list[bytes]:
        values = execute(self, payloads)
        order.extend(["executed"] * len(values))
        return values

    def told(self: clients.ClientRequests, waiter: Waiter) -> None:
        order.append("told")
        tell(self, waiter)

    monkeypatch.setattr(Applier, "query", query)
    monkeypatch.setattr(clients.ClientRequests, "_tell", told)
    replies = bench.call(queries=[GET] * 3)
    assert [[one.first for one in reply.answers] for reply in replies if reply.answers] == [[1], [2], [3]]
    assert order[:6] == ["executed", "told"] * 3, "no result waits in memory for the next"


def test_s69_a_result_that_fits_no_reply_is_refused_or_lost(
    bench: LeaderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The query was not executed for its caller; the command was, and only its result is lost."""
    monkeypatch.setattr(clients, "RESULT_BYTES_MAX", 0)
    (refused,) = bench.call(queries=[GET])
    assert [refusal.error.kind for refusal in refused.refusals] == ["TooLarge"] and not refused.answers
    (told,) = bench.call(commands=[encode_call("add", (1,), {})])
    (outcomes,) = told.results
    assert (outcomes.status, outcomes.values) == (STALE, (b"",)) and outcomes.revision > 0
    assert not told.refusals
