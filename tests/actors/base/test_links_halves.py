"""Connections that stop in the middle, end in one direction, or come in crowds; and much to send."""

import os
import socket
import ssl
from contextlib import suppress

import pytest

from fleet.actors.base import ActorId, Address, remote_address
from fleet.actors.base.handshake import Acceptor, LinkIdentity
from fleet.actors.base.tls import TlsStream
from tests.actors.base.helpers import CLUSTER, SECRET, WAIT_S, Echo, Recorder
from tests.actors.base.sockets import Start, context, dial, dial_tls, frame, is_closed, join, read_frame
from tests.support.waiting import eventually

# -- half of a connection --------------------------------------------------------------------------


def client_hello() -> bytes:
    leaving = ssl.MemoryBIO()
    tls = context().wrap_bio(ssl.MemoryBIO(), leaving)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return leaving.read()


@pytest.mark.parametrize("said", ["nothing", "half a greeting", "a greeting", "no proof", "half a frame"])
def test_a_dialler_that_stops_in_the_middle_of_the_handshake_is_hung_up_on(start: Start, said: str) -> None:
    node = start(handshake_ms_max=100)
    hello = client_hello()
    if said in ("no proof", "half a frame"):
        sock: socket.socket = dial_tls(node.base.endpoint)[0]
        sock.sendall(b"\x00\x00" if said == "half a frame" else b"")
    else:
        sock = dial(node.base.endpoint)
        sock.sendall({"nothing": b"", "half a greeting": hello[:100], "a greeting": hello}[said])
    with sock:
        assert is_closed(sock)
    assert node.base.stats()["refused_links"] == 1 and node.base.stats()["unproved"] == 0


@pytest.mark.parametrize("said", ["nothing", "tls", "answer"])
def test_a_listener_that_stops_in_the_middle_of_the_handshake_is_given_up(start: Start, said: str) -> None:
    client = start(listen=None, handshake_ms_max=100)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        client.tell(remote_address(endpoint, "echo"), "hello")
        sock, _ = server.accept()
        with sock:
            sock.settimeout(WAIT_S)
            if said != "nothing":
                sock = context(side=ssl.PROTOCOL_TLS_SERVER).wrap_socket(sock, server_side=True)
            if said == "answer":
                greeting = read_frame(sock)
                answer = Acceptor(LinkIdentity(CLUSTER, SECRET, 1, "", 1 << 20), b"").greeted(greeting)
                sock.sendall(answer[:-1])
            assert is_closed(sock)
            sock.close()
    eventually(lambda: client.base.link_errors() == {endpoint: "timeout"})


@pytest.mark.parametrize("how", ["close_notify", "fin", "fin in the middle of a record"])
def test_a_peer_that_says_good_bye_in_whatever_way_closes_its_link(start: Start, how: str) -> None:
    node = start()
    recorder = node.createActor(Recorder)
    with join(node.base.endpoint) as sock:
        sock.sendall(frame((recorder.ident.local, 0, -2, "the last word")))
        eventually(lambda: node.base.stats()["links_up"] == 1)
        if how == "close_notify":
            sock.setblocking(False)
            with suppress(ssl.SSLWantReadError):
                sock.unwrap()
            sock.settimeout(WAIT_S)
            assert is_closed(sock)
        else:
            raw = socket.socket(fileno=os.dup(sock.fileno()))
            raw.send(b"\x17\x03\x03\x01" if "record" in how else b"")
            raw.shutdown(socket.SHUT_WR)
            raw.close()
        eventually(lambda: node.base.stats()["links_up"] == 0)
    assert node.ask(recorder, "what?", WAIT_S) == ["the last word"]
    assert node.base.stats().get("bad_frames", 0) == 0


def test_much_before_the_handshake_is_over_closes_the_connection(start: Start) -> None:
    node = start(handshake_ms_max=60_000)
    with dial(node.base.endpoint) as sock:
        sock.sendall(b"\x16\x03\x01\x40\x00\x01\x01\x00\x00")  # a greeting of 64 KiB
        with suppress(OSError):
            for _ in range(400):
                sock.sendall(b"\x16\x03\x03\x01\x00" + bytes(256))
        assert is_closed(sock)
    assert node.base.stats()["refused_links"] == 1


def test_a_crowd_that_begins_handshakes_leaves_time_for_others(start: Start) -> None:
    """Each step of a handshake costs a good part of a millisecond."""
    node, client = start(), start(listen=None)
    echo = node.createActor(Echo)
    assert client.ask(echo, "warm", WAIT_S) == "warm"
    links, steps, hello = node.base._links, [], client_hello()
    may_shake = links.may_shake

    def counted() -> bool:
        answer = may_shake()
        steps.append((links._shaken, answer))
        return bool(answer)

    links.may_shake = counted
    crowd = [dial(node.base.endpoint) for _ in range(60)]

    def all_at_once() -> None:
        for sock in crowd:
            sock.sendall(hello)

    node.base.run_in_loop(all_at_once)
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    for sock in crowd:
        assert sock.recv(100)[:1] == b"\x16", "everybody's turn comes"
        sock.close()
    assert any(not answer for _, answer in steps), "they did not come at once"
    assert all(answer == (number <= 8) for number, answer in steps)


# -- much to send ----------------------------------------------------------------------------------


def test_a_peer_that_reads_slowly_gets_a_big_message_whole_and_little_is_encrypted_ahead(
    start: Start,
) -> None:
    node = start(dead_after_ms=60_000)
    big = os.urandom(8_000_000)
    with join(node.base.endpoint, boot=4711, frame_bytes_max=1 << 24) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        eventually(lambda: node.base.stats()["links_up"] == 1)
        node.tell(Address(ActorId("", 4711, 9)), big)
        (link,) = node.base._links._all
        eventually(lambda: node.base.run_in_loop(lambda: len(link._rest or b"")) > 300_000)
        assert 0 < node.base.run_in_loop(lambda: len(link._backlog)) < 300_000
        node.tell(Address(ActorId("", 4711, 9)), "behind it")
        body = read_frame(slow)
        assert big in body
        assert b"behind it" in read_frame(slow)
    eventually(lambda: node.base.stats()["waiting_bytes"] == 0)


def test_a_peer_that_reads_fast_gets_a_share_of_each_turn(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was served until it had everything."""
    node = start()
    turns: list[int] = []
    flush, seal = node.base._links.flush, TlsStream.seal

    def flushed() -> None:
        flush()
        turns.append(0)

    def sealed(self: TlsStream, data: bytes) -> bytes:
        if self in [link._tls for link in node.base._links._all]:
            turns[-1:] = [sum(turns[-1:]) + len(data)]
        return seal(self, data)

    monkeypatch.setattr(node.base._links, "flush", flushed)
    monkeypatch.setattr(TlsStream, "seal", sealed)
    big = os.urandom(6_000_000)
    with join(node.base.endpoint, boot=4711, frame_bytes_max=1 << 24) as fast:
        eventually(lambda: node.base.stats()["links_up"] == 1)
        node.tell(Address(ActorId("", 4711, 9)), big)
        assert big in read_frame(fast)
    assert sum(turns) > 6_000_000 and max(turns) <= 5 * 256 * 1024
