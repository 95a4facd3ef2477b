"""Two operating system processes: restart, SIGKILL, SIGSTOP."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorSystemConventionUpdate

from fleet.actors.base import Address, remote_address
from tests.actors.base.helpers import WAIT_S, Echo, Recorder, Send, Where
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]


class PeerProcess:
    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.actors.base.peer", *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.endpoint = self.process.stdout.readline().strip()
        assert self.endpoint, "the peer did not start"

    def address(self, name: str) -> Address:
        return remote_address(self.endpoint, name)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Close its input and wait; kill it if it is stopped or hangs."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.send_signal(signal.SIGCONT)
        try:
            return self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.process.stdout.close()


@pytest.fixture
def peers(nothing_left: None) -> Iterator[Callable[..., PeerProcess]]:
    started: list[PeerProcess] = []

    def start_peer(*options: str) -> PeerProcess:
        started.append(PeerProcess(*options))
        return started[-1]

    yield start_peer
    for peer in started:
        peer.end()


def test_two_processes_answer_each_other(peers: Any, start: Callable[..., Any]) -> None:
    peer, client, node = peers(), start(listen=None), start()
    assert client.ask(peer.address("echo"), 1, WAIT_S) == 1
    assert node.ask(peer.address("echo"), b"bytes", WAIT_S) == b"bytes"
    here = node.createActor(Echo)
    assert client.ask(peer.address("asker"), Send(here, "via both"), WAIT_S) == "via both"
    assert peer.end() == 0


def test_a_restarted_process_is_found_by_name_while_its_old_addresses_are_dead(
    peers: Any, start: Callable[..., Any]
) -> None:
    first, client = peers(), start(listen=None)
    watcher, echo = client.createActor(Recorder), first.address("echo")
    client.tell(watcher, "links")
    old = client.ask(echo, Where(echo), WAIT_S).address
    assert client.ask(old, "hello", WAIT_S) == "hello"
    old_life = client.ask(watcher, "what?", WAIT_S)[0].remoteAdminAddress
    old_echo = Address(type(old_life.ident)(old_life.ident.endpoint, old_life.ident.boot, "echo"))
    assert client.ask(old_echo, "hello", WAIT_S) == "hello"
    first.signal(signal.SIGKILL)
    gone = ActorSystemConventionUpdate(old_life, {}, False)
    eventually(lambda: gone in client.ask(watcher, "what?", WAIT_S))
    peers("--listen", first.endpoint)
    assert eventually(lambda: client.ask(echo, "again", 0.2)) == "again"
    assert client.ask(old_echo, "hello", 0.1) is None
    assert client.base.stats()["dead_letters"] >= 1


def test_a_process_of_another_cluster_is_told_apart_from_one_with_another_secret(
    peers: Any, start: Callable[..., Any]
) -> None:
    other_secret, other_cluster, client = peers("--secret", "x"), peers("--cluster", "x"), start(listen=None)
    client.tell(other_secret.address("echo"), "hello")
    client.tell(other_cluster.address("echo"), "hello")
    expected = {other_secret.endpoint: "wrong secret", other_cluster.endpoint: "wrong cluster id"}
    eventually(lambda: client.base.link_errors() == expected)


def test_a_stopped_process_costs_the_others_nothing_and_is_served_again(
    peers: Any, start: Callable[..., Any]
) -> None:
    """SIGSTOP: its kernel still takes bytes and answers keepalives, it just never reads."""
    stopped, healthy, client = peers(), peers(), start(listen=None, buffer_bytes_max=1_000_000)
    for peer in (stopped, healthy):
        assert client.ask(peer.address("echo"), "warm", WAIT_S) == "warm"
    stopped.signal(signal.SIGSTOP)
    dropped = 0
    while dropped < 100:
        for _ in range(50):
            client.tell(stopped.address("nobody"), bytes(100_000))
        assert client.ask(healthy.address("echo"), "hello", WAIT_S) == "hello"
        stats = client.base.stats()
        assert stats["waiting_bytes"] < 1_200_000
        dropped = stats.get("dropped_full", 0)
    stopped.signal(signal.SIGCONT)
    assert eventually(lambda: client.ask(stopped.address("echo"), "back", 1.0) == "back")
