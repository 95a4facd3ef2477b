"""A member and its clients: what is refused, what is recorded, and when it is told."""

import pickle
from types import SimpleNamespace
from typing import Any

import pytest

import fleet.objects.payload
from fleet.actors.client.group_session import ClientCall, GroupSession
from fleet.actors.messages.client import ClientReply, ClientRequest, Refusal
from fleet.errors import OutcomeUnknown
from fleet.objects.payload import encode_call
from fleet.raft.events import Tick
from tests.actors.test_member_disk import CLIENT, CONFIG, Alone, Held

NO_CALL = b"junk"
MISFIT = encode_call("append", (), {})
NO_METHOD = encode_call("appendix", (7,), {})
TOO_LARGE = bytes(CONFIG.command_bytes_max + 1)
REFUSED = {"no call": NO_CALL, "misfit": MISFIT, "no method": NO_METHOD, "too large": TOO_LARGE}
KIND = {"too large": "TooLarge"}


def refusals(replies: list[ClientReply]) -> list[Refusal]:
    return [refusal for reply in replies for refusal in reply.refusals]


@pytest.mark.parametrize("which", REFUSED)
def test_s78_what_a_look_at_the_payload_refuses_is_a_refusal_of_the_same_turn_and_no_result(
    which: str,
) -> None:
    """It waited for whatever ended a turn next, mostly a heartbeat."""
    alone, payload = Alone(), REFUSED[which]
    index, alone.replies = alone.member.core.log.last_index, []
    alone.ask(payload)
    (refusal,) = refusals(alone.replies)
    assert (refusal.error.kind, refusal.seqs, refusal.number) == (KIND.get(which, "BadArguments"), (1,), 1)
    assert not any(reply.results for reply in alone.replies)
    assert alone.member.core.log.last_index == index


def test_what_is_good_in_a_request_is_executed_beside_what_is_refused() -> None:
    alone = Alone()
    alone.ask(encode_call("append", (1,), {}), NO_CALL)
    alone.sync()
    assert alone.values == [1]
    assert [refusal.seqs for refusal in refusals(alone.replies)] == [(2,)]


def test_s78_a_copy_of_a_request_that_was_refused_is_not_carried_out() -> None:
    """A member that could not load the arguments, and can when Thespian's TCP base repeats the request."""
    alone = Alone()
    good = encode_call("append", (1,), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet.objects.payload, "pickle", short_of_memory())
        alone.ask(good)
    assert len(refusals(alone.replies)) == 1
    alone.seq -= 1
    alone.ask(good)
    alone.sync()
    assert alone.values == []


def short_of_memory() -> Any:
    def loads(data: bytes) -> Any:
        raise MemoryError

    return SimpleNamespace(loads=loads, dumps=pickle.dumps, PicklingError=pickle.PicklingError)


class Conversation:
    """A client's session and the only member of a group."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.session = GroupSession("g", "client")
        self.held = Held()
        self.held.tell(Tick())
        self.held.sync()

    def submit(self, payload: bytes) -> None:
        call = ClientCall("g", False, payload, 10_000, lambda call, *outcome: self.told.append(outcome))
        self.session.add(call)

    def ask(self, request: ClientRequest | None) -> list[ClientReply]:
        assert request is not None
        self.held.replies = []
        self.held.tell(request)
        self.held.sync()
        return self.held.replies

    def hear(self, replies: list[ClientReply], now: int) -> None:
        for reply in replies:
            self.session.on_reply(reply, now)


def test_s78_a_check_that_fails_after_the_command_was_executed_is_not_told_as_not_done() -> None:
    """Executed, and the answer is lost; asked again, the leader is short of memory for the arguments."""
    talk = Conversation()
    talk.submit(encode_call("append", (7,), {}))
    talk.hear(talk.ask(talk.session.next_request(1000, CLIENT)), 1000)
    talk.ask(talk.session.next_request(1000, CLIENT))
    assert talk.held.values == [7]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet.objects.payload, "pickle", short_of_memory())
        for request in talk.session.whole_requests(2000, CLIENT):
            talk.hear(talk.ask(request), 2000)
    talk.session.expire_calls(10_000)
    ((_, _, error),) = talk.told
    assert isinstance(error, OutcomeUnknown)


def test_s76_a_client_that_leaves_is_told_that_it_was_heard_and_forgotten_by_the_group() -> None:
    talk = Conversation()
    talk.submit(encode_call("append", (7,), {}))
    for _ in range(2):
        talk.hear(talk.ask(talk.session.next_request(1000, CLIENT)), 1000)
    sessions = talk.held.member.applier.sessions
    assert list(sessions.clients) == ["client"]
    (reply,) = talk.ask(talk.session.closing_request(CLIENT))
    assert (reply.group, reply.refusals) == ("g", ())
    assert (sessions.clients, sessions.sessions) == ({}, {})
    assert talk.held.member.clients.waiters == {}
