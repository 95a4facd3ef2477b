"""The other process of a round trip: `python -m tests.benchmarks.echo FD`, where FD is a connected socket.

A frame is four bytes of length, one byte of kind, and the rest. RAW comes back as it is; CALLS is a list of
numbers in msgpack, of which each comes back as its successor.
"""

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import msgpack

HEAD = struct.Struct("<IB")
RAW, CALLS = 0, 1
_numbers = msgpack.Decoder(list[int])


def receive(sock: socket.socket) -> tuple[int, bytes]:
    """Raises EOFError at the end."""
    size, kind = HEAD.unpack(receive_exactly(sock, HEAD.size))
    return kind, receive_exactly(sock, size)


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = sock.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def send(sock: socket.socket, kind: int, body: bytes) -> None:
    sock.sendall(HEAD.pack(len(body), kind) + body)


def ask(sock: socket.socket, body: bytes) -> None:
    send(sock, RAW, body)
    assert receive(sock) == (RAW, body)


def call(sock: socket.socket, numbers: list[int]) -> None:
    send(sock, CALLS, msgpack.encode(numbers))
    assert _numbers.decode(receive(sock)[1])[-1] == numbers[-1] + 1


def serve(sock: socket.socket) -> None:
    while True:
        try:
            kind, body = receive(sock)
        except EOFError:
            return
        if kind == CALLS:
            body = msgpack.encode([number + 1 for number in _numbers.decode(body)])
        send(sock, kind, body)


@contextmanager
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    for end in (ours, theirs):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with served(ours, theirs):
        yield ours


@contextmanager
def pair() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with served(ours, theirs):
        yield ours


@contextmanager
def served(ours: socket.socket, theirs: socket.socket) -> Iterator[None]:
    command = [sys.executable, "-m", __name__, str(theirs.fileno())]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()]):
        theirs.close()
        try:
            ask(ours, b"ready")
            yield
        finally:
            ours.close()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        serve(sock)
