"""A member and its clients: what is refused, what is recorded, and when it is told."""

import random
from decimal import Decimal
from typing import Any, NoReturn

import pytest

import fleet.objects.payload
from fleet.actors.base.addresses import remote_address
from fleet.actors.client.calls import ClientCall
from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.group_session import Event, GroupSession
from fleet.actors.client.session_events import Leaving, LinkLost, Send, Settle, TurnEnded, Woken
from fleet.actors.member.waiters import UnderWay, Waiter
from fleet.actors.messages.client import ClientReply, ClientRequest, Refusal
from fleet.actors.messages.operator import ChangeConfig, Done, GroupRequest, OpReply
from fleet.actors.messages.well_known import REGISTRY
from fleet.errors import BadArguments, ClientClosed, OutcomeUnknown
from fleet.objects.applier import Outcomes
from fleet.objects.outcomes import CallOutcome, Impatient, Succeeded
from fleet.objects.payload import decode_result, encode_call
from fleet.raft.entries import Founded
from fleet.raft.events import Tick
from fleet.raft.sessions import DONE
from tests.actors.member.test_member_disk import CLIENT, CONFIG, ME, PEER, Alone, Held
from tests.support.objects import applier_of

NO_CALL = b"junk"
MISFIT = encode_call("append", (Decimal(7), 8), {})
NO_METHOD = encode_call("appendix", (Decimal(7),), {})
TOO_LARGE = bytes(CONFIG.command_bytes_max + 1)
REFUSED = {"no call": NO_CALL, "misfit": MISFIT, "no method": NO_METHOD, "too large": TOO_LARGE}
KIND = {"too large": "TooLarge"}


def refusals(replies: list[ClientReply]) -> list[Refusal]:
    return [refusal for reply in replies for refusal in reply.refusals]


@pytest.mark.parametrize(
    "payload", [encode_call("append", (), {}), encode_call("appendix", (7,), {}), b"\x80\x05junk"]
)
def test_plain_arguments_are_looked_at_when_they_are_executed(payload: bytes) -> None:
    """Every member comes to the same result, so they need no look of the executor before."""
    alone = Alone()
    alone.ask(payload, encode_call("append", (1,), {}))
    alone.sync()
    assert refusals(alone.replies) == []
    values = [value for reply in alone.replies for result in reply.results for value in result.values]
    with pytest.raises(BadArguments):
        decode_result(values[0])
    assert decode_result(values[1]) is None and alone.values == [1]


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


def test_of_a_request_sent_again_what_is_under_way_is_neither_proposed_nor_judged_again() -> None:
    alone = Alone()
    append = [encode_call("append", (number,), {}) for number in range(4)]
    alone.ask(*append[:2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet.objects.payload, "loads", short_of_memory)
        alone.tell(ClientRequest("g", "c1", CLIENT, alone.session, 0, False, 1, tuple(append[:2]), 0, (), 7))
    assert refusals(alone.replies) == []
    alone.tell(ClientRequest("g", "c1", CLIENT, alone.session, 0, False, 1, tuple(append), 0, (), 8))
    alone.sync()
    assert alone.values == [0, 1, 2, 3]
    told = [(one.first, len(one.values)) for reply in alone.replies for one in reply.results]
    assert told == [(1, 2), (3, 2)]


def test_a_client_is_told_only_of_commands_that_it_waits_for_here() -> None:
    """The others of the entry were asked for at another leader, or are told already."""
    alone = Alone()
    waiter = Waiter("c1", CLIENT, pending=1)
    alone.member.clients.commands[alone.session] = UnderWay(waiter, {2})
    alone.member.clients.on_outcomes(Outcomes(alone.session, 1, DONE, 8, (b"x", b"y", b"z")))
    assert waiter.results == [Outcomes(alone.session, 2, DONE, 9, (b"y",))]
    assert waiter.pending == 0 and alone.member.clients.commands == {}


def test_who_does_not_lead_does_not_judge_what_it_is_sent() -> None:
    """It may lack the module, and is asked by mistake only."""
    held = Held(Founded(PEER, "", CONFIG, ((ME, ""),)))
    held.tell(ClientRequest("g", "c1", CLIENT, 1, 0, False, 1, (NO_CALL,), 0, (), 1))
    assert [refusal.error.kind for refusal in refusals(held.replies)] == ["Unavailable"]


def test_a_change_of_settings_is_answered_with_the_groups_revision() -> None:
    alone = Alone()
    alone.ask(*[encode_call("append", (number,), {}) for number in range(3)])
    alone.sync()
    answers: list[Any] = []
    send = alone.member.send

    def note(to: Any, m: Any) -> None:
        answers.append(m)
        send(to, m)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alone.member, "send", note)
        alone.tell(GroupRequest(5, CLIENT, "g", ChangeConfig(CONFIG)))
        alone.sync()
    (done,) = [m.value for m in answers if type(m) is OpReply]
    last = alone.member.core.log.last_index
    assert isinstance(done, Done) and (done.index, done.revision) == (last, 4) and last != 4


def test_s78_a_copy_of_a_request_that_was_refused_is_not_carried_out() -> None:
    """A member that could not load the arguments, and can when Thespian's TCP base repeats the request."""
    alone = Alone()
    good = encode_call("append", (Decimal(1),), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet.objects.payload, "loads", short_of_memory)
        alone.ask(good)
    assert len(refusals(alone.replies)) == 1
    alone.seq -= 1
    alone.ask(good)
    alone.sync()
    assert alone.values == []


def short_of_memory(data: bytes) -> NoReturn:
    raise MemoryError


class Conversation:
    """A client's session and the only member of a group."""

    def __init__(self) -> None:
        self.told: list[CallOutcome] = []
        endpoints = Endpoints(random.Random(1), ClusterPin(lambda: 0))
        endpoints.learn("a:1")
        self.session = GroupSession("g", "client", CLIENT, endpoints)
        self.held = Held()
        self.held.tell(Tick())
        self.held.sync()

    def submit(self, payload: bytes) -> None:
        self.session.add([ClientCall("g", False, payload, 10_000, Impatient(lambda outcome: None))])

    def step(self, now: int, event: Event) -> list[ClientReply]:
        """The replies of the member to what the session sends now."""
        self.held.replies = []
        for effect in self.session.step(now, event):
            match effect:
                case Settle(outcomes):
                    self.told += [outcome for _, outcome in outcomes]
                case Send(_, request):
                    self.held.tell(request)
                    self.held.sync()
        return self.held.replies

    def hear(self, replies: list[ClientReply], now: int) -> None:
        for reply in replies:
            self.step(now, reply)


def test_s78_a_check_that_fails_after_the_command_was_executed_is_not_told_as_not_done() -> None:
    """Executed, and the answer is lost; asked again, the leader is short of memory for the arguments."""
    talk = Conversation()
    talk.submit(encode_call("append", (Decimal(7),), {}))
    talk.hear(talk.step(1000, TurnEnded()), 1000)
    talk.step(1000, TurnEnded())
    assert talk.held.values == [7]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet.objects.payload, "loads", short_of_memory)
        talk.session.step(2000, LinkLost(remote_address("a:1", REGISTRY)))
        talk.hear(talk.step(2000, Woken()), 2000)
    talk.step(10_000, Woken())
    (outcome,) = talk.told
    assert not isinstance(outcome, Succeeded) and isinstance(outcome.error, OutcomeUnknown)


def test_s76_a_client_that_leaves_is_told_that_it_was_heard_and_forgotten_by_the_group() -> None:
    talk = Conversation()
    talk.submit(encode_call("append", (7,), {}))
    for _ in range(2):
        talk.hear(talk.step(1000, TurnEnded()), 1000)
    sessions = applier_of(talk.held.member).sessions
    assert list(sessions.clients) == ["client"]
    (reply,) = talk.step(1000, Leaving(ClientClosed("closed")))
    assert (reply.group, reply.refusals) == ("g", ())
    assert (sessions.clients, sessions.sessions) == ({}, {})
    assert talk.held.member.clients.waiters == {}
