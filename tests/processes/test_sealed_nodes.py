"""A cluster of `fleet start --base multiprocTCPBase`: every actor is a process, every message is sealed."""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.errors import ConfigError, NotAllowed, WrongDirectory, WrongSecret
from fleet.secret import derive_secret
from fleet.stock.seal import Seal
from tests.processes.nodes import CLUSTER, QUICK, ROOT, Cluster, leader_node
from tests.processes.stock_nodes import StockNodeProcess, is_alive, send_to
from tests.support.classes import Counter
from tests.support.waiting import eventually


class StockCluster(Cluster):
    node_class = StockNodeProcess


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockCluster]:
    made = StockCluster(tmp_path_factory.mktemp("sealed"))
    try:
        made.start(3)
        client = made.connect()
        client.create_group("visits", Counter, replicas=3, config=QUICK).add(1)
        yield made
    finally:
        made.close()


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def leader_of(cluster: StockCluster, group: str) -> StockNodeProcess:
    node = leader_node(cluster, cluster.clients[0], group)
    assert isinstance(node, StockNodeProcess)
    return node


def test_strangers_are_dropped_by_every_process_and_none_ends(cluster: StockCluster, tmp_path: Path) -> None:
    node = leader_of(cluster, "visits")
    before, evil = set(node.processes()), tmp_path / "unpickled"
    plain = pickle.dumps((None, Evil(evil)))
    foreign = Seal((b"another secret, long enough as well",), CLUSTER)
    ports = node.ports()
    assert len(ports) >= 7, "admin, logger, gateway, node manager, registry and two members"
    for port in ports:
        sealed = foreign.dumps_for(("127.0.0.1", port), Evil(evil))
        for data in (b"GET / HTTP/1.0\r\n\r\n", *(b"%d>" % len(one) + one for one in (plain, sealed))):
            for _ in range(3):
                send_to(port, data)
    assert not evil.exists()
    assert set(node.processes()) == before and all(map(is_alive, before))
    assert cluster.clients[0].group("visits", Counter).add(1) > 1
    lines = node.log.read_text().splitlines()
    dropped = [line for line in lines if "a message is dropped" in line]
    assert len(ports) <= len(dropped) <= 2 * len(before)


def test_clients_know_nothing_of_the_base(cluster: StockCluster, tmp_path: Path) -> None:
    """A role secret, another secret, and a command."""
    address = cluster.nodes[0].address
    reader = derive_secret(cluster.secret_file.read_bytes(), "reader")
    with fleet.connect(address, cluster=CLUSTER, secret=reader) as client:
        assert {node.name for node in client.nodes()} == {"n1", "n2", "n3"}
        with pytest.raises(NotAllowed):
            client.group("visits", Counter).add(1)
    with pytest.raises(WrongSecret):
        fleet.connect(address, cluster=CLUSTER, secret="another secret, long enough as well").close()
    words = ["status", "--json", "--connect", address, "--cluster", CLUSTER]
    command = [sys.executable, "-m", "fleet.cli", *words, "--secret-file", str(cluster.secret_file)]
    seen = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=30).stdout)
    assert len(seen["nodes"]) == 3
    with pytest.raises(ConfigError, match="reads its secrets when it starts"):
        cluster.clients[0].rotate_secret("another secret, long enough as well")


def test_calls_go_on_while_the_processes_of_a_node_stand_still(cluster: StockCluster) -> None:
    """What is sent to them is not acknowledged, and must not hold up what goes to others."""
    visits = cluster.clients[0].group("visits", Counter)
    leader = leader_of(cluster, "visits")
    silent = next(node for node in cluster.others(leader) if isinstance(node, StockNodeProcess))
    count = visits.get()
    silent.signal_all(signal.SIGSTOP)
    try:
        for number in range(1, 51):
            assert visits.add(1) == count + number
    finally:
        silent.signal_all(signal.SIGCONT)


def test_a_group_outlives_its_leaders_node_which_then_returns(cluster: StockCluster) -> None:
    visits = cluster.clients[0].group("visits", Counter)
    count = visits.get()
    killed = leader_of(cluster, "visits")
    killed.kill()
    assert visits.add(1) == count + 1
    killed.start()

    def is_level() -> bool:
        with fleet.connect(killed.address, cluster=CLUSTER, secret_file=cluster.secret_file) as client:
            return bool(client.group("visits", Counter).get.stale()() == count + 1)

    eventually(is_level, what="the member of the returned node to be level")
    status = cluster.clients[0].status("visits")
    assert len(status.voters) == 3
    assert visits.add(1) == count + 2


def test_a_node_ends_with_its_node_manager_and_so_do_its_members(cluster: StockCluster) -> None:
    """Nobody would start them again."""
    node = leader_of(cluster, "visits")
    processes = node.processes()
    os.kill(node.process_of("NodeManager"), signal.SIGKILL)
    assert node.await_end() == 1
    assert not any(map(is_alive, processes))
    assert "its node manager ended" in node.log.read_text()
    node.start()


def test_a_directory_of_one_base_is_refused_on_the_other(cluster: StockCluster) -> None:
    """Its members would seem empty there."""
    node = cluster.nodes[0]
    node.stop()
    with pytest.raises(WrongDirectory, match="multiprocTCPBase"):
        fleet.Node(
            node.name, node.address, node.directory, cluster=CLUSTER, secret_file=cluster.secret_file
        ).start()
    node.start()
