"""Nodes in this process that start under names, without what they need, or told wrongly."""

import socket
import threading
from typing import Any

import pytest
from thespian.actors import Actor

from fleet.errors import Unavailable, UnknownName
from tests.actors.base import helpers
from tests.support.nodes_here import NodesHere
from tests.support.ports import free_ports
from tests.support.waiting import eventually


@pytest.mark.parametrize("listen", ["localhost", "127.0.0.1"])
def test_s79_founders_that_are_listed_by_name_found_their_cluster(nodes: NodesHere, listen: str) -> None:
    """A node that listened at localhost was not the localhost of the list, and nobody founded."""
    ports = free_ports(3)
    founders = [f"localhost:{port}" for port in ports]
    started = [
        nodes.start(f"n{number}", listen=f"{listen}:{port}", founders=founders)
        for number, port in enumerate(ports)
    ]
    eventually(lambda: nodes.names(started[2]) == ["n0", "n1", "n2"])


def test_s79_a_list_of_founders_with_an_unknown_name_says_so_at_once(
    nodes: NodesHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "host.test":
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    (port,) = free_ports(1)
    with pytest.raises(UnknownName, match="which of the founders.*Temporary failure.*--advertise"):
        nodes.start("n1", listen=f"127.0.0.1:{port}", founders=[f"host.test:{port}"])


@pytest.mark.parametrize("which", ["fleet-loop", "fleet-writer"])
def test_s80_a_node_for_which_no_thread_is_left_does_not_start_and_starts_later(
    nodes: NodesHere, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == which:
            raise RuntimeError("can't start new thread")
        real(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="thread cannot be started"):
            nodes.start("n1")
    node = nodes.start("n1")
    eventually(lambda: nodes.names(node) == ["n1"])


class Stuck(Actor):
    def receiveMessage(self, message: Any, sender: Any) -> None:
        if message == "hang":
            BEGUN.set()
            GATE.wait(60)


BEGUN, GATE = threading.Event(), threading.Event()


def test_s80_a_node_that_cannot_stop_says_where_it_hangs_and_is_not_waited_for(
    nodes: NodesHere, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It waited without end for an actor that never returned."""
    monkeypatch.setattr("fleet.actors.base.base.STOP_S_MAX", 0.1)
    monkeypatch.setattr("fleet.actors.base.base._JOIN_S_MAX", 0.1)
    node = nodes.start("n1")
    system = node._system
    system.tell(system.createActor(Stuck), "hang")
    assert BEGUN.wait(helpers.WAIT_S)
    try:
        with pytest.raises(Unavailable, match="does not stop"):
            node.stop()
        assert "GATE.wait" in caplog.text
    finally:
        GATE.set()
        eventually(lambda: not system.base.is_running())
        node.stop()
