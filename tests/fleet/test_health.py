"""Health of a node that a program starts, as `fleet.Node(health=...)`."""

import threading
from pathlib import Path

import pytest

import fleet
from fleet.errors import ConfigError, Unavailable
from tests.actors.base.helpers import open_descriptors
from tests.cli.test_health import get
from tests.support.ports import free_ports
from tests.support.waiting import eventually

SECRET = "0123456789abcdef" * 4


def test_a_node_that_was_stopped_answers_no_more_and_leaves_no_socket_open(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    before = sockets()
    with fleet.Node("n1", "127.0.0.1:0", tmp_path / "n1", secret=SECRET, health=f"127.0.0.1:{port}"):
        assert get(port, "/live") == (200, {"node": "n1", "live": True})
        eventually(lambda: get(port, "/ready")[0] == 200)
    assert get(port, "/live") == (0, None)
    eventually(lambda: sockets() <= before)


def sockets() -> set[str]:
    return {one for one in open_descriptors() if "socket:" in one}


def test_health_is_told_to_who_asks_for_it(tmp_path: Path) -> None:
    told: list[tuple[str, ...]] = []
    is_ready = threading.Event()

    def hear(why: tuple[str, ...]) -> None:
        told.append(why)
        if not why:
            is_ready.set()

    with fleet.Node("n1", "127.0.0.1:0", tmp_path / "n1", secret=SECRET) as node:
        node.watch_health(0.01, hear)
        assert is_ready.wait(20), told


def test_an_address_for_health_is_checked_first(tmp_path: Path) -> None:
    where = ("127.0.0.1:7400", tmp_path / "n1")
    with pytest.raises(ConfigError, match="'here' is not host:port"):
        fleet.Node("n1", *where, secret=SECRET, health="here")
    with pytest.raises(ConfigError, match="health and listen are the same address"):
        fleet.Node("n1", *where, secret=SECRET, health="127.0.0.1:7400")
    with pytest.raises(Unavailable, match="health probes at nowhere.invalid:1"):
        fleet.Node("n1", "127.0.0.1:0", tmp_path / "n1", secret=SECRET, health="nowhere.invalid:1").start()
