"""Reads besides the leader, on real nodes that are stopped and go on."""

import time

import pytest

from fleet.errors import TooStale
from tests.processes.nodes import QUICK, Cluster, eventually, leader_node
from tests.support.classes import Counter


def test_s21_rv16_a_follower_answers_what_it_can_prove(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    first = counter.add.with_revision(1)
    leader = leader_node(three, client, "visits")
    follower, other = three.others(leader)
    reader = three.connect(follower).group("visits", Counter)
    assert reader.get.at_least(first.revision)() == 1
    assert reader.get.stale(0.5).with_revision() == first

    follower.pause()
    before, until = 0, time.monotonic() + 0.7
    while time.monotonic() < until:
        before = counter.add(1)
    follower.resume()
    assert reader.get.stale(0.3)() >= before, "it has slept, and its state is old"

    for node in (leader, other):
        node.pause()
    with pytest.raises(TooStale) as refused:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert reader.get.stale(0.3).options(timeout=0.5)() >= before
    assert refused.value.node == follower.name and float(refused.value.age) > 0.3
    assert reader.get.stale(None)() >= before, "a majority has failed, and any age will do"
    for node in (leader, other):
        node.resume()
    counter.add(1)
    assert eventually(lambda: reader.get.stale(0.3)() > before)
