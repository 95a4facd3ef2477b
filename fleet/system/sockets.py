"""When TCP takes the host of a peer for dead."""

import socket
import sys
from contextlib import suppress

from fleet.system import PORTABLE

if sys.platform == "linux" and not PORTABLE:
    KEEP_IDLE = socket.TCP_KEEPIDLE

    def _limit_unanswered(sock: socket.socket, dead_after_ms: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, dead_after_ms)

else:
    KEEP_IDLE = getattr(socket, "TCP_KEEPALIVE", 4)
    """macOS's name for it, or Linux's number."""
    TCP_RXT_CONNDROPTIME = 0x80
    """Of macOS's <netinet/tcp.h>, in seconds; Python has no name for it."""

    def _limit_unanswered(sock: socket.socket, dead_after_ms: int) -> None:
        with suppress(OSError):  # an option that this system does not know
            sock.setsockopt(socket.IPPROTO_TCP, TCP_RXT_CONNDROPTIME, max(1, dead_after_ms // 1000))


def fail_when_silent(sock: socket.socket, dead_after_ms: int) -> None:
    """Fail the connection when the peer's host was silent for so long, idle or not. Raises OSError."""
    dead_s = max(1, dead_after_ms // 1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, KEEP_IDLE, max(1, dead_s // 2))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, max(1, dead_s - dead_s // 2))
    _limit_unanswered(sock, dead_after_ms)


def non_blocking(family: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A new socket, which child processes do not inherit. Raises OSError."""
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    return sock
