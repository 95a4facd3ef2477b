"""Links are encrypted, and nobody without the secret gets into one. Real sockets on loopback."""

import os
import pickle
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from fleet.actors.base import remote_address
from fleet.actors.base.certificates import VALID_S, Authority
from fleet.actors.base.handshake import Connector, LinkIdentity, protocols
from tests.actors.base.attackers import InTheMiddle, Tamper
from tests.actors.base.helpers import CLUSTER, SECRET, WAIT_S, Echo, Recorder
from tests.actors.base.sockets import (
    Start,
    context,
    dial,
    dial_tls,
    frame,
    is_closed,
    read_frame,
    reasons,
)
from tests.support.waiting import eventually

FOREIGN = b"the secret of another authority"
LATE = time.time() - VALID_S - 60


class Bomb:
    """Unpickling it leaves a directory."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (self.path,))


@pytest.fixture
def in_the_middle(nothing_left: None) -> Iterator[Callable[..., InTheMiddle]]:
    relays: list[InTheMiddle] = []

    def make(target: str, tamper: Tamper = lambda end, data: data) -> InTheMiddle:
        relays.append(InTheMiddle(target, tamper))
        return relays[-1]

    yield make
    for relay in relays:
        relay.close()


# -- a relay between two honest processes ----------------------------------------------------------


@pytest.mark.parametrize("victim", ["dialler", "target"])
@pytest.mark.parametrize("injected", ["pickle", "frame", "record", "earlier record"])
def test_s67_what_a_relay_injects_after_the_handshake_is_not_read(
    start: Start, in_the_middle: Any, tmp_path: Any, victim: str, injected: str
) -> None:
    """It passed the handshake on, and then its pickle was run by both."""
    node, client = start(), start(listen=None)
    recorder = node.createActor(Recorder, globalName="recorder")
    relay = in_the_middle(node.base.endpoint)
    client.tell(remote_address(relay.endpoint, "recorder"), "honest")
    eventually(lambda: node.ask(recorder, "what?", WAIT_S) == ["honest"])
    eventually(lambda: node.base.stats()["links_up"] == client.base.stats()["links_up"] == 1)
    bomb = frame(["recorder", 0, -1, pickle.dumps(Bomb(str(tmp_path / "bomb")))])
    plain = frame(["recorder", 0, -2, "injected"])
    other = "target" if victim == "dialler" else "dialler"
    words = {
        "pickle": bomb,
        "frame": plain,
        "record": b"\x17\x03\x03" + struct.pack(">H", len(plain)) + plain,
        "earlier record": relay.said_by(other)[-200:],
    }
    relay.inject(victim, words[injected])
    eventually(lambda: node.base.stats()["links_up"] == client.base.stats()["links_up"] == 0)
    assert not (tmp_path / "bomb").exists()
    assert node.ask(recorder, "what?", WAIT_S) == ["honest"]
    client.tell(recorder, "again")
    eventually(lambda: node.ask(recorder, "what?", WAIT_S) == ["honest", "again"])


def test_s67_a_relay_reads_nothing_and_learns_no_secret(start: Start, in_the_middle: Any) -> None:
    node, client = start(), start(listen=None)
    node.createActor(Echo, globalName="echo")
    relay = in_the_middle(node.base.endpoint)
    word = "a word that is easily found " * 20
    assert client.ask(remote_address(relay.endpoint, "echo"), word, WAIT_S) == word
    heard = relay.said_by("dialler") + relay.said_by("target")
    assert len(heard) > 2 * len(word)
    assert b"easily found" not in heard and SECRET not in heard
    assert node.base.endpoint.encode() not in heard


def test_s67_a_relay_with_a_certificate_but_no_secret_proves_nothing(start: Start) -> None:
    """It speaks TLS with each side and passes their proofs on, which are bound to the certificates."""
    node, client = start(), start(listen=None)
    recorder = node.createActor(Recorder, globalName="recorder")
    stolen = Authority(SECRET).leaf(time.time())
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        client.tell(remote_address(endpoint, "recorder"), "for the node only")
        caught, _ = server.accept()
        caught.settimeout(WAIT_S)
        with (
            context(SECRET, stolen, ssl.PROTOCOL_TLS_SERVER).wrap_socket(caught, server_side=True) as left,
            context(SECRET, stolen).wrap_socket(dial(node.base.endpoint)) as right,
        ):
            hello = read_frame(left)
            right.sendall(struct.pack(">I", len(hello)) + hello)
            answer = read_frame(right)
            left.sendall(struct.pack(">I", len(answer)) + answer)
            assert is_closed(left)
            eventually(lambda: reasons(client) == ["wrong secret"])
            right.sendall(struct.pack(">I", 32) + answer[-32:] + frame(["recorder", 0, -2, "injected"]))
            assert is_closed(right)
    assert node.ask(recorder, "what?", WAIT_S) == []
    assert node.base.stats()["links_up"] == client.base.stats()["links_up"] == 0


@pytest.mark.parametrize("end", ["dialler", "target"])
@pytest.mark.parametrize("at", [5, 60, 300, 600, 1200])
def test_what_a_relay_changes_in_the_handshake_makes_no_link(
    start: Start, in_the_middle: Any, end: str, at: int
) -> None:
    passed = {"dialler": 0, "target": 0}

    def tamper(who: str, data: bytes) -> bytes:
        begin = passed[who]
        passed[who] += len(data)
        if who == end and begin <= at < begin + len(data):
            return data[: at - begin] + bytes([data[at - begin] ^ 1]) + data[at - begin + 1 :]
        return data

    node, client = start(), start(listen=None)
    recorder = node.createActor(Recorder, globalName="recorder")
    relay = in_the_middle(node.base.endpoint, tamper)
    client.tell(remote_address(relay.endpoint, "recorder"), "hello")
    eventually(lambda: reasons(client))
    assert node.ask(recorder, "what?", WAIT_S) == []
    assert node.base.stats()["links_up"] == client.base.stats()["links_up"] == 0


def test_a_recorded_connection_says_nothing_when_it_is_played_again(start: Start, in_the_middle: Any) -> None:
    node, client = start(), start(listen=None)
    recorder = node.createActor(Recorder, globalName="recorder")
    relay = in_the_middle(node.base.endpoint)
    client.tell(remote_address(relay.endpoint, "recorder"), "once")
    eventually(lambda: node.ask(recorder, "what?", WAIT_S) == ["once"])
    for pause_s in (0.0, 0.05):
        with dial(node.base.endpoint) as sock:
            for who, data in list(relay.said):
                if who == "dialler":
                    with suppress(OSError):
                        sock.sendall(data)
                    time.sleep(pause_s)  # so that each part meets what it once was the answer to
            assert is_closed(sock)
    assert node.ask(recorder, "what?", WAIT_S) == ["once"]
    assert node.base.stats()["links_made"] == 1


def test_a_dialler_does_not_take_its_own_words_for_a_peers(start: Start) -> None:
    """Reflection: what it says comes back to it."""
    client = start(listen=None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        client.tell(remote_address(endpoint, "echo"), "hello")
        sock, _ = server.accept()
        with sock:
            sock.settimeout(WAIT_S)
            with suppress(OSError):
                while data := sock.recv(65536):
                    sock.sendall(data)
        eventually(lambda: client.base.link_errors() == {endpoint: "not a fleet process"})


@pytest.mark.parametrize("role", ["its answer", "its greeting"])
def test_a_node_does_not_take_its_own_proof_for_a_peers(start: Start, role: str) -> None:
    node = start()
    sock, _ = dial_tls(node.base.endpoint)
    with sock:
        sock.sendall(Connector(LinkIdentity(CLUSTER, b"unknown", 4711, "", 1 << 20), b"").greeting)
        answer = read_frame(sock)
        mine = answer[-32:] if role == "its answer" else answer[:-32]
        sock.sendall(struct.pack(">I", len(mine)) + mine)
        assert is_closed(sock)
    assert node.base.stats().get("links_made", 0) == 0


# -- who is no member of the cluster ---------------------------------------------------------------


def without_certificate() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols(protocols(CLUSTER))
    return made


def of_foreign_authority() -> ssl.SSLContext:
    made = context(FOREIGN)
    made.verify_mode = ssl.CERT_NONE
    return made


def with_forged_certificate() -> ssl.SSLContext:
    """It names the right issuer, whose key it does not have."""
    forger = Authority(FOREIGN)
    forger._key, honest = Authority(SECRET)._key, forger._key
    leaf = forger.leaf(time.time())
    forger._key = honest
    broken = bytearray(leaf.certificate)
    broken[-1] ^= 1
    pem = leaf.pem[: leaf.pem.index(b"-----BEGIN CERT")] + ssl.DER_cert_to_PEM_cert(bytes(broken)).encode()
    return context(SECRET, type(leaf)(bytes(broken), pem))


def out_of_date() -> ssl.SSLContext:
    return context(SECRET, Authority(SECRET).leaf(LATE))


STRANGERS = [
    (without_certificate, "not a fleet process"),
    (of_foreign_authority, "wrong secret"),
    (with_forged_certificate, "wrong secret"),
    (out_of_date, "certificate out of date: check the clocks"),
]


@pytest.mark.parametrize(("stranger", "reason"), STRANGERS)
def test_a_dialler_that_is_no_member_is_refused(
    start: Start, caplog: pytest.LogCaptureFixture, stranger: Any, reason: str
) -> None:
    node = start()
    recorder = node.createActor(Recorder)
    with dial(node.base.endpoint) as raw, suppress(OSError):
        sock = stranger().wrap_socket(raw)
        sock.sendall(frame([recorder.ident.local, 0, -2, "let me in"]))
        assert is_closed(sock)
    eventually(lambda: node.base.stats().get("refused_links") == 1)
    assert f"closed before it was a link: {reason}" in caplog.text
    assert node.ask(recorder, "what?", WAIT_S) == []
    assert node.base.stats().get("links_made", 0) == 0


def test_an_earlier_version_of_tls_is_refused_even_of_a_member(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    node = start()
    older = context()
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with dial(node.base.endpoint) as raw, pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        older.wrap_socket(raw)
    eventually(lambda: node.base.stats().get("refused_links") == 1)
    client = start(listen=None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        client.tell(remote_address(endpoint, "echo"), "hello")
        raw, _ = server.accept()
        listening = context(side=ssl.PROTOCOL_TLS_SERVER)
        listening.maximum_version = ssl.TLSVersion.TLSv1_2
        with raw, pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
            listening.wrap_socket(raw, server_side=True)
        eventually(lambda: client.base.link_errors() == {endpoint: "not a fleet process"})


@pytest.mark.parametrize(
    ("leaf", "authority", "reason"),
    [
        (Authority(FOREIGN).leaf(time.time()), FOREIGN, "wrong secret"),
        (Authority(SECRET).leaf(LATE), SECRET, "certificate out of date: check the clocks"),
    ],
)
def test_a_listener_that_is_no_member_is_refused(
    start: Start, leaf: Any, authority: bytes, reason: str
) -> None:
    client = start(listen=None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        client.tell(remote_address(endpoint, "echo"), "hello")
        raw, _ = server.accept()
        raw.settimeout(WAIT_S)
        listening = context(authority, leaf, ssl.PROTOCOL_TLS_SERVER)
        listening.verify_mode = ssl.CERT_NONE
        with raw, suppress(OSError):
            is_closed(listening.wrap_socket(raw, server_side=True))
        eventually(lambda: client.base.link_errors() == {endpoint: reason})


def test_a_server_of_another_kind_is_told_apart_from_one_with_another_secret(start: Start) -> None:
    """It speaks TLS, as every web server does."""
    client = start(listen=None)
    other = context(FOREIGN, None, ssl.PROTOCOL_TLS_SERVER)
    other.set_alpn_protocols(["http/1.1"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        client.tell(remote_address(endpoint, "echo"), "hello")
        raw, _ = server.accept()
        with raw, suppress(OSError):
            other.wrap_socket(raw, server_side=True)
        eventually(lambda: client.base.link_errors() == {endpoint: "not a fleet process"})


@pytest.mark.parametrize(
    "said", [frame(["echo", 0, -2, "hello"]), struct.pack(">I", 400) + bytes(400), b"GET / HTTP/1.1\r\n\r\n"]
)
def test_a_dialler_that_speaks_plain_text_is_refused(start: Start, said: bytes) -> None:
    node = start()
    recorder = node.createActor(Recorder, globalName="echo")
    with dial(node.base.endpoint) as sock:
        sock.sendall(said)
        assert is_closed(sock)
    assert node.ask(recorder, "what?", WAIT_S) == []
    assert node.base.stats()["refused_links"] == 1
