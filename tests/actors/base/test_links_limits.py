"""Peers that do not answer, do not read, or read late: each costs no more than its own buffer."""

import time
from typing import Any

import msgspec
import pytest
from thespian.actors import (
    Actor,
)

from fleet.actors.base import ActorId, Address, remote_address
from tests.actors.base.helpers import WAIT_S, Echo, Recorder
from tests.actors.base.sockets import Start, frame, join, read_frame
from tests.support.waiting import eventually

# -- one sick peer and the others ---------------------------------------------------------------------------


def test_an_endpoint_that_does_not_answer_delays_nobody_else(
    start: Start, silent: str, black_hole: str
) -> None:
    """S64: sending to a vanished host blocked the transport, and leaders lost their followers."""
    node, client = start(), start(listen=None, connect_ms_max=200, handshake_ms_max=200)
    echo = node.createActor(Echo)
    assert client.ask(echo, "warm", WAIT_S) == "warm"
    slowest = 0.0
    begun = time.monotonic()
    while time.monotonic() < begun + 0.6:
        for sick in (silent, black_hole):
            client.tell(remote_address(sick, "echo"), bytes(1000))
        asked = time.monotonic()
        assert client.ask(echo, "hello", WAIT_S) == "hello"
        slowest = max(slowest, time.monotonic() - asked)
    assert slowest < 0.2
    eventually(lambda: client.base.link_errors() == {silent: "timeout", black_hole: "timeout"})
    assert client.base.stats()["waiting_bytes"] == 0


def test_a_peer_that_never_reads_fills_its_own_buffer_and_no_more(start: Start) -> None:
    node = start(buffer_bytes_max=1_000_000, dead_after_ms=60_000)
    flood = node.createActor(Flood)
    echo = node.createActor(Echo)
    client = start(listen=None)
    with join(node.base.endpoint, boot=4711) as deaf:
        node.tell(flood, Address(ActorId("", 4711, 9)))
        eventually(lambda: node.base.stats().get("dropped_full", 0) > 1000)
        assert node.base.stats()["waiting_bytes"] < 1_200_000
        assert client.ask(echo, "hello", WAIT_S) == "hello"
        assert len(deaf.recv(100)) == 100


def test_s69_a_client_that_asks_and_does_not_read_is_not_read_either(start: Start) -> None:
    node, client = start(mark_bytes=1_000_000, dead_after_ms=60_000), start(listen=None)
    echo = node.createActor(Echo)
    question = frame((echo.ident.local, 9, -2, bytes(50_000)))
    with join(node.base.endpoint, boot=4711) as deaf:
        deaf.settimeout(0.2)
        asked = 0
        try:
            while asked < 2000:  # until nobody takes what it asks
                deaf.sendall(question)
                asked += 1
        except TimeoutError:
            pass
        assert asked < 1000
        stats = node.base.stats()
        assert stats["paused"] == 1 and stats["waiting_bytes"] < 2_000_000
        assert stats.get("dropped_full", 0) == 0
        assert client.ask(echo, "hello", WAIT_S) == "hello"
        deaf.settimeout(WAIT_S)
        answers = 0
        while answers < asked:  # once it reads, it is read on, and nothing was lost
            answers += len(msgspec.msgpack.decode(read_frame(deaf)))
    eventually(lambda: node.base.stats()["waiting_bytes"] == 0)


def test_s69_all_links_together_hold_no_more_than_their_budget(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    node = start(mark_bytes=100_000, buffers_bytes_max=2_000_000, dead_after_ms=60_000)
    deaf = [join(node.base.endpoint, boot=boot) for boot in (1, 2, 3, 4)]
    for boot in (1, 2, 3, 4):
        node.tell(node.createActor(Flood), Address(ActorId("", boot, 9)))
    eventually(lambda: node.base.stats().get("dropped_full", 0) > 1000)
    assert node.base.stats()["waiting_bytes"] < 2_000_000 + 4 * 1_200_000
    assert len([record for record in caplog.records if "dropped: full" in record.getMessage()]) == 1
    assert node.base._links.waiting_bytes > 2_000_000
    for sock in deaf:
        sock.close()
    eventually(lambda: node.base.stats()["waiting_bytes"] == node.base._links.waiting_bytes == 0)


def test_s69_addresses_that_messages_bring_are_remembered_and_logged_up_to_a_limit(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    node = start(retry_ms_min=60_000, retry_ms_max=60_000)
    for number in range(5000):
        node.tell(remote_address(f"127.0.0.1:{number}x", "echo"), 1)
    eventually(lambda: node.base.stats().get("dropped_peers", 0) > 900)
    assert len(node.base._links._peers) <= 4096
    assert len([record for record in caplog.records if "bad endpoint" in record.getMessage()]) == 1


class Flood(Actor):
    """Sends without end to whom it is given."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, Address):
            self.victim = message
        for _ in range(100):
            self.send(self.victim, bytes(10_000))
        self.wakeupAfter(0.001)


def test_a_peer_that_reads_late_gets_everything_in_order(start: Start) -> None:
    node, client = start(), start(listen=None)
    recorder = node.createActor(Recorder)
    with join(node.base.endpoint, boot=4711) as slow:
        eventually(lambda: node.base.stats()["links_up"] == 1)
        for number in range(2000):
            node.tell(Address(ActorId("", 4711, number)), bytes(5000))
        assert client.ask(recorder, "what?", 0.01) is None
        numbers: list[int] = []
        while len(numbers) < 2000:
            numbers += [dst for dst, *_ in msgspec.msgpack.decode(read_frame(slow))]
        assert numbers == list(range(2000))
