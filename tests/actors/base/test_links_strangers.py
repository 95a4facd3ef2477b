"""Whoever else connects to the port, or answers in the place of a peer: it is refused, and harms nobody."""

import itertools
import os
import pickle
import socket
import ssl
import struct
import time
from hashlib import sha256
from typing import Any

import pytest
from thespian.actors import (
    PoisonMessage,
)

from fleet.actors.base import LinkRefused, remote_address
from fleet.actors.base.certificates import Authority
from fleet.actors.base.handshake import HANDSHAKE_BYTES_MAX, Acceptor, Connector, LinkIdentity, Refused
from fleet.versions import NEWEST, OLDEST, spoken
from tests.actors.base.helpers import CLUSTER, SECRET, WAIT_S, Echo, Recorder
from tests.actors.base.sockets import (
    Start,
    context,
    dial,
    dial_tls,
    frame,
    is_closed,
    join,
    read_frame,
    reasons,
)
from tests.support.waiting import eventually

# -- processes that do not belong together -------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"secret": b"another"}, "wrong secret"),
        ({"cluster": "another"}, "wrong cluster id"),
        ({"secret": b""}, "no secret"),
    ],
)
def test_a_stranger_is_refused_and_learns_why(start: Start, settings: Any, reason: str) -> None:
    node, stranger = start(), start(listen=None, **settings)
    echo = node.createActor(Echo)
    watcher = stranger.createActor(Recorder)
    stranger.tell(watcher, "links")
    assert stranger.ask(watcher, "what?", WAIT_S) == []
    assert stranger.ask(echo, "let me in", 0.05) is None
    eventually(lambda: reasons(stranger) == [reason])
    endpoint = node.base.endpoint
    assert stranger.ask(watcher, "what?", WAIT_S)[0] == LinkRefused(endpoint, reason)
    assert node.base.stats()["links_up"] == 0
    assert node.ask(echo, "still here", WAIT_S) == "still here"


def test_a_refused_endpoint_is_known_and_forgotten_once_it_answers(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        endpoint = f"127.0.0.1:{reserved.getsockname()[1]}"
    client = start(listen=None)
    echo = remote_address(endpoint, "echo")
    assert client.ask(echo, "hello", 0.02) is None
    eventually(lambda: client.base.link_errors() == {endpoint: "refused"})
    node = start(listen=endpoint)
    node.createActor(Echo, globalName="echo")
    assert eventually(lambda: client.ask(echo, "hello", 0.1)) == "hello"
    assert client.base.link_errors() == {}


def test_a_peer_that_keeps_failing_is_logged_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    node, stranger = start(), start(listen=None, secret=b"another")
    echo = node.createActor(Echo)

    def tried_again() -> bool:
        stranger.tell(echo, "let me in")
        return bool(stranger.base.stats().get("failed_attempts", 0) >= 3)

    eventually(tried_again)
    refusals = [record for record in caplog.records if "wrong secret" in record.getMessage()]
    assert len(refusals) == 2, "one on each side"


def test_attempts_back_off_however_much_is_sent(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        endpoint = f"127.0.0.1:{reserved.getsockname()[1]}"
    client = start(listen=None)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        client.tell(remote_address(endpoint, "echo"), "hello")
        client.base.stats()
    stats = client.base.stats()
    assert 2 <= stats["failed_attempts"] <= 12
    assert stats["dropped_unconnected"] > 100
    assert stats["waiting_bytes"] == 0


# -- the port is open to anybody --------------------------------------------------------------------------


class Bomb:
    """Unpickling it leaves a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (self.path,))


def test_s68_a_pickle_is_never_loaded_whoever_sends_it(start: Start, tmp_path: Any) -> None:
    node = start()
    echo = node.createActor(Echo)
    path = str(tmp_path / "bomb")
    bomb = pickle.dumps(Bomb(path))
    item = [echo.ident.local, 1, -1, bomb]
    raw = struct.pack(">I", len(bomb)) + bomb
    for data in (raw, frame(item), frame([bomb, bytes(32)]), frame([item])):
        for sock in (dial(node.base.endpoint), dial_tls(node.base.endpoint)[0]):
            with sock:
                sock.sendall(data * 3)
                assert is_closed(sock)
    assert not os.path.exists(path)
    with join(node.base.endpoint) as sock:
        sock.sendall(frame(item))
        assert is_closed(sock)
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 100, bytes(range(256)) * 20, b""]
)
def test_garbage_closes_the_connection_and_harms_nobody(start: Start, garbage: bytes) -> None:
    node = start()
    echo = node.createActor(Echo)
    with dial(node.base.endpoint) as sock:
        sock.sendall(garbage)
        if not garbage:
            sock.shutdown(socket.SHUT_WR)
        assert is_closed(sock)
    assert node.ask(echo, "hello", WAIT_S) == "hello"
    eventually(lambda: node.base.stats()["unproved"] == 0)


NESTED = b"\x93\xc4\x00\xc4\x00" + b"\x91" * 2000 + b"\xc0"
"""Three elements, the third one deeper than the interpreter's stack."""


def test_s66_nested_bytes_of_a_stranger_close_his_connection_and_harm_nobody(start: Start) -> None:
    """2,010 bytes ended a node: RecursionError of a decoder that saw them before the proof."""
    node = start()
    echo = node.createActor(Echo)
    for body in (NESTED, NESTED[1:], NESTED[5:-1], NESTED[:346]):
        for sock in (dial(node.base.endpoint), dial_tls(node.base.endpoint)[0]):
            with sock:
                sock.sendall(struct.pack(">I", len(body)) + body)
                assert is_closed(sock)
    assert node.ask(echo, "hello", WAIT_S) == "hello"
    eventually(lambda: node.base.stats()["unproved"] == 0)


def test_s66_a_hostile_listener_closes_its_connection_and_harms_nobody(start: Start) -> None:
    node = start()
    echo = node.createActor(Echo)
    listening = context(side=ssl.PROTOCOL_TLS_SERVER)
    for body, is_member in itertools.product((NESTED, NESTED[:HANDSHAKE_BYTES_MAX]), (False, True)):
        with socket.create_server(("127.0.0.1", 0)) as server:
            endpoint = f"127.0.0.1:{server.getsockname()[1]}"
            node.tell(remote_address(endpoint, "echo"), "hello")
            sock, _ = server.accept()
            if is_member:
                sock = listening.wrap_socket(sock, server_side=True)
            with sock:
                sock.sendall(struct.pack(">I", len(body)) + body)
                assert is_closed(sock)
                eventually(lambda: endpoint in node.base.link_errors())
    assert node.ask(echo, "hello", WAIT_S) == "hello"


def test_s66_nested_bytes_of_a_proven_peer_close_its_link_and_harm_nobody(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    node = start()
    echo = node.createActor(Echo)
    for body in (NESTED, NESTED[5:], b"\x91\x94\x01\x01\x01" + NESTED[5:]):
        with join(node.base.endpoint) as sock:
            where = f"127.0.0.1:{sock.getsockname()[1]}"
            sock.sendall(struct.pack(">I", len(body)) + body)
            assert is_closed(sock)
    assert node.ask(echo, "hello", WAIT_S) == "hello"
    assert node.base.stats()["links_up"] == 0
    lines = [record.getMessage() for record in caplog.records if "closed: " in record.getMessage()]
    assert len(lines) == 1 and "127.0.0.1:" in lines[0] and where not in lines[0]


def test_another_process_in_the_place_of_one_that_proved_to_be_this_endpoint_is_refused(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        endpoint = f"127.0.0.1:{reserved.getsockname()[1]}"
    client, first = start(listen=None), start(listen=endpoint)
    first.createActor(Echo, globalName="echo")
    echo = remote_address(endpoint, "echo")
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    first.shutdown()
    other = start(listen=endpoint, advertise="another.example:1")
    other.createActor(Echo, globalName="echo")

    def is_refused() -> bool:
        assert client.ask(echo, "hello", 0.02) is None
        return bool(client.base.link_errors() == {endpoint: "another endpoint"})

    eventually(is_refused)
    fresh = start(listen=None)  # to which that endpoint is but another name
    assert fresh.ask(echo, "hello", WAIT_S) == "hello"


def test_a_length_over_the_limit_closes_the_link_before_and_after_the_handshake(start: Start) -> None:
    node = start(frame_bytes_max=100_000)
    with dial_tls(node.base.endpoint)[0] as sock:
        sock.sendall(struct.pack(">I", HANDSHAKE_BYTES_MAX + 1))
        assert is_closed(sock)
    with join(node.base.endpoint) as sock:
        sock.sendall(struct.pack(">I", 100_001))
        assert is_closed(sock)
    assert node.base.stats()["bad_frames"] == 2


@pytest.mark.parametrize(
    "item",
    [
        "no item",
        (1, "no such tag", 0),
        (1, -1, b"a pickle"),
        (1, -2, []),
        (1, -2, {"nested": 1}),
        (1, -3, [-3, [-2, "poison", "in"], "poison"]),
        (1, "test.where", ["test.where", ["there:1", 5, 1]]),
        (1, "test.where", {"type": "test.where", "address": ["there:1", 5, "x" * 1000]}),
        (1, "test.where", {"type": "test.where", "address": ["there:1", -5, 1]}),
        (1, "test.where", {"type": "test.where", "address": ["t" * 1000, 5, 1]}),
        (1, "test.where", {"type": "test.where", "address": 7}),
        ("x" * 1000, -2, 0),
        (1.5, -2, 0),
    ],
)
def test_s68_a_message_that_is_none_closes_its_link_and_harms_nobody(start: Start, item: Any) -> None:
    node = start()
    recorder = node.createActor(Recorder)
    local = recorder.ident.local
    with join(node.base.endpoint) as sock:
        sock.sendall(frame((local, 1, -2, "good"), (local, *item) if isinstance(item, tuple) else item))
        assert is_closed(sock)
    assert set(node.ask(recorder, "what?", WAIT_S)) <= {"good"}
    assert node.base.stats()["bad_frames"] == 1


def test_s68_what_is_not_registered_is_poison_at_home_and_the_link_lives(start: Start) -> None:
    node, client = start(), start(listen=None)
    echo = node.createActor(Echo)
    for message in ([1], {"n": 1}, (1, 2), echo, 2**64):
        poison = client.ask(echo, message, WAIT_S)
        assert isinstance(poison, PoisonMessage) and poison.poisonMessage is message
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    assert client.base.stats()["links_made"] == 1


def test_s68_an_endpoint_that_is_none_is_no_more_than_a_failed_attempt(start: Start) -> None:
    """A port of 5,000 digits ended a node: int() refuses as many, with an error that nobody expected."""
    node = start()
    echo = node.createActor(Echo)
    for endpoint in (
        "host:" + "9" * 5000,
        "[" * 3000,
        "h\ud800:1",
        ":",
        "a:65536",
        "127.0.0.1:000001",
        "\x00:1",
        "h" * 400 + ":1",
    ):
        assert node.ask(remote_address(endpoint, "echo"), "hello", 0.01) is None
        assert node.base.link_errors()[endpoint] == "bad endpoint"
    assert node.ask(echo, "hello", WAIT_S) == "hello"


def test_a_crowd_of_strangers_does_not_keep_a_member_out(start: Start) -> None:
    node = start(unproved_max=10, handshake_ms_max=60_000)
    crowd = [dial(node.base.endpoint) for _ in range(40)]
    eventually(lambda: node.base.stats().get("refused_links") == 30)
    client = start(listen=None)
    assert client.ask(node.createActor(Echo), "hello", WAIT_S) == "hello"
    assert node.base.stats()["unproved"] <= 10
    for sock in crowd:
        sock.close()


def test_a_server_that_is_no_fleet_process_is_recognized(start: Start) -> None:
    client = start(listen=None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        client.tell(remote_address(endpoint, "echo"), "hello")
        sock, _ = server.accept()
        with sock:
            sock.sendall(struct.pack(">I", 20) + b"220 mail.example.com")
            eventually(lambda: client.base.link_errors() == {endpoint: "not a fleet process"})


# -- processes of other versions -----------------------------------------------------------------------


LATER = NEWEST + 1


def later_identity(boot: int) -> LinkIdentity:
    return LinkIdentity(CLUSTER, SECRET, boot, "", 1 << 20, oldest=LATER, newest=LATER + 1)


def test_a_dialler_without_a_common_version_is_refused_and_learns_both_ranges(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    node = start()
    sock, binding = dial_tls(node.base.endpoint)
    connector = Connector(later_identity(4711), binding)
    with sock:
        sock.sendall(connector.greeting)
        with pytest.raises(Refused) as refused:
            connector.answered(read_frame(sock))
        assert is_closed(sock)
    ours, theirs = spoken(OLDEST, NEWEST), spoken(LATER, LATER + 1)
    assert f"wrong version: it speaks {ours}, and this process {theirs}" in refused.value.reason
    eventually(lambda: f"wrong version: it speaks {theirs}, and this process {ours}" in caplog.text)
    assert node.base.stats()["links_up"] == 0


def test_a_listener_without_a_common_version_is_given_up_and_its_range_is_told(start: Start) -> None:
    client = start(listen=None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"127.0.0.1:{server.getsockname()[1]}"
        client.tell(remote_address(endpoint, "echo"), "hello")
        sock, _ = server.accept()
        leaf = Authority(SECRET).leaf(time.time())
        sock = context(SECRET, leaf, ssl.PROTOCOL_TLS_SERVER).wrap_socket(sock, server_side=True)
        with sock:
            theirs = sock.getpeercert(True)
            assert theirs is not None
            binding = sha256(theirs).digest() + sha256(leaf.certificate).digest()
            acceptor = Acceptor(later_identity(1), binding)
            sock.sendall(acceptor.greeted(read_frame(sock)))
            assert is_closed(sock)
    (reason,) = eventually(lambda: reasons(client))
    assert f"wrong version: it speaks {spoken(LATER, LATER + 1)}" in reason and "newer release here" in reason
