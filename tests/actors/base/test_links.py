"""Links between systems, and everybody else who may knock at the port. Real sockets on loopback."""

import os
import pickle
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from thespian.actors import (
    Actor,
    ActorSystemConventionUpdate,
    DeadEnvelope,
    PoisonMessage,
    ThespianWatch,
)

from fleet.actors.base import ActorId, Address, LinkRefused, remote_address
from fleet.actors.base.handshake import HANDSHAKE_BYTES_MAX, Acceptor, Connector, Identity
from fleet.actors.base.settings import split_endpoint
from tests.actors.base.helpers import CLUSTER, SECRET, WAIT_S, Echo, Recorder, Relay, Send, Where
from tests.support.waiting import eventually

Start = Callable[..., Any]


def dial(endpoint: str) -> socket.socket:
    sock = socket.create_connection(split_endpoint(endpoint), timeout=WAIT_S)
    return sock


def read_frame(sock: socket.socket) -> bytes:
    """One frame without its length; b"" at the end."""
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
        try:
            more = sock.recv(1 if len(data) < 4 else 4 + struct.unpack(">I", data[:4])[0] - len(data))
        except ConnectionError:
            return b""
        if not more:
            return b""
        data += more
    return data[4:]


def is_closed(sock: socket.socket) -> bool:
    """The other side hangs up, sooner or later."""
    while read_frame(sock):
        pass
    return True


def join(endpoint: str, secret: bytes = SECRET, boot: int = 4711, claimed: str = "") -> socket.socket:
    """A link made by hand, proven and ready for frames."""
    sock = dial(endpoint)
    connector = Connector(Identity(CLUSTER, secret, boot, claimed, 1 << 20))
    sock.sendall(connector.greeted(read_frame(sock)))
    connector.admitted(read_frame(sock))
    return sock


def frame(*items: Any) -> bytes:
    body = msgspec.msgpack.encode(list(items))
    return struct.pack(">I", len(body)) + body


def reasons(system: Any) -> list[str]:
    return list(system.base.link_errors().values())


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint whose host takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An endpoint that does not even complete a connect: its queue of connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        where = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(where)
            fillers.append(filler)
        yield f"127.0.0.1:{where[1]}"
        for filler in fillers:
            filler.close()


# -- two systems that belong together ----------------------------------------------------------------


def test_messages_go_both_ways_and_answers_come_over_the_clients_link(start: Start) -> None:
    node, client = start(), start(listen=None)
    node.createActor(Echo, globalName="echo")
    echo = remote_address(node.base.endpoint, "echo")
    assert client.ask(echo, "the very first message", WAIT_S) == "the very first message"
    relay = client.createActor(Relay)
    assert client.ask(relay, Send(echo, "relayed"), WAIT_S) == "relayed"
    assert node.base.stats()["links_up"] == 1
    assert client.base.stats().get("dropped_unconnected", 0) == 0


def test_order_is_kept_between_processes_and_from_the_first_message(start: Start) -> None:
    patient = {"connect_ms_max": 60_000, "handshake_ms_max": 60_000, "waiting_ms_max": 60_000}
    node, client = start(**patient), start(listen=None, **patient)
    recorder = node.createActor(Recorder)
    for number in range(3000):
        client.tell(recorder, number)
    eventually(lambda: node.ask(recorder, "what?", WAIT_S) == list(range(3000)))


def test_addresses_travel_and_mean_the_same_everywhere(start: Start) -> None:
    one, two, client = start(), start(), start(listen=None)
    echo = one.createActor(Echo)
    relay = two.createActor(Relay)
    assert client.ask(relay, Send(echo, "hello"), WAIT_S) == "hello"
    assert client.ask(echo, Where(echo), WAIT_S) == Where(echo)


def test_large_messages_cross_a_link(start: Start) -> None:
    node, client = start(), start(listen=None)
    echo = node.createActor(Echo)
    assert client.ask(echo, "the link is up", WAIT_S) == "the link is up"
    big = os.urandom(20_000_000)
    assert client.ask(echo, big, WAIT_S) == big


def test_a_raising_actor_poisons_its_sender_across_processes(start: Start) -> None:
    node, client = start(), start(listen=None)
    broken = node.createActor(Broken)
    poison = client.ask(broken, "hello", WAIT_S)
    assert isinstance(poison, PoisonMessage) and poison.poisonMessage == "hello"
    assert "cannot stand it" in poison.details


class Broken(Actor):
    def receiveMessage(self, message: Any, sender: Any) -> None:
        raise ValueError("cannot stand it")


def test_a_host_name_is_resolved_without_stopping_the_loop(start: Start) -> None:
    node, client = start(), start(listen=None)
    node.createActor(Echo, globalName="echo")
    port = node.base.endpoint.rpartition(":")[2]
    assert client.ask(remote_address(f"localhost:{port}", "echo"), "hello", WAIT_S) == "hello"
    assert client.ask(remote_address(node.base.endpoint, "echo"), "hello", WAIT_S) == "hello"
    assert client.base.stats()["links_made"] == 1
    assert client.ask(remote_address("no.such.host.invalid:1", "echo"), "hello", 0.01) is None
    eventually(lambda: reasons(client) == ["unresolvable"])


def test_a_process_may_reach_itself_by_another_name(start: Start) -> None:
    node = start()
    node.createActor(Echo, globalName="echo")
    port = node.base.endpoint.rpartition(":")[2]
    assert node.ask(remote_address(f"localhost:{port}", "echo"), "hello", WAIT_S) == "hello"


def test_links_run_over_ipv6(start: Start) -> None:
    try:
        node = start(listen="[::1]:0")
    except OSError:
        pytest.skip("no IPv6 here")
    echo = node.createActor(Echo)
    assert start(listen=None).ask(echo, "hello", WAIT_S) == "hello"


def test_what_cannot_be_sent_comes_back_as_poison(start: Start) -> None:
    node, client = start(), start(listen=None)
    echo = node.createActor(Echo)
    unsendable = (n for n in range(3))
    first = client.ask(echo, unsendable, WAIT_S)
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    for poison in (first, client.ask(echo, unsendable, WAIT_S)):
        assert isinstance(poison, PoisonMessage) and poison.poisonMessage is unsendable
    assert client.ask(echo, "the link lives", WAIT_S) == "the link lives"


def test_a_message_over_the_peers_limit_is_poison_at_home_and_the_link_lives(start: Start) -> None:
    node, client = start(frame_bytes_max=10_000), start(listen=None)
    echo = node.createActor(Echo)
    assert client.ask(echo, bytes(9000), WAIT_S) == bytes(9000)
    poison = client.ask(echo, bytes(20_000), WAIT_S)
    assert isinstance(poison, PoisonMessage) and "10000" in poison.details
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    assert client.base.stats()["links_made"] == 1


def test_a_client_that_left_is_a_dead_letter(start: Start) -> None:
    node, client = start(), start(listen=None)
    handler = node.createActor(Recorder)
    node.tell(handler, "dead letters")
    echo = node.createActor(Echo)
    client.ask(echo, "hello", WAIT_S)
    outsider = client.base._external._address
    client.shutdown()
    eventually(lambda: node.base.stats()["links_up"] == 0)
    node.tell(outsider, "too late")
    assert node.ask(handler, "what?", WAIT_S) == [DeadEnvelope(outsider, "too late")]


def test_actors_that_asked_hear_of_peers_coming_and_going(start: Start) -> None:
    node, client = start(), start(listen=None)
    watcher = client.createActor(Recorder)
    client.tell(watcher, "links")
    echo = node.createActor(Echo)
    client.ask(echo, "hello", WAIT_S)
    there = Address(ActorId(node.base.endpoint, node.base.boot, 0))
    assert client.ask(watcher, "what?", WAIT_S) == [ActorSystemConventionUpdate(there, {}, True)]
    node.shutdown()
    seen = eventually(lambda: client.ask(watcher, "what?", WAIT_S)[1:])
    assert seen == [ActorSystemConventionUpdate(there, {}, False)]


def test_the_first_messages_to_a_healthy_peer_wait_in_a_small_buffer(start: Start) -> None:
    node, client = start(), start(listen=None, waiting_bytes_max=1000)
    recorder = node.createActor(Recorder)

    def burst() -> None:
        for number in range(100):
            client.base.kernel.send(recorder, client.base._external._address, bytes([number]) * 100)

    client.base.run_in_loop(burst)
    seen = eventually(lambda: node.ask(recorder, "what?", WAIT_S))
    assert 5 <= len(seen) <= 10
    assert client.base.stats()["dropped_waiting"] >= 90


def test_a_link_with_the_number_of_a_descriptor_that_an_actor_closed_lives_on(start: Start) -> None:
    class Reader(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> Any:
            self.send(sender, "ok")
            return ThespianWatch([message]) if isinstance(message, int) else None

    node, client = start(), start(listen=None)
    echo = node.createActor(Echo)
    reader = client.createActor(Reader)
    readable, writable = os.pipe()
    assert client.ask(reader, readable, WAIT_S) == "ok"
    os.close(readable)
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    assert os.readlink(f"/proc/self/fd/{readable}").startswith("socket:")
    assert client.ask(reader, "no longer", WAIT_S) == "ok"
    assert client.ask(echo, "hello", WAIT_S) == "hello"
    os.close(writable)


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
        with dial(node.base.endpoint) as sock:
            read_frame(sock)
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
    for body in (NESTED, NESTED[1:], NESTED[5:-1], NESTED[:400]):
        with dial(node.base.endpoint) as sock:
            sock.sendall(struct.pack(">I", len(body)) + body)
            assert is_closed(sock)
    assert node.ask(echo, "hello", WAIT_S) == "hello"
    eventually(lambda: node.base.stats()["unproved"] == 0)


def test_s66_a_hostile_listener_closes_its_connection_and_harms_nobody(start: Start) -> None:
    node = start()
    echo = node.createActor(Echo)
    greeting = Acceptor(Identity(CLUSTER, SECRET, 4711, "", 1 << 20)).greeting
    nested = b"\x93\xa5fleet\x01" + NESTED[5:]
    for data in (struct.pack(">I", len(nested)) + nested, greeting + struct.pack(">I", 400) + NESTED[:400]):
        with socket.create_server(("127.0.0.1", 0)) as server:
            endpoint = f"127.0.0.1:{server.getsockname()[1]}"
            node.tell(remote_address(endpoint, "echo"), "hello")
            sock, _ = server.accept()
            with sock:
                sock.sendall(data)
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
    with dial(node.base.endpoint) as sock:
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


def test_whoever_does_not_prove_himself_is_hung_up_on(start: Start) -> None:
    node = start(handshake_ms_max=50)
    with dial(node.base.endpoint) as sock:
        assert read_frame(sock)
        assert is_closed(sock)


def test_a_crowd_of_strangers_does_not_keep_a_member_out(start: Start) -> None:
    node = start(unproved_max=10, handshake_ms_max=60_000)
    crowd = [dial(node.base.endpoint) for _ in range(40)]
    eventually(lambda: node.base.stats()["refused_links"] == 30)
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
        for number in range(2000):
            node.tell(Address(ActorId("", 4711, number)), bytes(5000))
        assert client.ask(recorder, "what?", 0.01) is None
        numbers: list[int] = []
        while len(numbers) < 2000:
            numbers += [dst for dst, *_ in msgspec.msgpack.decode(read_frame(slow))]
        assert numbers == list(range(2000))
