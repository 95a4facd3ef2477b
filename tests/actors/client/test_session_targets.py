"""Which node a session with a group asks."""

from typing import Any

import pytest

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.group_session import GroupSession
from fleet.actors.client.session_events import (
    ClusterPinned,
    ForeignNode,
    LeaderNoted,
    Leaving,
    LinkLost,
    LinkMade,
    LookForNodes,
    Send,
    WakeAt,
    Woken,
)
from fleet.actors.client.session_state import SILENCE_MS
from fleet.actors.client.targets import NOWHERE_MS
from fleet.actors.messages.well_known import REGISTRY
from fleet.errors import (
    ClientClosed,
    NoSuchGroup,
    OutcomeUnknown,
    Unavailable,
)
from tests.actors.client.talks import ME, SESSION, A, B, C, Talk, endpoints


def asking(*addresses: str, target: Any = A) -> Talk:
    """A command is under way at `target`; the client knows the nodes at `addresses`."""
    talk = Talk(GroupSession("g", "client", ME, endpoints(*addresses), session_id=SESSION, target=target))
    talk.submit(b"a")
    talk.sent()
    return talk


def test_a_refusal_that_names_the_leader_sends_the_session_there_at_once() -> None:
    talk = asking("a:1", "b:1", "c:1")
    talk.refuse(Unavailable("not here"), 1)
    talk.resent()
    talk.refuse(Unavailable("not here"), 1, leader="d:1")
    assert talk.session.target == remote_address("d:1", REGISTRY)
    assert talk.session.resend_at == talk.now


def test_nodes_that_name_each_other_are_not_asked_without_a_pause() -> None:
    """While both started their members, a client asked them as fast as they answered."""
    talk = asking("a:1", "b:1")
    pauses = []
    for _ in range(9):
        other = "b:1" if talk.session.target == A else "a:1"
        talk.refuse(Unavailable("its member is being started"), 1, leader=other)
        pauses.append((talk.session.resend_at or 0) - talk.now)
        talk.resent()
    assert pauses == [0, 0, 10, 0, 0, 80, 0, 0, 200]


def test_a_hint_at_a_node_whose_link_was_lost_is_followed_when_it_is_back() -> None:
    talk = asking("a:1", "b:1")
    talk.session.endpoints.down["c:1"] = 0
    for _ in range(2):  # the second refusal comes with a pause
        talk.refuse(Unavailable("not here"), 1, leader="c:1")
        assert talk.session.target != C
        talk.resent()
    talk.refuse(Unavailable("not here"), 1, leader="c:1")
    assert (talk.session.resend_at or 0) > talk.now
    talk.session.endpoints.link_made("c:1", 1)
    assert talk.step(LinkMade("c:1")) == [WakeAt(talk.now)]
    assert (talk.session.target, talk.session.resend_at) == (C, talk.now)


def test_a_silent_node_is_given_up_for_another_and_the_nodes_are_asked_for() -> None:
    talk = asking("a:1", "b:1")
    talk.now += SILENCE_MS - 1
    assert talk.step(Woken()) == []
    talk.now += 1
    looked, sent = talk.step(Woken())
    assert looked == LookForNodes()
    assert isinstance(sent, Send) and sent.to == B and sent.message.commands == (b"a",)


@pytest.mark.parametrize(("lost", "is_asked_elsewhere"), [(A, True), (B, False)])
def test_a_lost_link_matters_to_whoever_waits_for_that_node(lost: Any, is_asked_elsewhere: bool) -> None:
    talk = asking("a:1", "b:1")
    talk.step(LinkLost(lost))
    assert (talk.session.target, talk.session.resend_at) == (
        (B, talk.now) if is_asked_elsewhere else (A, None)
    )


def test_a_group_is_missing_when_every_node_says_so_for_a_while() -> None:
    talk = asking("a:1", "b:1")
    for node in ("n1", "n2"):
        assert LookForNodes() in talk.refuse(NoSuchGroup("none", node=node), 1)
        talk.resent()
    assert talk.told == {}
    talk.now += NOWHERE_MS
    talk.refuse(NoSuchGroup("none", node="n1"), 1)
    assert talk.values() == {b"a": [NoSuchGroup]}


def test_a_group_that_some_node_has_is_not_missing() -> None:
    """Nodes that start one after the other each say once that they do not know it."""
    talk = asking("a:1", "b:1")
    talk.refuse(NoSuchGroup("none", node="n1"), 1)
    talk.resent()
    talk.refuse(Unavailable("this member does not lead"), 1)
    talk.now += NOWHERE_MS
    talk.resent()
    talk.refuse(NoSuchGroup("none", node="n2"), 1)
    assert talk.told == {}


def test_a_noted_leader_is_asked_first_and_moves_no_session_that_has_a_target() -> None:
    talk = Talk()
    talk.step(LeaderNoted("d:1"))
    talk.step(LeaderNoted("a:1"))
    assert talk.session.target == remote_address("d:1", REGISTRY)


def test_a_client_that_has_just_heard_of_its_cluster_asks_again_at_once() -> None:
    talk = asking("a:1", "b:1")
    talk.refuse(Unavailable("no leader"), 1)
    talk.resent()
    talk.refuse(Unavailable("no leader"), 1)
    assert (talk.session.resend_at or 0) > talk.now
    talk.step(ClusterPinned())
    assert talk.session.resend_at == talk.now


def test_a_node_of_another_cluster_is_left_for_another_node() -> None:
    talk = asking("a:1", "b:1")
    talk.step(ForeignNode(A))
    assert talk.session.target == B


def test_a_session_that_leaves_fails_its_calls_and_asks_once_to_be_forgotten() -> None:
    talk = asking("a:1")
    (closing,) = talk.requests(Leaving(ClientClosed("the client was closed")))
    assert closing.closes and closing.commands == ()
    assert talk.values() == {b"a": [OutcomeUnknown]}
    assert not talk.session.is_waiting
