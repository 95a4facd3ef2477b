"""Answers health probes over HTTP, on the loop of the actors: GET of a few paths, and nothing else.

Anybody may connect. So a request is small, soon there, and answered once; there are few connections at a
time, and nothing of a request is used but its method and its path, which are compared with known ones.
"""

import json
import socket
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from fleet.actors.base.link import Events
from fleet.actors.base.listener import Listener
from fleet.actors.base.names import addresses
from fleet.actors.base.settings import split_endpoint
from fleet.system.poll import READ
from fleet.system.sockets import non_blocking

REQUEST_BYTES_MAX = 4096
REQUEST_S = 5.0
"""How long a connection may stay open."""
ANSWER_S = 1.0
"""How long an answer may take: probes of Kubernetes wait for one second by default."""
CONNECTIONS_MAX = 32
"""One more closes the oldest."""
READ_BYTES = 4096
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}

Tell: TypeAlias = Callable[[bool, Mapping[str, Any]], None]
"""Takes whether it is well, and the body."""
Ask: TypeAlias = Callable[[str, Tell], None]
"""Has a path answered, now or later, or never."""


def bind_probes(listen: str) -> socket.socket:
    """A listening, non-blocking socket. Raises OSError: the address cannot be used, or not be resolved."""
    family, where = addresses(*split_endpoint(listen))[0]
    sock = non_blocking(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(CONNECTIONS_MAX)
    except BaseException:
        sock.close()
        raise
    return sock


class ProbeServer:
    """Create and close it in the loop's thread, or close it when the loop has ended."""

    def __init__(self, reactor: Events, sock: socket.socket, paths: Collection[str], ask: Ask) -> None:
        self.reactor = reactor
        self.paths = frozenset(paths)
        self.ask = ask
        self.open: dict[int, Probe] = {}
        """By descriptor, the oldest first."""
        self._sock = sock
        self._listener = Listener(reactor, sock, self._accepted)

    def close(self) -> None:
        self.reactor.remove(self._sock.fileno())
        self._listener.close()
        for probe in list(self.open.values()):
            probe.close()

    def _accepted(self, sock: socket.socket, address: str) -> None:
        if len(self.open) >= CONNECTIONS_MAX:
            next(iter(self.open.values())).close()
        self.open[sock.fileno()] = Probe(self, sock)


class Probe:
    """One connection. Invariant: it is in `server.open` until it is closed, and is answered at most once."""

    def __init__(self, server: ProbeServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.received = b""
        self.is_read = False
        """The request is complete; what arrives further is thrown away."""
        self.is_answered = False
        self.is_closed = False
        server.reactor.add(sock.fileno(), READ, self._readable)
        server.reactor.call_at(server.reactor.now() + REQUEST_S, self.close)

    def close(self) -> None:
        """Idempotent."""
        if not self.is_closed:
            self.is_closed = True
            del self.server.open[self.sock.fileno()]
            self.server.reactor.remove(self.sock.fileno())
            self.sock.close()

    def _readable(self, mask: int) -> None:
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif not self.is_read:
            self.received += data
            head, end, _ = self.received.partition(b"\r\n\r\n")
            if end or len(self.received) > REQUEST_BYTES_MAX:
                self.is_read = True
                self._handle(head if end and len(head) <= REQUEST_BYTES_MAX else None)

    def _handle(self, head: bytes | None) -> None:
        if head is None:
            self._answer(431, {"error": f"a request has at most {REQUEST_BYTES_MAX} bytes"})
            return
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            self._answer(400, {"error": "this is not a request of HTTP/1.1"})
        elif words[0] != b"GET":
            self._answer(405, {"error": "only GET is answered"})
        elif (path := words[1].decode("latin-1")) not in self.server.paths:
            self._answer(404, {"error": f"ask for {' or '.join(sorted(self.server.paths))}"})
        else:
            now = self.server.reactor.now()
            self.server.reactor.call_at(now + ANSWER_S, self._give_up)
            self.server.ask(path, self._tell)

    def _tell(self, is_well: bool, body: Mapping[str, Any]) -> None:
        self._answer(200 if is_well else 503, body)

    def _give_up(self) -> None:
        self._answer(503, {"why": [f"no answer within {ANSWER_S:g} s"]})

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        """It fits into the buffer of a socket. The other side closes the connection, or time does."""
        if self.is_closed or self.is_answered:
            return
        self.is_answered = True
        content = json.dumps(body).encode() + b"\n"
        head = [
            f"HTTP/1.1 {status} {REASONS[status]}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            "Cache-Control: no-store",
            "Connection: close",
            *(["Allow: GET"] if status == 405 else []),
        ]
        try:
            self.sock.send("\r\n".join(head).encode() + b"\r\n\r\n" + content)
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
