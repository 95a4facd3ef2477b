"""An operator's question on its way to whoever can answer it."""

from datetime import timedelta
from typing import Any

import pytest
from thespian.actors import WakeupMessage

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.calls import ClientCall
from fleet.actors.client.endings import LINGER_MS
from fleet.actors.client.messages import Leave
from fleet.actors.client.questions import ASK_AGAIN_MS, Question
from fleet.actors.client.router import Router
from fleet.actors.messages.client import Answers, ClientReply, ClientRequest
from fleet.actors.messages.operator import AddMember, Done, GroupRequest, OpReply
from fleet.actors.messages.well_known import REGISTRY
from fleet.actors.runtime.turn import EndTurn
from fleet.errors import ClientClosed, OutcomeUnknown, Unavailable
from fleet.objects.outcomes import Failed, Impatient
from fleet.objects.payload import ErrorRecord
from fleet.raft.ids import MemberId

NODES = ["a:1", "b:1", "c:1"]


class Requester:
    """The actor that a `Router` lives in, its clock, and what it was answered."""

    myAddress = remote_address("me:1", "requester")

    def __init__(self) -> None:
        self.now = 0
        self.sent: list[tuple[Any, GroupRequest]] = []
        self.wakeups: list[tuple[int, int]] = []
        self.answers: list[Any] = []
        self.router = Router(self, self, "me", 1, NODES)  # type: ignore[arg-type]

    def now_ms(self) -> int:
        return self.now

    def send(self, target: Any, message: Any) -> None:
        self.sent.append((target, message))

    def wakeupAfter(self, period: timedelta, payload: int) -> None:
        self.wakeups.append((self.now + round(period.total_seconds() * 1000), payload))

    def ask(self, repeats: bool) -> None:
        op = AddMember(MemberId("n4@1.1"), "d:1", 7)
        self.router.ask(Question(op, "g", "a:1", 2000, self.answers.append, repeats))

    def refuse(self, leader: str) -> None:
        error = ErrorRecord.of(Unavailable("not leader", group="g"))
        self.router.on_op_reply(OpReply(self.sent[-1][1].token, None, error, "", leader))

    def wait(self, until: int) -> None:
        """Every wakeup that is due by then."""
        while due := [wakeup for wakeup in self.wakeups if wakeup[0] <= until]:
            at, payload = min(due, key=lambda wakeup: wakeup[0])
            self.wakeups.remove((at, payload))
            self.now = max(self.now, at)
            self.router.on_wakeup(WakeupMessage(timedelta(0), payload))
        self.now = until

    def asked(self) -> list[Any]:
        return [target for target, _ in self.sent]


@pytest.mark.parametrize("repeats", [False, True])
def test_what_was_refused_goes_to_the_leader_though_it_may_not_be_asked_twice(repeats: bool) -> None:
    requester = Requester()
    requester.ask(repeats)
    requester.refuse("c:1")
    requester.wait(ASK_AGAIN_MS)
    assert requester.asked() == [remote_address("a:1", REGISTRY), remote_address("c:1", REGISTRY)]
    requester.router.on_op_reply(OpReply(requester.sent[-1][1].token, Done(5, 5)))
    assert requester.answers == [Done(5, 5)]


def test_what_may_not_be_asked_twice_and_is_not_answered_is_asked_once() -> None:
    requester = Requester()
    requester.ask(repeats=False)
    requester.wait(3000)
    assert len(requester.sent) == 1
    (error,) = requester.answers
    assert isinstance(error, OutcomeUnknown)


def test_s76_a_client_that_leaves_fails_its_calls_and_closes_each_session() -> None:
    requester = Requester()
    left: list[bool] = []
    for group in ("g", "h"):
        call = ClientCall(group, False, b"c", 5000, Impatient(requester.answers.append))
        requester.router.submit(call)
    requester.router.handle(EndTurn())
    requester.router.submit(ClientCall("q", True, b"q", 5000, Impatient(lambda outcome: None)))
    requester.sent.clear()
    requester.router.leave(Leave(lambda: left.append(True)))
    requests: list[ClientRequest] = [message for _, message in requester.sent]  # type: ignore[misc]
    assert [(request.group, request.closes) for request in requests] == [("g", True), ("h", True)]
    assert [type(outcome.error) for outcome in requester.answers] == [ClientClosed, ClientClosed]
    for group in ("g", "h"):
        assert left == []
        requester.router.on_reply(ClientReply(group, 0, (), (), ()))
    assert left == [True]


def test_a_client_without_a_session_leaves_at_once() -> None:
    left: list[bool] = []
    Requester().router.leave(Leave(lambda: left.append(True)))
    assert left == [True]


def test_what_threads_sent_is_handled_in_its_order() -> None:
    """A call that a thread made before the client was closed is failed, and not sent after the farewell."""
    requester = Requester()
    order: list[str] = []
    first, second = (
        ClientCall("g", False, b"c", 5000, Impatient(lambda outcome, name=name: order.append(name)))  # type: ignore[misc]
        for name in ("first", "second")
    )
    leave = Leave(lambda: order.append("left"))
    requester.router.handle_all([first, leave, second])
    assert order == ["first", "left"]


@pytest.mark.parametrize("size", [1, 3000])
def test_calls_that_come_to_their_end_make_room_before_their_callers_are_told(size: int) -> None:
    """Whoever is told may call again at once."""
    requester = Requester()
    told: list[Any] = []
    requester.router.release = lambda calls, size: told.append((calls, size))
    requester.router.submit(ClientCall("g", True, bytes(size), 100, Impatient(told.append)))
    requester.router.handle(EndTurn())
    requester.wait(100)
    assert told[0] == (1, size) and isinstance(told[1], Failed)


def test_a_call_without_an_outcome_in_time_makes_room_when_it_ends_at_last() -> None:
    requester = Requester()
    released: list[tuple[int, int, int]] = []
    requester.router.release = lambda calls, size: released.append((requester.now, calls, size))
    requester.router.submit(ClientCall("g", False, b"c", 100, Impatient(lambda outcome: None)))
    requester.router.handle(EndTurn())
    requester.router.handle(ClientReply("g", 7, (), (), ()))
    requester.router.handle(EndTurn())
    requester.wait(100 + LINGER_MS)
    assert released == [(100, 0, 0), (100 + LINGER_MS, 1, 1)]


def test_groups_count_as_busy_while_they_have_calls() -> None:
    client = Requester()
    for group in ("g", "h"):
        client.router.submit(ClientCall(group, True, b"query", 10_000, Impatient(lambda outcome: None)))
    client.router.on_end_turn(EndTurn())
    assert client.router.busy == {"g", "h"}
    client.router.on_reply(ClientReply("g", 0, (), (Answers(1, (b"value",)),), ()))
    assert client.router.busy == {"h"}
    client.now = 20_000
    client.wait(20_000)
    assert client.router.busy == set()
