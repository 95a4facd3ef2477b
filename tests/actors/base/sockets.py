"""Sockets that speak the protocol of links by hand."""

import socket
import ssl
import struct
from collections.abc import Callable
from hashlib import sha256
from time import time
from typing import Any

import msgspec

from fleet.actors.base.certificates import Authority, Leaf
from fleet.actors.base.handshake import Connector, LinkIdentity, protocols
from fleet.actors.base.settings import split_endpoint
from fleet.actors.base.tls import load_leaf
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
        except (ConnectionError, ssl.SSLError):
            return b""
        if not more:
            return b""
        data += more
    return data[4:]


def is_closed(sock: socket.socket) -> bool:
    """The other side hangs up, sooner or later."""
    try:
        while sock.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return True


def context(
    authority: bytes = SECRET,
    leaf: Leaf | None = None,
    side: int = ssl.PROTOCOL_TLS_CLIENT,
    cluster: str = CLUSTER,
) -> ssl.SSLContext:
    """TLS as a process with this secret speaks it, or one that shows another certificate."""
    made = ssl.SSLContext(side)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=Authority(authority).certificate)
    made.set_alpn_protocols(protocols(cluster))
    load_leaf(made, leaf or Authority(authority).leaf(time()))
    return made


def dial_tls(endpoint: str) -> tuple[ssl.SSLSocket, bytes]:
    """TLS as a member of the cluster, no proof yet; and the binding of its channel."""
    leaf = Authority(SECRET).leaf(time())
    sock = context(SECRET, leaf).wrap_socket(dial(endpoint))
    theirs = sock.getpeercert(True)
    assert theirs is not None
    return sock, sha256(leaf.certificate).digest() + sha256(theirs).digest()


def join(endpoint: str, boot: int = 4711, claimed: str = "", frame_bytes_max: int = 1 << 20) -> ssl.SSLSocket:
    """A link made by hand, proven and ready for frames."""
    sock, binding = dial_tls(endpoint)
    connector = Connector(LinkIdentity(CLUSTER, SECRET, boot, claimed, frame_bytes_max), binding)
    sock.sendall(connector.greeting)
    sock.sendall(connector.answered(read_frame(sock))[1])
    return sock


def frame(*items: Any) -> bytes:
    body = msgspec.msgpack.encode(list(items))
    return struct.pack(">I", len(body)) + body


def reasons(system: Any) -> list[str]:
    return list(system.base.link_errors().values())
