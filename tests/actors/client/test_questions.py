"""Operators' requests: whom they go to, when again, and what they come to."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.client.endpoints import KNOCK_MS, Endpoints
from fleet.actors.client.questions import (
    ASK_AGAIN_MS,
    Answered,
    Effect,
    Event,
    NobodyThere,
    Question,
    Questions,
    TellAsker,
)
from fleet.actors.client.session_events import Abandoned, Send, WakeAt, Woken
from fleet.actors.messages.operator import AddMember, Done, GetStatus, ListNodes, OpReply
from fleet.actors.messages.values import NodeInfo
from fleet.actors.messages.well_known import MANAGER, REGISTRY
from fleet.errors import ChangeInProgress, FleetError, NoSuchGroup, OutcomeUnknown, Unavailable, WrongCluster
from fleet.objects.payload import ErrorRecord
from fleet.raft.ids import MemberId, NodeName

ME = remote_address("me:1", "client")
ADD = AddMember(MemberId("n4@1.1"), "d:1", 7)
DEADLINE = 2000


def known(*addresses: str) -> Endpoints:
    endpoints = Endpoints(random.Random(1), ClusterPin(lambda: 0))
    for address in addresses:
        endpoints.learn(address)
    return endpoints


@dataclass
class Asking:
    """What was sent where, and what the askers were told."""

    questions: Questions = field(default_factory=lambda: Questions(ME, known("a:1", "b:1")))
    asked: list[Any] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    now: int = 0

    def step(self, event: Event) -> list[Effect]:
        effects = self.questions.step(self.now, event)
        self.asked += [effect.to for effect in effects if isinstance(effect, Send)]
        self.told += [effect.outcome for effect in effects if isinstance(effect, TellAsker)]
        return effects

    def ask(self, op: Any = ADD, group: str = "g", address: str = "a:1", **options: Any) -> None:
        self.step(Question(op, group, address, DEADLINE, lambda outcome: None, **options))

    def answer(self, value: Any = None, error: FleetError | None = None, leader: str = "") -> None:
        record = ErrorRecord.of(error) if error is not None else None
        self.step(Answered(OpReply(self.questions.token, value, record, "", leader)))

    def wake_at(self, now: int) -> None:
        self.now = now
        self.step(Woken())


def registry(address: str) -> Any:
    return remote_address(address, REGISTRY)


def test_a_question_to_a_node_goes_to_its_manager_and_one_about_a_group_to_a_registry() -> None:
    asking = Asking()
    asking.ask(ListNodes(), group="", address="x:1")
    asking.ask(GetStatus(), group="g", address="a:1")
    assert asking.asked == [remote_address("x:1", MANAGER), registry("a:1")]


def test_an_answer_is_told_once_and_its_copy_to_nobody() -> None:
    asking = Asking()
    asking.ask()
    asking.answer(Done(5, 5))
    asking.answer(Done(5, 5))
    assert asking.told == [Done(5, 5)]
    assert asking.questions.due_at(otherwise=-1) == -1


def test_what_is_not_answered_is_asked_again_until_its_time_is_over() -> None:
    asking = Asking()
    asking.ask()
    assert asking.questions.due_at(otherwise=-1) == ASK_AGAIN_MS
    for now, sends in ((ASK_AGAIN_MS - 1, 1), (ASK_AGAIN_MS, 2), (2 * ASK_AGAIN_MS, 3)):
        asking.wake_at(now)
        assert asking.asked == sends * [registry("a:1")]
    asking.wake_at(DEADLINE)
    (error,) = asking.told
    assert isinstance(error, OutcomeUnknown)


def test_a_question_without_an_address_asks_another_node_each_time() -> None:
    asking = Asking()
    asking.ask(GetStatus(), address="")
    for attempt in range(1, 20):
        asking.wake_at(attempt * ASK_AGAIN_MS // 3)
    assert set(asking.asked) == {registry("a:1"), registry("b:1")}


@pytest.mark.parametrize("repeats", [False, True])
def test_a_refusal_sends_it_on_to_the_leader_or_anywhere_else(repeats: bool) -> None:
    asking = Asking()
    asking.ask(repeats=repeats)
    asking.answer(error=Unavailable("not leader"), leader="c:1")
    asking.wake_at(ASK_AGAIN_MS)
    asking.answer(error=NoSuchGroup("not here"))
    asking.wake_at(2 * ASK_AGAIN_MS)
    first, second, third = asking.asked
    assert (first, second) == (registry("a:1"), registry("c:1"))
    assert third in (registry("a:1"), registry("b:1"))


@pytest.mark.parametrize(
    ("sends", "refused", "op", "kind"),
    [
        (1, True, ADD, Unavailable),
        (1, False, ADD, OutcomeUnknown),
        (2, True, ADD, OutcomeUnknown),
        (1, False, GetStatus(), Unavailable),
    ],
)
def test_a_change_whose_every_send_was_refused_was_not_made(
    sends: int, refused: bool, op: Any, kind: type
) -> None:
    asking = Asking()
    asking.ask(op, repeats=sends > 1)
    for attempt in range(1, sends):
        asking.wake_at(attempt * ASK_AGAIN_MS)
    if refused:
        asking.answer(error=Unavailable("no leader"))
    asking.questions.by_token[asking.questions.token].deadline = asking.now
    asking.step(Woken())
    (error,) = asking.told
    assert type(error) is kind


def test_another_refusal_than_for_want_of_a_leader_is_final() -> None:
    asking = Asking()
    asking.ask()
    asking.answer(error=ChangeInProgress("one at a time"))
    assert [type(error) for error in asking.told] == [ChangeInProgress]


@pytest.mark.parametrize("is_patient", [False, True])
def test_where_nobody_listens_only_the_patient_ask_on(is_patient: bool) -> None:
    asking = Asking()
    asking.ask(ListNodes(), group="", address="x:1", is_patient=is_patient)
    asking.ask(ListNodes(), group="", address="y:1", is_patient=False)
    asking.step(NobodyThere("x:1", Unavailable("connection refused")))
    assert len(asking.told) == (not is_patient)


def test_an_answer_of_another_cluster_is_an_error_at_an_address_that_was_named() -> None:
    asking = Asking()
    asking.ask(ListNodes(), group="", address="x:1")
    asking.step(Answered(OpReply(1, None, None, cluster=9), is_foreign=True))
    assert [type(error) for error in asking.told] == [WrongCluster]


def test_a_question_about_a_group_goes_on_to_a_node_of_its_own_cluster() -> None:
    asking = Asking(Questions(ME, known("a:1")))
    asking.ask(GetStatus(), address="b:1")
    del asking.questions.endpoints.registries["b:1"]
    effects = asking.step(Answered(OpReply(1, None, None, cluster=9), is_foreign=True))
    assert effects == [WakeAt(ASK_AGAIN_MS)] and asking.told == []
    asking.wake_at(ASK_AGAIN_MS)
    assert asking.asked == [registry("b:1"), registry("a:1")]


def test_when_nothing_can_succeed_each_is_told_and_gone() -> None:
    asking = Asking()
    asking.ask()
    asking.ask(ListNodes(), group="")
    for _ in range(2):
        asking.step(Abandoned(Unavailable("closed")))
    assert [type(error) for error in asking.told] == [Unavailable, Unavailable]


# -- the nodes that a client knows ----------------------------------------------------------------------


def node(name: str, address: str, started_ms: int) -> NodeInfo:
    return NodeInfo(NodeName(name), address, "z", "disk", started_ms)


def test_a_node_that_came_back_elsewhere_is_no_longer_where_it_was() -> None:
    endpoints = known("a:1")
    for info in (node("n1", "a:1", 5), node("n1", "b:1", 7), node("n1", "a:1", 6)):
        endpoints.learn_node(info)
    assert list(endpoints.registries) == ["b:1"]
    assert (endpoints.address_of("n1", "a:1"), endpoints.address_of("n2", "c:1")) == ("b:1", "c:1")


def test_a_node_whose_link_was_lost_is_asked_last_and_tried_now_and_then() -> None:
    endpoints = known("a:1", "b:1")
    endpoints.link_made("a:1", boot=1)
    assert endpoints.link_lost("a:1", boot=1, now=0) == registry("a:1")
    assert {endpoints.another(None) for _ in range(20)} == {registry("b:1")}
    assert endpoints.another(registry("b:1")) == registry("a:1")
    assert endpoints.reachable("a:1") is None and endpoints.reachable("b:1") == registry("b:1")
    assert [endpoints.to_knock(now) for now in (KNOCK_MS - 1, KNOCK_MS, KNOCK_MS + 1)] == [[], ["a:1"], []]
    endpoints.link_made("a:1", boot=2)
    assert endpoints.to_knock(10 * KNOCK_MS) == []


def test_the_late_end_of_an_earlier_life_s_link_is_not_the_end_of_the_node() -> None:
    endpoints = known("a:1")
    endpoints.link_made("a:1", boot=2)
    assert endpoints.link_lost("a:1", boot=1, now=0) is None
    assert endpoints.reachable("a:1") == registry("a:1")


def test_an_address_of_another_cluster_is_learned_again_when_another_process_is_there() -> None:
    endpoints = known("a:1")
    endpoints.pin.uid = 1
    assert not endpoints.pin.admits("b:1", 2)
    endpoints.learn("b:1")
    assert "b:1" not in endpoints.registries
    endpoints.link_made("b:1", boot=3)
    assert "b:1" in endpoints.registries


def test_nodes_are_asked_which_nodes_there_are_where_links_come_up() -> None:
    endpoints = known("a:1", "b:1")
    endpoints.learn("n3", registry("c:1"))
    endpoints.refused["a:1"] = "wrong secret"
    assert endpoints.answering() == ["b:1"]
    endpoints.refused |= {"b:1": "timeout", "n3": "timeout"}
    assert endpoints.answering() == ["a:1", "b:1"]
