"""One group on real nodes: kill -9, SIGSTOP, silence, restarts, wiped and moved nodes."""

import itertools
import socket
import time
from collections.abc import Callable

import pytest

import fleet
from fleet.errors import OutcomeUnknown
from fleet.raft.ids import node_of
from tests.processes.nodes import (
    QUICK,
    Cluster,
    CounterLoad,
    NodeProcess,
    await_all_caught_up,
    eventually,
    leader_node,
    leader_status,
    member_status,
)
from tests.support.classes import Counter, Ledger


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_group_of_any_size_answers_and_survives_kill_9_of_every_node(cluster: Cluster, count: int) -> None:
    cluster.start(count)
    client = cluster.connect()
    counter = client.create_group("visits", Counter, replicas=count, config=QUICK)
    assert [counter.add(2) for _ in range(10)] == list(range(2, 22, 2))
    assert len(eventually(lambda: leader_status(client, "visits")).voters) == count
    cluster.restart_all(cluster.nodes, NodeProcess.kill)
    assert counter.get() == 20
    assert counter.add(1) == 21


@pytest.mark.parametrize(
    "order, end",
    [
        ((0, 1, 2), NodeProcess.kill),
        ((2, 1, 0), NodeProcess.kill),
        ((1, 2, 0), NodeProcess.stop),
    ],
)
def test_s56_everything_acknowledged_is_there_after_a_stop_of_all(
    three: Cluster, order: tuple[int, ...], end: Callable[[NodeProcess], None]
) -> None:
    """Two groups: one restarts with its first majority, the other's leader was moved."""
    client = three.connect()
    visits = client.create_group("visits", Counter, config=QUICK)
    ledger = client.create_group("ledger", Ledger, config=QUICK)
    for number in range(20):
        visits.add(1)
        ledger.write("me", number)
    for node in three.nodes:
        end(node)
    for place in order[:2]:
        three.nodes[place].start()
    again = three.connect(three.nodes[order[0]])
    assert again.group("visits", Counter).get() == 20
    assert again.group("ledger", Ledger).read() == [("me", number) for number in range(20)]
    assert again.group("visits", Counter).add(1) == 21
    three.nodes[order[2]].start()
    await_all_caught_up(three, again, "visits")
    await_all_caught_up(three, again, "ledger")
    assert visits.get() == 21  # the old client finds its way


def test_kill_9_of_the_leaders_node_costs_at_most_two_and_a_half_election_timeouts(three: Cluster) -> None:
    """Unless both of the others campaign in the same moment, which costs a second round: one in three."""
    client = three.connect()
    config = fleet.GroupConfig(heartbeat_ms=100, election_ms=800)
    counter = client.create_group("visits", Counter, config=config)
    counter.add(1)
    times = []
    for value in range(2, 5):
        leader = leader_node(three, client, "visits")
        leader.kill()
        begin = time.monotonic()
        assert counter.add(1) == value
        times.append((time.monotonic() - begin) / 0.8)
        leader.start()
        await_all_caught_up(three, client, "visits")
    assert sorted(times)[1] < 2.5, times
    assert max(times) < 6, times


def test_s45_nothing_is_lost_or_doubled_when_the_leader_is_killed_amid_pipelined_commands(
    three: Cluster,
) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    with CounterLoad(counter, writers=4, readers=1, depth=50) as load:
        for _ in range(2):
            load.await_more(500)
            leader = leader_node(three, client, "visits")
            leader.kill()
            load.await_more(500)
            leader.start()
    load.check()


def test_s45_an_unknown_outcome_is_settled_by_asking_again(three: Cluster) -> None:
    """Both followers are stopped, so that commands are sent and cannot be committed in time."""
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    assert counter.add(1) == 1
    leader = leader_node(three, client, "visits")
    for node in three.others(leader):
        node.pause()
    short = counter.add.options(timeout=0.7)
    futures = [short.submit(1) for _ in range(20)]
    errors = [future.exception() for future in futures]
    assert {type(error) for error in errors} == {OutcomeUnknown}
    for node in three.others(leader):
        node.resume()
    results = [error.again(20) for error in errors if isinstance(error, OutcomeUnknown)]
    assert results == list(range(2, 22))
    assert counter.get() == 21


def test_submitted_commands_are_executed_once_and_in_order_across_a_leader_kill(three: Cluster) -> None:
    client, other = three.connect(), three.connect()
    ledgers = {"a": client.create_group("ledger", Ledger, config=QUICK), "b": other.group("ledger", Ledger)}
    numbers = itertools.count()
    futures = [ledger.write.submit(who, next(numbers)) for who, ledger in ledgers.items() for _ in range(300)]
    leader = leader_node(three, client, "ledger")
    futures += [ledgers["a"].write.submit("a", next(numbers)) for _ in range(200)]
    leader.kill()
    futures += [ledgers["a"].write.submit("a", next(numbers)) for _ in range(200)]
    places = [future.result(20) for future in futures]
    lines = ledgers["a"].read()
    assert len(set(places)) == len(futures) == len(lines) == next(numbers)
    for who in ledgers:
        mine = [number for name, number in lines if name == who]
        assert mine == sorted(mine)


def test_a_kill_9_of_random_nodes_again_and_again_leaves_a_linearizable_counter(three: Cluster) -> None:
    client = three.connect(timeout=20.0)
    counter = client.create_group("visits", Counter, config=QUICK)
    with CounterLoad(counter, writers=3, readers=2, depth=5) as load:
        for round_number in range(6):
            load.await_more()
            victim = three.nodes[(round_number * 2) % 3] if round_number % 2 else None
            victim = victim or leader_node(three, client, "visits")
            victim.kill()
            if round_number % 3 != 2:
                load.await_more()
            victim.start()
    load.check()
    await_all_caught_up(three, client, "visits")


# -- a node that is slow, silent or gone ----------------------------------------------------------------


def silence_by_sigstop(node: NodeProcess) -> Callable[[], object]:
    node.pause()
    return node.resume


def silence_by_death(node: NodeProcess) -> Callable[[], object]:
    node.kill()
    return node.start


def silence_by_black_hole(node: NodeProcess) -> Callable[[], object]:
    """Its port takes connections and never answers."""
    node.kill()
    host, port = node.address.split(":")
    hole = socket.create_server((host, int(port)), backlog=64)

    def end() -> None:
        hole.close()
        node.start()

    return end


@pytest.mark.parametrize("silence", [silence_by_sigstop, silence_by_death, silence_by_black_hole])
def test_s64_commands_go_on_without_a_failure_while_a_follower_is_silent(
    three: Cluster, silence: Callable[[NodeProcess], Callable[[], object]]
) -> None:
    client = three.connect(timeout=5.0)
    counter = client.create_group("visits", Counter, config=QUICK)
    term = eventually(lambda: leader_status(client, "visits")).term
    follower = three.others(leader_node(three, client, "visits"))[0]
    with CounterLoad(counter, writers=2, readers=1) as load:
        load.await_more(50)
        end = silence(follower)
        load.await_more(500)
        end()
        load.await_more(50)
    load.check()
    assert load.unknown == 0
    await_all_caught_up(three, client, "visits")
    assert eventually(lambda: leader_status(client, "visits")).term == term


# -- a node that comes back as somebody else ----------------------------------------------------------------


def test_s27_a_wiped_node_is_not_taken_for_the_member_that_it_was(three: Cluster) -> None:
    """It comes back under another incarnation, and is in the group as a new member or not at all."""
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    counter.add(1)
    leader = leader_node(three, client, "visits")
    follower = three.others(leader)[0]
    before = eventually(lambda: leader_status(client, "visits"))
    follower.kill()
    follower.wipe()
    follower.join = [leader.address]
    follower.start()
    here = client.members(follower.address)
    assert here.members == ()
    old = next(voter for voter in before.voters if node_of(voter) == follower.name)
    assert here.node.incarnation not in old
    with CounterLoad(counter) as load:
        load.await_more(200)
    after = eventually(lambda: leader_status(client, "visits"))
    assert after.term == before.term
    assert set(before.voters) - {old} <= set(after.voters)
    assert all(here.node.incarnation in voter for voter in set(after.voters) - set(before.voters))

    def old_answers() -> bool:
        return any(peer.responsive for peer in client.status("visits").peers if peer.member == old)

    eventually(lambda: not old_answers(), what="the wiped member to be silent for an election timeout")
    with three.connect(follower) as through_it:
        assert through_it.group("visits", Counter).get() == 1 + load.acknowledged


def test_s58_a_group_of_the_same_name_on_a_wiped_node_never_mixes_with_the_old_one(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    counter.add(5)
    leader = leader_node(three, client, "visits")
    follower = three.others(leader)[0]
    follower.kill()
    follower.wipe()
    follower.start()
    with pytest.raises(fleet.FleetError):
        client.create_group("visits", Counter, nodes=[follower.name, leader.name], timeout=3.0)
    assert counter.get() == 5
    status = eventually(lambda: leader_status(client, "visits"))
    assert len(status.voters) == 3


def test_members_are_found_after_their_node_came_back_on_another_port(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    for node in three.nodes[1:]:
        value = counter.add(1)
        node.kill()
        node.move()
        node.start()
        assert counter.add(1) == value + 1
        eventually(lambda: member_status(three, three.connect(node), "visits", node).applied >= 1)
    three.nodes[0].kill()  # what is left are the two that moved
    fresh = three.connect(three.nodes[1])
    counter = fresh.group("visits", Counter)
    assert counter.add(1) == 5
    await_all_caught_up(three, fresh, "visits")
