"""Health probes over HTTP: what is answered, what is refused, and how little it can cost."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleet.actors.base import probes
from fleet.actors.base.probes import CONNECTIONS_MAX, REQUEST_BYTES_MAX, ProbeServer, Tell, bind_probes
from tests.actors.base.helpers import WAIT_S
from tests.support.waiting import eventually

Open = Callable[[Callable[[str, Tell], None]], int]


@pytest.fixture
def serve(start: Callable[..., Any]) -> Iterator[Open]:
    """A server in the loop of an actor system; returns its port."""
    system = start()
    servers: list[ProbeServer] = []

    def serve(ask: Callable[[str, Tell], None]) -> int:
        sock = bind_probes("127.0.0.1:0")
        base = system.base
        servers.append(base.run_in_loop(lambda: ProbeServer(base.reactor, sock, ("/live", "/ready"), ask)))
        return int(sock.getsockname()[1])

    yield serve
    for server in servers:
        system.base.run_in_loop(server.close)
        assert not server.open


def well(path: str, tell: Tell) -> None:
    tell(path == "/live", {"path": path})


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(answer.read() or "null")
    finally:
        connection.close()


def say(port: int, *pieces: bytes) -> bytes:
    """All that is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as sock:
        for piece in pieces:
            sock.sendall(piece)
        answer = b""
        while more := sock.recv(4096):
            answer += more
        return answer


def test_a_path_is_answered_with_200_or_503_and_json(serve: Open) -> None:
    port = serve(well)
    assert get(port, "/live") == (200, {"path": "/live"})
    assert get(port, "/ready") == (503, {"path": "/ready"})


def test_everything_else_is_refused(serve: Open) -> None:
    port = serve(well)
    assert get(port, "/")[0] == get(port, "/live/")[0] == get(port, "/live?x=1")[0] == 404
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get"):
        assert say(port, f"{method} /live HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 405 ")
    for request in (
        b"GET /live\r\n\r\n",
        b"\r\n\r\n",
        b"GET  /live HTTP/1.1\r\n\r\n",
        b"\xff\x00 \xfe\r\n\r\n",
    ):
        assert say(port, request).startswith(b"HTTP/1.1 400 ")


def test_a_request_may_come_in_pieces_and_not_be_long(serve: Open) -> None:
    port = serve(well)
    assert say(port, b"GET /li", b"ve HTTP/1.1\r\n", b"Host: a\r\n\r", b"\n").startswith(b"HTTP/1.1 200 ")
    assert get(port, "/live", padding="x" * (REQUEST_BYTES_MAX // 2))[0] == 200
    assert say(port, b"GET /live HTTP/1.1\r\nx: " + b"x" * REQUEST_BYTES_MAX).startswith(b"HTTP/1.1 431 ")


def test_a_request_is_answered_once_whatever_follows_it(serve: Open) -> None:
    request = b"GET /live HTTP/1.1\r\n\r\n"
    assert say(serve(well), request + request + b"x" * 10_000).count(b"HTTP/1.1") == 1


def test_an_answer_may_come_later_but_not_too_late(serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "ANSWER_S", 0.05)
    asked: list[Tell] = []
    port = serve(lambda path, tell: asked.append(tell))
    status, body = get(port, "/live")
    assert status == 503 and "no answer" in body["why"][0]
    asked.pop()(True, {})  # of a connection that is gone: harmless


def test_a_silent_connection_is_closed(serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "REQUEST_S", 0.05)
    assert say(serve(well), b"GET /live HTTP/1.1\r\n") == b""


def test_with_too_many_connections_the_oldest_is_closed(serve: Open) -> None:
    port = serve(well)
    silent = [
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) for _ in range(CONNECTIONS_MAX + 1)
    ]
    try:
        assert silent[0].recv(1) == b""
        assert get(port, "/live")[0] == 200
        silent[-1].sendall(b"GET /live HTTP/1.1\r\n\r\n")
        assert silent[-1].recv(12) == b"HTTP/1.1 200"
    finally:
        for sock in silent:
            sock.close()


def test_one_that_hangs_up_at_any_time_harms_nobody(serve: Open) -> None:
    port = serve(well)
    for piece in (b"", b"GET", b"GET /live HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
            sock.sendall(piece)
    eventually(lambda: get(port, "/live") == (200, {"path": "/live"}))
