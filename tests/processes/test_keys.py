"""Keys of clients' own on real nodes: executed once, whoever calls, whatever happens in between."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

import fleet
from fleet.errors import KeyReused
from fleet.raft.ids import node_of
from tests.processes.nodes import CLUSTER, QUICK, Cluster, NodeProcess, eventually, leader_node
from tests.support.classes import Ledger

KEY = "invoice-7781"


def write(client: fleet.Fleet) -> Any:
    return client.group("bills", Ledger).write.options(key=KEY, timeout=20.0)


def at_a_shell(three: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    connect = [
        f"--connect={three.nodes[0].address}",
        f"--secret-file={three.secret_file}",
        f"--cluster={CLUSTER}",
    ]
    command = [sys.executable, "-m", "fleet.cli", "call", *connect, "bills", "write", *words, f"--key={KEY}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_rv17_w4_a_key_is_executed_once_whoever_calls_whatever_happens(three: Cluster) -> None:
    one, other = three.connect(), three.connect()
    ledger = one.create_group("bills", Ledger, config=QUICK)
    leader = leader_node(three, one, "bills")
    replies = [write(client).submit("a", 1) for client in (one, other) for _ in range(20)]
    leader.kill()
    assert [reply.result() for reply in replies] == [1] * 40
    first = write(one).with_revision("a", 1)
    leader.start()

    three.restart_all(three.nodes, NodeProcess.kill)
    assert write(three.connect()).with_revision("a", 1) == first
    assert asyncio.run(awaited(three)) == first

    before = set(one.status("bills").voters)
    follower = eventually(lambda: a_follower_removed(three, one), what="a follower to be removed")
    eventually(lambda: len(before | set(one.status("bills").voters)) == 4, what="a new member")
    eventually(lambda: len(one.status("bills").voters) == 3, what="it to vote")
    one.transfer_leader("bills", follower.name)
    assert node_of(one.status("bills").member) == follower.name
    assert write(three.connect(follower)).with_revision("a", 1) == first

    said = at_a_shell(three, "a", "1")
    assert (said.returncode, said.stdout) == (0, "1\n"), said.stderr
    assert at_a_shell(three, "a", "2").returncode == 1
    with pytest.raises(KeyReused):
        write(other)("b", 1)
    assert ledger.read() == [("a", 1)]


def a_follower_removed(three: Cluster, one: fleet.Fleet) -> NodeProcess:
    """The leadership returns to its node after a restart, perhaps meanwhile."""
    leader = leader_node(three, one, "bills")
    follower = next(node for node in three.nodes if node is not leader)
    one.remove_member("bills", follower.name)
    return follower


async def awaited(three: Cluster) -> Any:
    addresses = [node.address for node in three.nodes]
    async with fleet.aio.connect(addresses, cluster=CLUSTER, secret_file=three.secret_file) as f:
        return await write(f.blocking).aio_with_revision("a", 1)
