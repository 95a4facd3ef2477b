"""A new group's leader answers once it hears from all members; other members say which member leads."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.member.actor import Member
from fleet.actors.member.operator_requests import ARRIVAL_MS
from fleet.actors.messages.operator import AwaitMembers, GroupRequest
from fleet.actors.messages.peer import PeerMail
from fleet.raft.codec import encode_messages
from fleet.raft.events import Tick
from fleet.raft.messages import AppendReply
from tests.actors.base.helpers import Bench
from tests.actors.member.requested import Requested
from tests.raft.cores import CONFIG, N1, N2, N3, accept, follower, leader, settle, step
from tests.support.clocks import HandClock

REQUEST = GroupRequest(3, Bench().me, "g", AwaitMembers("g", 7))


def test_a_leader_answers_when_it_has_heard_every_member() -> None:
    core = leader()
    member = Requested(core)
    member.operators.take(REQUEST)
    for voter in (N2, N3):
        assert member.told == []
        accept(core, voter)
        settle(core)
        member.operators.end_turn()
    (reply,) = member.told
    assert reply.token == 3 and reply.value is not None and member.operators.arriving == []


def test_a_leader_waits_so_long_only_for_a_member_that_stays_away() -> None:
    core = leader()
    member = Requested(core)
    member.operators.take(REQUEST)
    accept(core, N2)
    until = core.now + ARRIVAL_MS
    while core.now < until:
        assert member.told == []
        step(core, AppendReply(core.term, N2, N1, True, core.log.last_index, 0, 0, 0, core.now), later=100)
        step(core, Tick())
        member.operators.end_turn()
    (reply,) = member.told
    assert reply.value is not None


def test_a_leader_that_sleeps_without_a_member_waits_for_none() -> None:
    core = leader()
    accept(core, N2)
    settle(core)
    core.asleep = True
    member = Requested(core)
    member.operators.take(REQUEST)
    (reply,) = member.told
    assert reply.value is not None and member.operators.arriving == []


def test_a_follower_says_who_leads_as_soon_as_it_knows() -> None:
    core = follower(config=CONFIG)
    member = Requested(core)
    member.operators.take(REQUEST)
    assert member.told == []
    core.leader = N2
    member.operators.end_turn()
    (reply,) = member.told
    assert reply.error is not None and reply.error.kind == "Unavailable" and reply.leader == "n2"


@pytest.mark.parametrize("arriving", [[], [(0, "somebody")]])
def test_who_waits_for_all_members_is_told_with_the_mail_that_completes_them(arriving: list[Any]) -> None:
    """An acknowledgement that changes nothing else asks for no turn: a new group took a heartbeat more."""
    asked: list[str] = []
    member: Any = SimpleNamespace(
        core=SimpleNamespace(wall_ms=0),
        start=SimpleNamespace(clock=HandClock(5)),
        operators=SimpleNamespace(arriving=arriving),
        turn_end=SimpleNamespace(ask=lambda: asked.append("turn")),
    )
    Member.on_peer_mail(member, PeerMail(N1, encode_messages([])), None)
    assert asked == ["turn"] * len(arriving)
