"""Users' code that hangs or ends its process, in whole fleets whose objects live in executors."""

from typing import Any

import pytest

import fleet
from fleet.actors.messages.operator import SkipCommand
from fleet.errors import CommandFailed
from fleet.raft.ids import node_of
from fleet.sim.world.objects import KINDS
from fleet.testing import Sim
from tests.sim.scenes import ask, ask_cluster, leader_of, member, others
from tests.support.classes import Feed

COUNTER: Any = KINDS["counter"]


def lose_executor(sim: Sim, node: str) -> None:
    """A new one starts 200 ms later."""
    host = sim.nodes[node]
    host.start_us = 200_000
    assert host.process is not None
    for executor in list(host.process.executors.values()):
        executor.die("it was ended by SIGKILL")


def skip_without(sim: Sim, able: str, index: int, reply: Any) -> None:
    """An operator skips the command at which the leader halts, while the node that executed it is cut off."""
    leader = leader_of(sim, "g")
    sim.partition(able)
    assert sim.run(1.0, lambda: member(sim, leader, "g").core.halt is not None)
    ask(sim, SkipCommand(index), "g")
    with pytest.raises(CommandFailed):
        sim.run(5.0, reply.done)
        reply.result()


def test_who_watches_is_told_what_an_object_executes_while_it_is_made_anew() -> None:
    sim = Sim(seed=1, nodes=3, executors=1)
    feed = sim.group("g", Feed)
    with feed.watch(since=0) as watch:
        feed.write("a")
        assert watch.next(1.0).kind == "a"
        leader = leader_of(sim, "g")
        lose_executor(sim, leader)
        for kind in "bcd":
            feed.write.options(timeout=30.0)(kind)
        assert leader_of(sim, "g") == leader
        assert [watch.next(5.0).kind for _ in range(3)] == ["b", "c", "d"]


def test_who_begins_to_watch_while_an_object_is_made_anew_costs_other_watchers_nothing() -> None:
    """Seed 9002165: it told of new events since the new one asked, and the others missed those before."""
    sim = Sim(seed=1, nodes=3, executors=1)
    feeds = {client: sim.group("g", Feed, client=client) for client in ("c1", "c2")}
    with feeds["c1"].watch(since=0) as first:
        feeds["c1"].write("a")
        assert first.next(1.0).kind == "a"
        leader = leader_of(sim, "g")
        lose_executor(sim, leader)
        written = feeds["c1"].write.options(timeout=30.0).submit("b")
        with feeds["c2"].watch(since=0) as second:
            assert sim.run(10.0, written.done)
            feeds["c1"].write("c")
            assert leader_of(sim, "g") == leader
            assert [second.next(5.0).kind for _ in range(3)] == ["a", "b", "c"]
            assert [first.next(5.0).kind for _ in range(2)] == ["b", "c"]


def test_a_command_that_hangs_in_a_group_that_is_removed_leaves_its_executor_to_others() -> None:
    """A node that is to get a member loads its class there first."""
    sim = Sim(seed=1, nodes=4, executors=1)
    counter = sim.group("counter", COUNTER)
    hanging = sim.group("hanging", COUNTER, replicas=4, config=fleet.GroupConfig(command_limit_ms=60_000))
    hanging.hang.options(timeout=5.0).submit(1)
    sim.run(0.5)
    ask_cluster(sim, "remove_group", "hanging")
    ask_cluster(sim, "set_replicas", "counter", 4)

    def is_everywhere() -> bool:
        members = sim.world.members_of("counter")
        return {node_of(member.core.id) for member in members if member.object.is_open} == {*sim.nodes}

    assert sim.run(15.0, is_everywhere)
    assert counter.add(1) == 1


def test_a_member_that_executed_what_an_operator_skips_takes_it_back() -> None:
    """It was cut off, and so the operator did not wait for it."""
    sim = Sim(seed=1, nodes=3, executors=1)
    counter = sim.group("g", COUNTER, config=fleet.GroupConfig(command_limit_ms=200))
    assert counter.add(1) == 1
    leader = leader_of(sim, "g")
    able, other = others(sim, leader)
    sim.nodes[leader].hangs = sim.nodes[other].hangs = 1
    index = member(sim, leader, "g").core.log.last_index + 1
    reply = counter.add.options(timeout=30.0).submit(10)
    assert sim.run(1.0, lambda: member(sim, able, "g").object.index == index, every=0.001)
    skip_without(sim, able, index, reply)
    sim.heal()
    sim.run(5.0)
    assert sim.states_equal("g") and counter.get() == 1


def test_a_member_whose_snapshot_has_what_its_group_skips_votes_on_and_gets_another_state() -> None:
    """Seed 9204983: it ended, to be replaced, and by that its group had lost its majority."""
    sim = Sim(seed=1, nodes=3, executors=1)
    counter = sim.group(
        "g", COUNTER, config=fleet.GroupConfig(command_limit_ms=200, snapshot_floor_bytes=300)
    )
    assert counter.add(1) == 1
    leader = leader_of(sim, "g")
    able, other = others(sim, leader)
    sim.nodes[leader].hangs = sim.nodes[other].hangs = 1
    core = member(sim, able, "g").core
    index = core.log.last_index + 1
    reply = counter.add.options(timeout=30.0).submit(10)
    sim.run(0.01)
    big = 1 << 4000
    counter.add.options(timeout=30.0).submit(big)
    assert sim.run(1.0, lambda: core.snapshot is not None and core.snapshot.index >= index, every=0.001)
    skip_without(sim, able, index, reply)
    sim.kill(other)
    sim.heal_links()
    assert counter.add.options(timeout=30.0)(1) == big + 2
    sim.restart(other)
    sim.run(5.0)
    assert member(sim, able, "g").core is core and core.halt is None
    assert sim.states_equal("g") and counter.get() == big + 2


def test_s44_a_leader_that_executes_its_log_again_revives_no_session() -> None:
    """It comes to where the client opened its former session, which has expired since, while the client waits
    for a new one; and again, while the first command of that is under way."""
    sim = Sim(seed=44, nodes=3, executors=1)
    counter = sim.group("g", COUNTER, config=fleet.GroupConfig(session_ttl_ms=1000))
    other = sim.group("g", COUNTER, client="c2")
    assert counter.add(1) == 1
    for _ in range(10):
        other.add(10)
        sim.run(0.25)
    reply = counter.add.options(timeout=20.0).submit(100)
    session, leader = sim.client.router.sessions["g"], sim.nodes[leader_of(sim)]
    for is_amid in (lambda: session.opening, lambda: bool(session.inflight)):
        assert sim.run(5.0, is_amid, every=0.0001)
        assert leader.process is not None
        for executor in list(leader.process.executors.values()):
            executor.die("it was ended by SIGKILL")
    assert sim.run(20.0, reply.done)
    assert reply.result() == 201 == counter.get()
    assert sim.states_equal("g") and sim.linearizable("g")
