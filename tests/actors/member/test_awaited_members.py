"""A new group's leader answers once it hears from all members; other members say which member leads."""

from fleet.actors.member.operator_requests import ARRIVAL_MS
from fleet.actors.messages.operator import AwaitMembers, GroupRequest
from fleet.raft.events import Tick
from fleet.raft.messages import AppendReply
from tests.actors.base.helpers import Bench
from tests.actors.member.requested import Requested
from tests.raft.cores import CONFIG, N1, N2, N3, accept, follower, leader, settle, step

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
