"""Clients wait for a new group at the node that is to lead it, whichever of the two hears of it first."""

from typing import Any

import pytest

from fleet.actors.member.operator_requests import ARRIVAL_MS
from fleet.actors.messages.operator import AwaitMembers, NodeRequest, OpReply
from fleet.actors.node.arrivals import Arrivals
from fleet.cluster.view import ClusterView
from tests.support.node_bench import NodeBench

OP = AwaitMembers("g", 7)


def arrivals_of(bench: NodeBench) -> Arrivals:
    arrivals = bench.kernel.instance(bench.manager).arrivals
    assert isinstance(arrivals, Arrivals)
    return arrivals


def replies_of(got: list[Any]) -> list[OpReply]:
    return [message for message in got if type(message) is OpReply]


def test_a_question_about_a_group_that_is_not_known_yet_waits_for_it(bench: NodeBench) -> None:
    """It was refused, and asked again only after 250 ms."""
    request = NodeRequest(3, None, OP)
    assert replies_of(bench.ask(bench.manager, request)) == []
    arrivals = arrivals_of(bench)
    arrivals.look()
    assert len(arrivals.waiting) == 1
    bench.host("g", uid=7)
    assert arrivals.waiting == []
    assert replies_of(bench.ask(bench.manager, request)) == [] == arrivals.waiting
    answers = replies_of(bench.advance(ARRIVAL_MS / 1000 + 1))
    assert [reply.token for reply in answers] == [3, 3], "the member has both, and answers in its own time"


@pytest.mark.parametrize("uid", [0, 5, 9])
def test_a_node_that_has_no_member_of_the_group_says_so(bench: NodeBench, uid: int) -> None:
    view: ClusterView = bench.kernel.instance(bench.manager).view
    if uid:
        bench.host("g", uid=uid)
        assert [member.state for member in bench.members()] == ["running"]
    view.rev = 9
    (reply,) = replies_of(bench.ask(bench.manager, NodeRequest(3, None, OP)))
    assert reply.token == 3 and reply.error is not None and reply.error.kind == "Unavailable"
    assert arrivals_of(bench).waiting == []
