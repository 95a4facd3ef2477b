"""A node in this process whose vital actors die: it stops, says so, and starts again with all it had."""

import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

import fleet
from fleet.actors.base.addresses import Address
from fleet.actors.messages.local import Routes, StartDisk
from fleet.actors.node.disk import Disk
from fleet.actors.node.manager import NodeManager
from fleet.actors.node.registry import Registry
from fleet.actors.runtime.turn import EndTurn
from fleet.errors import NodeDamaged, Unavailable
from fleet.storage import LmdbStore
from tests.support.classes import Counter
from tests.support.waiting import eventually

SECRET = "a secret of the tests, long enough"
ROOT = Path(__file__).resolve().parents[3]


def a_node(home: Path) -> fleet.Node:
    return fleet.Node("n1", "127.0.0.1:0", home / "n1", secret=SECRET)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[fleet.Node]:
    node = a_node(tmp_path)
    yield node.start()
    node.stop()


def visits(node: fleet.Node, use: Callable[[Any], Any]) -> Any:
    with fleet.connect(node.address, secret=SECRET) as client:
        return use(client.create_group("visits", Counter, replicas=1, exist_ok=True))


def address_of(node: fleet.Node, kind: type) -> Address:
    base = node._system.base
    cells = base.run_in_loop(lambda: list(base.kernel.cells.values()))
    (address,) = [cell.address for cell in cells if type(cell.instance) is kind]
    assert isinstance(address, Address)
    return address


@pytest.mark.parametrize(
    "kind, blow",
    [
        (Registry, ActorExitRequest()),
        (Registry, Routes(None)),  # type: ignore[arg-type]
        (Disk, ActorExitRequest()),
        (Disk, StartDisk(None)),  # type: ignore[arg-type]
        (NodeManager, ActorExitRequest()),
    ],
    ids=["registry-exit", "registry-raises", "disk-exit", "disk-raises", "manager-exit"],
)
def test_a_node_that_lost_a_vital_actor_stops_and_can_be_started_again(
    node: fleet.Node, tmp_path: Path, kind: type, blow: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert visits(node, lambda counter: counter.add(1)) == 1
    node._system.tell(address_of(node, kind), blow)
    eventually(lambda: not node._system.base.is_running())
    assert kind is NodeManager or "node=n1 stops" in caplog.text
    with pytest.raises(Unavailable):
        node.members()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Unavailable, match="its log says why"):
        node.run_until_signal()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    node.stop()
    with a_node(tmp_path) as again:
        assert visits(again, lambda counter: counter.add(1)) == 2


def test_a_node_whose_directory_rotted_says_which_record_and_what_to_do(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        visits(node, lambda counter: counter.add(1))
    store = LmdbStore(tmp_path / "n1", cluster="fleet", node="n1")
    store.put_meta("left", b"\xa4text")
    store.close()
    with pytest.raises(NodeDamaged, match="left.*--join"):
        a_node(tmp_path).start()
    (tmp_path / "n1" / "env" / "data.mdb").write_bytes(b"rotten" * 4096)
    with pytest.raises(NodeDamaged, match="data file.*--join"):
        a_node(tmp_path).start()


def test_the_turn_that_a_disk_dies_in_is_its_last(node: fleet.Node) -> None:
    """What it had not written was promised to nobody."""
    visits(node, lambda counter: counter.add(1))
    disk = address_of(node, Disk)
    for message in (ActorExitRequest(), EndTurn()):
        node._system.tell(disk, message)
    eventually(lambda: not node._system.base.is_running())


def test_a_signal_ends_a_node_at_whatever_instruction_it_comes() -> None:
    """Also while the thread that waits for it holds a lock of what it waits with."""
    done = subprocess.run([sys.executable, "-c", SIGNALLED], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


SIGNALLED = """
import signal
import sys

from fleet import any_node

any_node.ALIVE_S = 0.001  # it looks whether it lives, and waits again


class Idle(any_node.AnyNode):
    def stop(self):
        pass

    def _is_running(self):
        return True


def signal_at(count):
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        frame.f_trace_opcodes = True
        if seen or frame.f_code.co_name == "_await_signal":
            seen += event == "opcode"
            if seen == count and event == "opcode":
                signal.raise_signal(signal.SIGTERM)
        return trace

    node = Idle("n1", secret="a secret of the tests, long enough")
    sys.settrace(trace)
    try:
        node.run_until_signal()
    finally:
        sys.settrace(None)


for count in range(1, 300):
    signal_at(count)
"""
