"""What a client finds when nodes come, go and move."""

import asyncio
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

import fleet
from fleet.errors import ConfigError, FleetError, NoNode, NoSuchGroup, NotDone, Unavailable
from tests.processes.nodes import CLUSTER, QUICK, Cluster, leader_node
from tests.support.classes import Counter
from tests.support.waiting import eventually


def test_a_client_of_a_node_that_has_just_started_finds_groups_that_live_elsewhere(three: Cluster) -> None:
    client = three.connect()
    client.create_group("visits", Counter, config=QUICK).add(7)
    (fourth,) = three.add(1)
    fourth.start()
    assert three.connect(fourth).group("visits", Counter).get() == 7


def test_an_old_client_finds_a_group_on_a_node_that_came_later(cluster: Cluster) -> None:
    cluster.start(1)
    old = cluster.connect()
    (second,) = cluster.add(1)
    second.start()
    new = cluster.connect(second)
    eventually(lambda: len(new.nodes()) == 2)
    new.create_group("visits", Counter, nodes=["n2"], config=QUICK).add(3)
    assert old.group("visits", Counter).get() == 3


def test_threads_share_a_client(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.extend(counter.add(1) for _ in range(50))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(1, 401))


def test_a_client_works_on_while_one_of_its_addresses_is_dead(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    three.nodes[0].kill()
    other = three.connect()
    assert other.group("visits", Counter).add(1) == 1
    assert counter.add(1) == 2
    assert len(other.nodes()) == 3


def test_without_a_majority_a_call_says_so_in_time_and_nothing_is_broken(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    counter.add(1)
    leader = leader_node(three, client, "visits")
    for node in three.others(leader):
        node.kill()
    eventually(lambda: client.status("visits", timeout=1.0).role != "leader")
    assert client.whereis("visits", timeout=1.0) is None
    with pytest.raises(Unavailable):
        counter.get.options(timeout=0.5)()
    with pytest.raises(FleetError):
        counter.add.options(timeout=0.5)(1)
    three.others(leader)[0].start()
    assert counter.get() in (1, 2)


def test_calls_fail_when_no_node_is_left_and_go_on_when_one_is_back(cluster: Cluster) -> None:
    cluster.start(1)
    client = cluster.connect()
    counter = client.create_group("visits", Counter, replicas=1, config=QUICK)
    counter.add(1)
    cluster.nodes[0].kill()
    with pytest.raises(FleetError):
        counter.get.options(timeout=0.5)()
    cluster.nodes[0].start()
    assert counter.get() == 1
    cluster.nodes[0].kill()
    with pytest.raises(NoNode, match="refused"):
        fleet.connect(cluster.nodes[0].address, cluster=CLUSTER, secret_file=cluster.secret_file)


def test_a_client_may_wait_for_nodes_that_are_about_to_start(cluster: Cluster) -> None:
    first, second = cluster.add(2)
    began = time.monotonic()
    with pytest.raises(NoNode, match=f"{first.address}: refused, {second.address}: refused"):
        cluster.connect()
    assert time.monotonic() - began < 2
    addresses = [first.address, second.address]
    connect = partial(fleet.connect, cluster=CLUSTER, secret_file=cluster.secret_file)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(connect, addresses, wait=20)
        first.start()
        with late.result() as client:
            assert client.create_group("visits", Counter, replicas=1).add(1) == 1
    with pytest.raises(ConfigError):
        connect(addresses, wait=-1)


def test_addresses_in_one_text_are_no_list_of_them() -> None:
    with pytest.raises(ConfigError, match="a list of host:port"):
        fleet.Node("n1", join="127.0.0.1:7400", secret="a secret of the tests, long enough")


def test_a_closed_client_says_so(cluster: Cluster) -> None:
    cluster.start(1)
    client = cluster.connect()
    counter = client.create_group("visits", Counter, replicas=1, config=QUICK)
    cluster.nodes[0].pause()
    pending = counter.get.submit()
    client.close()
    cluster.nodes[0].resume()
    with pytest.raises(Unavailable):
        pending.result(5)
    with pytest.raises(Unavailable):
        counter.get()
    client.close()


def test_a_call_that_nobody_waits_for_any_more_goes_on_and_so_does_its_client(cluster: Cluster) -> None:
    """`asyncio.wait_for` cancels what it gives up; the outcome then found a future that takes none."""
    cluster.start(1)
    counter = cluster.connect().create_group("visits", Counter, replicas=1, config=QUICK)
    cluster.nodes[0].pause()
    given_up = counter.add.submit()

    async def impatient() -> None:
        await asyncio.wait_for(counter.add.aio(), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert not given_up.cancel()
    cluster.nodes[0].resume()
    assert counter.add() == 3
    assert given_up.result(5) == 1


def test_a_client_is_of_the_process_that_opened_it(cluster: Cluster) -> None:
    """A fork has no loop that answers: it was told so after 10 s, and that the outcome is unknown."""
    cluster.start(1)
    counter = cluster.connect().create_group("visits", Counter, replicas=1, config=QUICK)
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    child = context.Process(target=_add_and_tell, args=(counter, told))
    child.start()
    child.join(30)
    child.kill()
    assert child.exitcode == 0 and "another process" in told.get()
    assert counter.add() == 1


def _add_and_tell(counter: Counter, told: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        told.put(str(counter.add()))
    except FleetError as error:
        told.put(f"{type(error).__name__}: {error}")


def test_leadership_is_handed_over_and_commands_go_on(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    for number in range(1, 4):
        target = three.others(leader_node(three, client, "visits"))[0]
        led = target.log.read_text().count(" leads")
        client.transfer_leader("visits", target.name)
        assert target.log.read_text().count(" leads") == led + 1
        assert client.whereis("visits") == target.name
        assert counter.add(1) == number
    with pytest.raises(fleet.FleetError):
        client.transfer_leader("visits", "n9")


def test_a_changed_config_is_in_force_on_all_members_also_after_a_restart(three: Cluster) -> None:
    client = three.connect()
    counter = client.create_group("visits", Counter, config=QUICK)
    changed = fleet.GroupConfig(heartbeat_ms=50, election_ms=500, command_bytes_max=2048)
    client.change_config("visits", changed)
    with pytest.raises(NotDone):
        counter.swallow(bytes(4096))
    three.restart_all(three.nodes, type(three.nodes[0]).kill)
    assert counter.swallow(bytes(100)) == 100
    assert client.status("visits").config == changed


def test_an_unknown_group_is_told_soon_and_a_later_one_of_that_name_is_found(three: Cluster) -> None:
    client = three.connect()
    counter = client.group("visits", Counter)
    with pytest.raises(NoSuchGroup):
        counter.add(1)
    with pytest.raises(NoSuchGroup):
        counter.get()
    with pytest.raises(NoSuchGroup):
        client.whereis("visits")
    client.create_group("visits", Counter, config=QUICK)
    assert counter.add(1) == 1
