"""Clients wait for a new group at the node that is to lead it, whichever of the two hears of it first."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.member.operator_requests import ARRIVAL_MS, OperatorRequests
from fleet.actors.messages.operator import AwaitMembers, GroupRequest, NodeRequest, OpReply
from fleet.actors.node.arrivals import Arrivals
from fleet.raft.events import Tick
from fleet.raft.ids import GroupName
from fleet.raft.messages import AppendReply
from tests.raft.cores import CONFIG, N1, N2, N3, accept, follower, leader, settle, step

OP = AwaitMembers("g", 7)


class Node:
    """A manager without members: what it sends is kept."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, Any]] = []
        self.view = SimpleNamespace(rev=6)
        self.start = SimpleNamespace(name="n1")
        self.hosted_members: Any = SimpleNamespace(by_name={}, coming={})
        self.arrivals = Arrivals(self)  # type: ignore[arg-type]

    def send(self, target: Any, message: Any) -> None:
        self.sent.append((target, message))

    def host(self, uid: int) -> None:
        spec = SimpleNamespace(uid=uid)
        self.hosted_members.by_name["g"] = SimpleNamespace(spec=spec, address="member")

    def take(self) -> None:
        self.arrivals.take(NodeRequest(3, None, OP), OP, "client")


def test_a_question_about_a_group_that_is_not_known_yet_waits_for_it() -> None:
    """It was refused, and asked again only after 250 ms."""
    node = Node()
    node.take()
    node.arrivals.look()
    assert node.sent == []
    node.view.rev = 7
    node.host(7)
    node.arrivals.look()
    assert node.sent == [("member", GroupRequest(3, "client", "g", OP))]
    node.arrivals.look()
    assert len(node.sent) == 1
    node.take()
    assert len(node.sent) == 2


@pytest.mark.parametrize("uid", [0, 5, 9])
def test_a_node_that_has_no_member_of_the_group_says_so(uid: int) -> None:
    node = Node()
    node.view.rev = 9
    if uid:
        node.host(uid)
    node.take()
    ((target, reply),) = node.sent
    assert target == "client" and reply.token == 3 and reply.error.kind == "Unavailable"
    assert node.arrivals.waiting == []


def requests_of(core: Any) -> tuple[OperatorRequests, list[OpReply]]:
    told: list[OpReply] = []
    spec = SimpleNamespace(name=GroupName("g"), uid=7, data_class=b"")
    member: Any = SimpleNamespace(
        core=core,
        spec=spec,
        start=SimpleNamespace(clock=SimpleNamespace(now_ms=lambda: core.now)),
        send=lambda to, reply: told.append(reply),
    )
    return OperatorRequests(member, lambda: 1), told


@pytest.fixture
def quiet_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.actors.member.operator_requests.class_name", lambda data_class: "Counter")


@pytest.mark.usefixtures("quiet_status")
def test_a_leader_answers_when_it_has_heard_every_member() -> None:
    core = leader()
    requests, told = requests_of(core)
    requests.take(GroupRequest(3, "client", "g", OP))
    for voter in (N2, N3):
        assert told == []
        accept(core, voter)
        settle(core)
        requests.end_turn()
    (reply,) = told
    assert reply.token == 3 and reply.value is not None and requests.arriving == []


@pytest.mark.usefixtures("quiet_status")
def test_a_leader_waits_so_long_only_for_a_member_that_stays_away() -> None:
    core = leader()
    requests, told = requests_of(core)
    requests.take(GroupRequest(3, "client", "g", OP))
    accept(core, N2)
    until = core.now + ARRIVAL_MS
    while core.now < until:
        assert told == []
        step(core, AppendReply(core.term, N2, N1, True, core.log.last_index, 0, 0, 0, core.now), later=100)
        step(core, Tick())
        requests.end_turn()
    assert len(told) == 1 and told[0].value is not None


def test_a_follower_says_who_leads_as_soon_as_it_knows() -> None:
    core = follower(config=CONFIG)
    requests, told = requests_of(core)
    requests.take(GroupRequest(3, "client", "g", OP))
    assert told == []
    core.leader = N2
    requests.end_turn()
    (reply,) = told
    assert reply.error is not None and reply.error.kind == "Unavailable" and reply.leader == "n2"
