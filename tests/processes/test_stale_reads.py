"""Reads besides the leader, on real nodes that are stopped and go on."""

import time

from fleet.errors import TooStale, Unavailable
from fleet.objects.handles import QueryCall
from tests.processes.nodes import QUICK, Cluster, eventually, leader_node
from tests.support.classes import Counter


def refusal_of(query: QueryCall[[], int], least: int) -> TooStale | None:
    """None: it was answered, since its state is not too old yet, or a busy node was silent."""
    try:
        assert query() >= least
    except TooStale as error:
        return error
    except Unavailable:
        pass
    return None


def test_s21_rv16_a_follower_answers_what_it_can_prove(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    first = counter.add.with_revision(1)
    leader = leader_node(three, client, "visits")
    follower, other = three.others(leader)
    reader = three.connect(follower).group("visits", Counter)
    assert reader.get.at_least(first.revision)() == 1
    seen = reader.get.stale(0.5).with_revision()
    assert seen.value == 1 and seen.revision >= first.revision

    follower.pause()
    before, until = 0, time.monotonic() + 0.7
    while time.monotonic() < until:
        before = counter.add(1)
    follower.resume()
    assert reader.get.stale(0.3)() >= before, "it has slept, and its state is old"
    eventually(
        lambda: len({one.applied for one in client.statuses("visits").values()}) == 1, what="it to catch up"
    )

    for node in (leader, other):
        node.pause()
    refused = eventually(lambda: refusal_of(reader.get.stale(0.3).options(timeout=1.0), before))
    assert refused.node == follower.name and float(refused.age) > 0.3
    assert eventually(reader.get.stale(None)) >= before, "a majority has failed, and any age will do"
    for node in (leader, other):
        node.resume()
    counter.add(1)
    assert eventually(lambda: reader.get.stale(0.3)() > before)
