"""Queries that any member may answer: which node a session asks, and when another one, or the leader."""

from typing import Any

import pytest

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.calls import ClientCall
from fleet.actors.client.group_session import GroupSession
from fleet.actors.client.session_events import Abandoned, LinkLost, Send, TurnEnded, Woken
from fleet.actors.client.session_state import READS_FROM, SILENCE_MS
from fleet.actors.messages.client import Answers, ClientReply, ClientRequest, ReadBound, Refusal
from fleet.actors.messages.well_known import REGISTRY
from fleet.errors import (
    ClientClosed,
    FleetError,
    NoSuchGroup,
    Overloaded,
    TooStale,
    Unavailable,
    WrongCluster,
)
from fleet.objects.payload import ErrorRecord
from tests.actors.client.talks import ME, NOBODY, SESSION, A, B, C, Talk, endpoints

ADDRESSES = ("a:1", "b:1", "c:1")
AT = dict(zip((str(A), str(B), str(C)), ADDRESSES))
STALE = ReadBound(2000, 0)


def talk(linked: tuple[str, ...] = (), addresses: tuple[str, ...] = ADDRESSES) -> Talk:
    talk = Talk(GroupSession("g", "client", ME, endpoints(*addresses), session_id=SESSION, target=A))
    for address in linked:
        talk.session.endpoints.link_made(address, 1)
    return talk


def sends(talk: Talk, event: Any = TurnEnded()) -> list[tuple[str, ClientRequest]]:
    """Where the requests go."""
    return [(AT[str(e.to)], e.message) for e in talk.step(event) if isinstance(e, Send)]


def read(talk: Talk, *payloads: bytes, bound: ReadBound = STALE, timeout_ms: int = 10_000) -> None:
    deadline = talk.now + timeout_ms
    talk.session.add(ClientCall("g", True, payload, deadline, NOBODY, bound) for payload in payloads)


def asked(talk: Talk, *payloads: bytes, **how: Any) -> tuple[str, ClientRequest]:
    read(talk, *payloads, **how)
    (sent,) = sends(talk)
    return sent


def answer(talk: Talk, first: int, *values: bytes, revision: int = 5, members: tuple[str, ...] = ()) -> None:
    answers = (Answers(first, values, revision),)
    talk.step(ClientReply("g", 0, (), answers, (), members=members))


def refuse(talk: Talk, error: FleetError, m: ClientRequest, address: str = "") -> None:
    queries = tuple(range(m.first_query, m.first_query + len(m.queries)))
    told = Refusal(ErrorRecord.of(error), False, "", address, False, 0, (), queries, m.number)
    talk.step(ClientReply("g", 0, (), (), (told,)))


def test_a_node_with_a_link_is_asked_and_stays_the_one() -> None:
    one = talk(linked=("b:1",))
    for number in range(4):
        at, m = asked(one, b"%d" % number)
        assert at == "b:1" and m.bound is not None and m.queries == (b"%d" % number,)
        answer(one, m.first_query, b"value")
    assert one.values() == {b"%d" % number: [b"value"] for number in range(4)}


def test_clients_spread_over_the_nodes_that_hold_members() -> None:
    """Which of them there are, the first one says."""
    found = set()
    for seed in range(20):
        one = talk(linked=("a:1",))
        one.session.endpoints.rng.seed(seed)
        _, m = asked(one, b"1")
        assert m.bound is not None and m.bound.wants_members
        answer(one, m.first_query, b"value", members=("b:1", "c:1"))
        one.session.step(one.now, LinkLost(A))
        at, m = asked(one, b"2")
        assert m.bound is not None and not m.bound.wants_members
        found.add(at)
    assert found == {"b:1", "c:1"}


def test_queries_of_one_turn_share_a_request_if_their_ages_do() -> None:
    one = talk()
    read(one, b"1", bound=ReadBound(2000, 7))
    read(one, b"2", bound=ReadBound(2000, 9))
    read(one, b"3", bound=ReadBound(-1, 0))
    (_, first), (_, second) = sends(one)
    assert (first.queries, second.queries) == ((b"1", b"2"), (b"3",))
    assert first.bound == ReadBound(2000, 9, wants_members=True)
    assert second.bound == ReadBound(-1, 0, wants_members=True)
    assert first.first_query == READS_FROM and second.first_query == READS_FROM + 2


def test_calls_wait_for_one_of_three_requests_to_be_answered() -> None:
    one = talk()
    requests = [asked(one, b"%d" % number)[1] for number in range(3)]
    read(one, b"4")
    assert sends(one) == []
    answer(one, requests[1].first_query, b"value")
    assert [m.queries for _, m in sends(one)] == [(b"4",)]


def test_s21_a_query_asks_for_the_latest_revision_that_the_client_was_told() -> None:
    """By a command, the leader, or any member."""
    one = talk()

    def floor() -> int:
        _, m = asked(one, b"q")
        answer(one, m.first_query, b"value", revision=0)
        assert m.bound is not None
        return m.bound.at_least

    one.submit(b"c")
    one.sent()
    one.reply((1, "done", b"value"))  # at revision 5
    assert floor() == 5
    one.submit(b"q", is_query=True)
    one.sent()
    one.step(ClientReply("g", 0, (), (Answers(1, (b"value",), 8),), ()))
    assert floor() == 8
    _, m = asked(one, b"q")
    answer(one, m.first_query, b"value", revision=11)
    assert floor() == 11


def test_the_leader_is_asked_when_a_member_cannot_prove_how_new_its_state_is() -> None:
    one = talk(linked=("b:1",))
    _, m = asked(one, b"q")
    refuse(one, TooStale("old", age=3), m)
    ((at, again),) = sends(one)
    assert at == "a:1" and again.bound is None and again.queries == (b"q",) and again.first_query == 1
    one.step(ClientReply("g", 0, (), (Answers(1, (b"value",), 5),), ()))
    assert one.values() == {b"q": [b"value"]}


def test_a_leader_that_does_not_answer_either_leaves_the_reason_of_the_member() -> None:
    one = talk(linked=("b:1",))
    _, m = asked(one, b"q", timeout_ms=400)
    refuse(one, TooStale("old", age=3), m)
    sends(one)
    one.pass_time(400)
    (outcome,) = one.told[b"q"]
    assert isinstance(getattr(outcome, "error"), TooStale)


def test_a_revision_that_the_leader_does_not_have_either_is_refused() -> None:
    one = talk()
    _, m = asked(one, b"q", bound=ReadBound(-1, 9))
    refuse(one, TooStale("old", revision=5, at_least=9), m)
    sends(one)
    one.step(ClientReply("g", 0, (), (Answers(1, (b"value",), 8),), ()))
    assert one.values() == {b"q": [TooStale]}


@pytest.mark.parametrize("error", [Unavailable("elsewhere"), NoSuchGroup("none")])
def test_another_node_is_asked_where_there_is_no_member(error: FleetError) -> None:
    one = talk(linked=("b:1",))
    at, m = asked(one, b"1", b"2")
    seen = [at]
    for _ in range(2):
        refuse(one, error, m)
        ((at, m),) = sends(one)
        seen.append(at)
        assert m.queries == (b"1", b"2") and m.bound is not None
    assert sorted(seen) == sorted(ADDRESSES)
    refuse(one, error, m)
    ((_, m),) = sends(one)
    assert m.bound is None, "none is left: the leader, or whoever knows where it is"


def test_a_node_that_a_refusal_names_is_asked_next() -> None:
    one = talk()
    _, m = asked(one, b"q")
    refuse(one, Unavailable("elsewhere"), m, address="d:1")
    (sent,) = one.step(TurnEnded())
    assert isinstance(sent, Send) and sent.to == remote_address("d:1", REGISTRY)


def test_a_client_of_no_cluster_yet_asks_the_leader() -> None:
    one = talk()
    _, m = asked(one, b"q")
    refuse(one, WrongCluster("another"), m)
    ((_, again),) = sends(one)
    assert again.bound is None


def test_any_other_refusal_is_the_outcome() -> None:
    one = talk()
    _, m = asked(one, b"q")
    refuse(one, Overloaded("too much"), m)
    assert one.values() == {b"q": [Overloaded]} and one.session.reads.requests == 0


def test_a_silent_node_is_given_up() -> None:
    one = talk(linked=("b:1",))
    asked(one, b"q")
    assert one.session.due_at() == one.now + SILENCE_MS
    one.now += SILENCE_MS
    one.step(Woken())
    ((at, m),) = sends(one)
    assert at != "b:1" and m.queries == (b"q",)


def test_a_lost_link_sends_queries_elsewhere() -> None:
    one = talk(linked=("b:1",))
    asked(one, b"q")
    one.session.endpoints.link_lost("b:1", 1, one.now)
    one.step(LinkLost(B))
    ((at, _),) = sends(one)
    assert at in ("a:1", "c:1")


def test_what_a_member_says_is_no_sign_of_the_leader() -> None:
    """Else a leader that is gone would never be noticed by a client that reads elsewhere."""
    one = talk(linked=("b:1",))
    one.submit(b"c")
    one.sent()
    before = one.session.asked_at
    _, m = asked(one, b"q")
    one.now += 100
    answer(one, m.first_query, b"value")
    _, m = asked(one, b"q")
    refuse(one, Unavailable("no member"), m)
    assert one.session.asked_at == before and one.session.resend_at is None and one.session.target == A


def test_queries_end_with_their_time_and_with_their_client() -> None:
    one = talk()
    asked(one, b"1", timeout_ms=100)
    read(one, b"2", timeout_ms=100)
    one.pass_time(100)
    assert one.values() == {b"1": [Unavailable], b"2": [Unavailable]}
    asked(one, b"3")
    read(one, b"4")
    one.step(Abandoned(ClientClosed("closed")))
    assert one.values()[b"3"] == one.values()[b"4"] == [ClientClosed] and not one.session.is_waiting
