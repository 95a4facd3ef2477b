"""Sockets that speak the protocol of links by hand."""

import socket
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from fleet.actors.base.handshake import Connector, LinkIdentity
from fleet.actors.base.settings import split_endpoint
from tests.actors.base.helpers import CLUSTER, SECRET, WAIT_S

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
    connector = Connector(LinkIdentity(CLUSTER, secret, boot, claimed, 1 << 20))
    sock.sendall(connector.greeted(read_frame(sock)))
    connector.admitted(read_frame(sock))
    return sock


def frame(*items: Any) -> bytes:
    body = msgspec.msgpack.encode(list(items))
    return struct.pack(">I", len(body)) + body


def reasons(system: Any) -> list[str]:
    return list(system.base.link_errors().values())
