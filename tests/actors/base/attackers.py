"""Who is in between two processes, or answers in the place of one, without knowing the secret."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from fleet.actors.base.settings import split_endpoint
from tests.actors.base.helpers import WAIT_S

Tamper = Callable[[str, bytes], bytes]


class InTheMiddle:
    """Takes one connection after another and passes on what both ends say, by way of `tamper(end, data)`.

    `end` is "dialler" or "target", whoever says it. `said` has all that was said, and `inject` adds to the
    last connection.
    """

    def __init__(self, target: str, tamper: Tamper = lambda end, data: data) -> None:
        self.target = target
        self.tamper = tamper
        self.said: list[tuple[str, bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.ends: dict[str, socket.socket] = {}
        self._all: list[socket.socket] = [self.listener]
        self._threads = [threading.Thread(target=self._serve, name="in the middle")]
        self._threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                dialler, _ = self.listener.accept()
                self._all.append(dialler)
                target = socket.create_connection(split_endpoint(self.target), WAIT_S)
                self._all.append(target)
                self.ends = {"dialler": dialler, "target": target}
                for end, other in (("dialler", target), ("target", dialler)):
                    words = (end, self.ends[end], other)
                    thread = threading.Thread(target=self._pass_on, args=words, name="in the middle")
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, end: str, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self.said.append((end, data))
                sink.sendall(self.tamper(end, data))
        for sock in (source, sink):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def inject(self, end: str, data: bytes) -> None:
        """Say this to that end, in the place of the other one."""
        with suppress(OSError):
            self.ends[end].sendall(data)

    def said_by(self, end: str) -> bytes:
        return b"".join(data for who, data in self.said if who == end)

    def close(self) -> None:
        for sock in self._all:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(WAIT_S)
