"""Host names that resolve late, never, or not before the caller loses patience (S79, S80)."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleet.actors.base import links, names, remote_address
from fleet.actors.base.handshake import LinkIdentity
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.settings import own_name
from fleet.errors import ConfigError
from tests.actors.base.helpers import WAIT_S, Echo
from tests.support.waiting import eventually

Start = Callable[..., Any]
REAL = socket.getaddrinfo


class NameServer:
    """Names under .test wait until `answer` is set, and are this host then."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked = 0

    def getaddrinfo(self, host: str, *args: Any, **kwargs: Any) -> Any:
        if host.endswith(".test"):
            self.asked += 1
            assert self.answer.wait(60)
            host = "127.0.0.1"
        return REAL(host, *args, **kwargs)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.answer.set()
    eventually(lambda: not lookups())


def lookups() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fleet-resolve"]


def test_s80_names_that_hang_take_few_threads_and_stop_nobody(start: Start, server: NameServer) -> None:
    """Each took a thread of its own for as long as it hung."""
    node, client = start(), start(listen=None)
    node.createActor(Echo, globalName="echo")
    for number in range(3 * names.LOOKUPS_MAX):
        client.tell(remote_address(f"host{number}.test:1", "echo"), "hello")
    eventually(lambda: len(client.base.link_errors()) == 2 * names.LOOKUPS_MAX)
    assert len(lookups()) == names.LOOKUPS_MAX
    assert client.ask(remote_address(node.base.endpoint, "echo"), "hello", WAIT_S) == "hello"
    began = time.monotonic()
    client.shutdown()
    assert time.monotonic() - began < 2.0


def test_s79_a_name_that_resolves_late_is_told_of_and_reached_then(
    start: Start, server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "LOOKUP_S", 0.05)
    node, client = start(), start(listen=None)
    node.createActor(Echo, globalName="echo")
    there = remote_address(f"node.test:{node.base.endpoint.rpartition(':')[2]}", "echo")
    client.tell(there, "hello")
    eventually(lambda: list(client.base.link_errors().values()) == ["unresolvable"])
    assert server.asked == 1
    server.answer.set()
    eventually(lambda: client.ask(there, "hello", 0.1) == "hello")
    assert client.base.link_errors() == {}


def test_s80_a_lookup_for_which_no_thread_is_left_fails_and_is_tried_again(
    start: Start, server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raised in whatever actor sent, and the name was never looked up again."""
    server.answer.set()
    node, client = start(), start(listen=None)
    node.createActor(Echo, globalName="echo")
    there = remote_address(f"node.test:{node.base.endpoint.rpartition(':')[2]}", "echo")

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        assert client.ask(there, "hello", 0.05) is None
        assert list(client.base.link_errors().values()) == ["unresolvable"]
    eventually(lambda: client.ask(there, "hello", 0.1) == "hello")


def test_s79_a_name_to_listen_at_that_hangs_is_refused_in_time(
    start: Start, server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names.addresses, "__defaults__", (0.05,))
    with pytest.raises(ConfigError, match="node.test:0.*no name server answered"):
        start(listen="node.test:0")


def test_s79_who_listens_by_a_name_is_known_by_it(start: Start) -> None:
    """Its own address was a number, and in no list of names."""
    port = start(listen="localhost:0").base.endpoint.removeprefix("localhost:")
    assert port.isdigit() and port != "0"


@pytest.mark.parametrize(
    "listen, found",
    [
        ("localhost:7401", "localhost:7401"),
        ("127.0.0.1:7401", "localhost:7401"),
        ("0.0.0.0:7401", "localhost:7401"),
        ("127.0.0.2:7401", None),
        ("127.0.0.1:7403", "127.0.0.1:7403"),
        ("127.0.0.1:7404", None),
        ("127.0.0.1:0", None),
    ],
)
def test_s79_which_founder_a_node_is_by_whatever_name(listen: str, found: str | None) -> None:
    assert own_name(listen, ("203.0.113.7:7401", "localhost:7401", "127.0.0.1:7403")) == found


def test_secrets_are_in_no_repr() -> None:
    secret = b"hush, a secret"
    assert "hush" not in repr([Keyring([secret]), LinkIdentity("c", secret, 1, "here:1", 1 << 20)])
