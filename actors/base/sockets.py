"""Sockets of links: how one is made, and what its errors are called."""

import errno
import socket
from typing import Any

from fleet.actors.base.settings import LinkSettings
from fleet.system.sockets import fail_when_silent, non_blocking

_REASONS = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ECONNRESET: "closed",
    errno.EPIPE: "closed",
}


def reason_of(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, error.strerror or "error")


def prepare(sock: socket.socket, settings: LinkSettings) -> None:
    """Nothing waits for company, and the end of the peer's host is noticed. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fail_when_silent(sock, settings.dead_after_ms)


def connecting(family: int, where: Any, settings: LinkSettings) -> socket.socket:
    """One that connects to this address, or has. Raises OSError: it cannot."""
    sock = non_blocking(family)
    try:
        prepare(sock, settings)
        sock.connect(where)
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        raise
    return sock
