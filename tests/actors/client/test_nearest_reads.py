"""Queries that any member may answer, of a client that knows its zone: one there is asked first."""

import random

from fleet.actors.client.calls import bound_of
from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.group_session import GroupSession
from fleet.actors.client.member_reads import LOOK_MS
from fleet.actors.client.session_events import LinkLost, LinkMade, LookForNodes, NodesLearned, Woken
from fleet.actors.client.session_state import SILENCE_MS
from fleet.actors.messages.client import Answers, ClientReply, ReadBound
from fleet.actors.messages.values import NodeInfo
from fleet.errors import NoSuchGroup
from fleet.objects.handles import CallOptions
from fleet.raft.ids import NodeName
from tests.actors.client.talks import ME, SESSION, A, Talk
from tests.actors.client.test_member_reads import ADDRESSES, answer, asked, read, refuse, sends

ZONES = {"a:1": "east", "b:1": "west", "c:1": "west"}


def talk(zone: str = "east", linked: tuple[str, ...] = ("b:1",), known: bool = True) -> Talk:
    endpoints = Endpoints(random.Random(1), ClusterPin(lambda: 0), zone)
    for address in ADDRESSES:
        endpoints.learn(address)
    one = Talk(GroupSession("g", "client", ME, endpoints, session_id=SESSION, target=A))
    for address in linked:
        endpoints.link_made(address, 1)
    if known:
        learn(one)
    return one


def learn(one: Talk, zones: dict[str, str] = ZONES) -> None:
    for address, zone in zones.items():
        name = NodeName(address[:1])
        one.session.endpoints.learn_node(NodeInfo(name, address, zone, "disk", 1))
    one.step(NodesLearned())


def at(one: Talk, members: tuple[str, ...] = ADDRESSES) -> str:
    """Where the next query goes, which is answered there."""
    where, m = asked(one, b"q")
    answer(one, m.first_query, b"value", members=members)
    return where


def test_a_node_of_its_zone_is_asked_also_if_there_are_links_to_others_only() -> None:
    one = talk()
    assert [at(one) for _ in range(4)] == ["a:1"] * 4
    assert {at(talk(zone="")) for _ in range(4)} == {"b:1"}, "without a zone a link counts"
    assert at(talk(zone="elsewhere")) == "b:1"


def test_as_soon_as_it_is_known_where_nodes_are_one_of_its_zone_is_asked() -> None:
    one = talk(known=False)
    read(one, b"q")
    ((where, m),) = sends(one)
    assert where == "b:1"
    answer(one, m.first_query, b"value", members=ADDRESSES)
    learn(one)
    assert at(one) == "a:1"


def test_where_members_are_in_no_known_zone_nodes_are_looked_for() -> None:
    one = talk(known=False)
    _, m = asked(one, b"q")
    effects = one.step(ClientReply("g", 0, (), (Answers(m.first_query, (b"v",), 5),), (), members=ADDRESSES))
    assert any(isinstance(effect, LookForNodes) for effect in effects)


def test_a_node_of_its_zone_without_a_member_is_not_asked_again() -> None:
    one = talk()
    where, m = asked(one, b"q")
    assert where == "a:1"
    refuse(one, NoSuchGroup("", node="a"), m)
    ((where, m),) = sends(one)
    assert where in ("b:1", "c:1")
    answer(one, m.first_query, b"value", members=("b:1", "c:1"))
    one.now += 2 * LOOK_MS
    assert {at(one, members=("b:1", "c:1")) for _ in range(4)} == {where}


def test_others_are_asked_while_its_zone_is_silent_and_then_its_zone_again() -> None:
    one = talk(linked=("a:1", "b:1"))
    assert at(one) == "a:1"
    read(one, b"q")
    sends(one)
    one.now += SILENCE_MS
    assert sends(one, Woken()) == []
    ((where, m),) = sends(one)
    assert where == "b:1"
    answer(one, m.first_query, b"value")
    assert [at(one) for _ in range(3)] == ["b:1"] * 3, "it is not tried each time"
    one.now += LOOK_MS
    assert at(one) == "a:1"


def test_a_node_of_its_zone_whose_link_is_lost_is_asked_when_it_is_back() -> None:
    one = talk(linked=("a:1", "b:1"))
    assert at(one) == "a:1"
    one.session.endpoints.link_lost("a:1", 1, one.now)
    one.step(LinkLost(A))
    assert at(one) == "b:1"
    one.now += LOOK_MS
    assert at(one) == "b:1"
    one.session.endpoints.link_made("a:1", 2)
    one.step(LinkMade("a:1"))
    one.now += LOOK_MS
    assert at(one) == "a:1"


def test_a_member_that_moves_into_its_zone_is_found() -> None:
    """Now and then a member is asked where the others are."""
    one = talk(zone="north", linked=("a:1", "b:1"))
    where = at(one, members=("a:1", "b:1"))
    learn(one, {"c:1": "north"})
    assert at(one, members=()) == where != "c:1"
    one.now += LOOK_MS
    _, m = asked(one, b"q")
    assert m.bound is not None and m.bound.wants_members
    answer(one, m.first_query, b"value", members=("b:1", "c:1"))
    assert at(one) == "c:1"


def test_what_is_asked_of_the_nearest_member_has_a_limit() -> None:
    assert bound_of(CallOptions(nearest=True)) == ReadBound(2000, 0)
    assert bound_of(CallOptions(nearest=True, max_age_ms=-1, at_least=7)) == ReadBound(-1, 7)
    assert bound_of(CallOptions()) is None
