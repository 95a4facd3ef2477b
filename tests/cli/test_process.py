"""What a node's process shows to its host: titles, logs, and what it tells a service manager."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports
from tests.support.waiting import eventually

from .fleets import SECRET, SHOP, fleet_of
from .processes import PATIENCE_S, children, read_until, run, started

ALONE = ("start", "--name", "n1", "--listen", "127.0.0.1:0", "--found")


def title(process: int | str) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def test_ps_tells_nodes_and_executors_apart(tmp_path: Path) -> None:
    with started(tmp_path, *ALONE, "--data-dir", "mine") as node:
        read_until(node, "serves at")
        assert title(node.pid) == f"fleet node n1 at 127.0.0.1:0, {tmp_path / 'mine'}"
        (executor,) = children(node.pid)
        eventually(lambda: title(executor) == "fleet executor of node n1")


# -- logs ------------------------------------------------------------------------------------------------


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_a_node_is_json_and_says_what_it_is_about(tmp_path: Path) -> None:
    """Also what users' code logs in an executor, and what the process says about itself."""
    (tmp_path / "loud.py").write_text(LOUD)
    (port,) = free_ports(1)
    options = ("--listen", f"127.0.0.1:{port}", "--log-format", "json", "--log-level", "info")
    connect = {"FLEET_CONNECT": f"127.0.0.1:{port}"}
    with started(tmp_path, *ALONE, *options) as node:
        read_until(node, "serves at")
        added = run(tmp_path, "group", "add", "a b=c", "loud:Loud", "--replicas", "1", **connect)
        assert added.returncode == 0, added
        assert run(tmp_path, "call", "a b=c", "shout", "100 %d", **connect).returncode == 0
        node.terminate()
        assert node.wait(PATIENCE_S) == 0
        assert node.stdout is not None and node.stderr is not None
        out, lines = json_lines(node.stdout.read()), json_lines(node.stderr.read())
    assert [line["message"][:18] for line in out] == ["node n1 founded cl"]
    assert all({"time", "level", "logger", "node", "message"} <= line.keys() for line in (*out, *lines))
    assert {line["node"] for line in lines} == {"n1"}
    (led,) = [line for line in lines if line.get("group") == "a b=c" and line["message"].endswith(" leads")]
    assert led["term"] >= 1 and led["member"].startswith("n1@") and led["level"] == "info"
    (shout,) = [line for line in lines if line["logger"] == "loud"]
    assert (shout["message"], shout["level"]) == ("group=x shouts 100 %d", "warning")
    assert shout["group"] == "x" and "term" not in shout


LOUD = """
import logging

import fleet

log = logging.getLogger("loud")


class Loud(fleet.Data):
    @fleet.command
    def shout(self, text: str) -> None:
        log.warning("group=%s shouts %s", "x", text)
"""


def test_what_ends_a_start_is_json_too(tmp_path: Path) -> None:
    refused = run(tmp_path, *ALONE, "--log-format", "json", "--weight", "-1")
    assert refused.returncode == 2
    (line,) = json_lines(refused.stderr)
    assert line["level"] == "error" and "weight must be 0 or more" in line["message"]


# -- the service manager -----------------------------------------------------------------------------------


class Manager:
    """A socket as systemd has one; what was told, by the names of variables."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE_S)

    def await_told(self, name: str, value: str = "") -> str:
        """The value of the next that begins so; whatever comes before it is ignored."""
        while True:
            for line in self.socket.recv(4096).decode().splitlines():
                if line.startswith(f"{name}={value}"):
                    return line.partition("=")[2]


@contextmanager
def manager(path: Path) -> Iterator[Manager]:
    one = Manager(path)
    with one.socket:
        yield one


def test_a_service_manager_is_told_when_it_serves_is_ready_lives_and_stops(tmp_path: Path) -> None:
    with manager(tmp_path / "notify") as systemd:
        settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        with started(tmp_path, *ALONE, **settings) as node:
            assert systemd.await_told("READY") == "1"
            systemd.await_told("STATUS", "ready")
            for _ in range(3):
                assert systemd.await_told("WATCHDOG") == "1"
            (executor,) = children(node.pid)
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{executor}/environ").read_bytes()
            node.terminate()
            assert systemd.await_told("STOPPING") == "1"
            assert node.wait(PATIENCE_S) == 0


def test_a_node_that_stands_still_says_nothing_to_the_watchdog(tmp_path: Path) -> None:
    with manager(tmp_path / "notify") as systemd:
        settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "150000"}
        with started(tmp_path, *ALONE, **settings) as node:
            systemd.await_told("WATCHDOG")
            node.send_signal(signal.SIGSTOP)
            assert os.WIFSTOPPED(os.waitpid(node.pid, os.WUNTRACED)[1])
            systemd.socket.settimeout(0.5)
            try:
                while True:
                    systemd.socket.recv(4096)  # what was sent before
            except TimeoutError:
                pass
            systemd.socket.settimeout(PATIENCE_S)
            node.send_signal(signal.SIGCONT)
            assert systemd.await_told("WATCHDOG") == "1"


def test_a_watchdog_of_another_process_and_no_service_manager_are_nothing(tmp_path: Path) -> None:
    with manager(tmp_path / "notify") as systemd:
        settings = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "100",
            "WATCHDOG_PID": "1",
        }
        with started(tmp_path, *ALONE, **settings) as node:
            read_until(node, "serves at")
            systemd.await_told("STATUS", "ready")
            node.terminate()
            assert node.wait(PATIENCE_S) == 0
            systemd.socket.settimeout(0.01)
            told = b""
            while b"STOPPING" not in told:
                told = systemd.socket.recv(4096)
                assert b"WATCHDOG" not in told


def test_while_a_majority_is_missing_the_status_says_who_is(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (port,) = free_ports(1)
    with manager(tmp_path / "notify") as systemd, fleet_of(tmp_path, "n1") as cluster:
        settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "FLEET_SECRET": SECRET}
        join = ("--join", cluster.addresses["n1"], "--listen", f"127.0.0.1:{port}")
        with started(tmp_path, "start", "--name", "n2", *join, **settings):
            systemd.await_told("STATUS", "ready")
            eventually(lambda: len(cluster.ask("status")["nodes"]) == 2)
            cluster.kill("n1")
            assert "n1 are silent" in systemd.await_told("STATUS", "not ready")
