"""A descriptor that one thread makes readable and another waits for: an `eventfd`, or a pair of sockets."""

import errno
import os
import socket
import sys
from collections.abc import Callable
from functools import partial

from fleet.system import PORTABLE


class Wakeup:
    """`set()` makes `fd` readable until `clear()`, from any thread; neither blocks.

    `clear` raises BlockingIOError when it was not set. After `close`, `fd` is -1 and both raise OSError.

    Raises:
        OSError: no descriptor is left.
    """

    __slots__ = ("fd", "set", "clear", "_close")

    fd: int
    set: Callable[[], object]
    clear: Callable[[], object]
    _close: Callable[[], None]

    def __init__(self) -> None:
        self.fd, self.set, self.clear, self._close = _open()

    def close(self) -> None:
        """Idempotent."""
        if self.fd >= 0:
            self.fd = -1
            self.set = self.clear = _refuse  # the number may soon be another descriptor's
            self._close()


def _refuse() -> None:
    raise OSError(errno.EBADF, "the wake-up is closed")


if sys.platform == "linux" and not PORTABLE:

    def _open() -> tuple[int, Callable[[], object], Callable[[], object], Callable[[], None]]:
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return fd, partial(os.eventfd_write, fd, 1), partial(os.eventfd_read, fd), partial(os.close, fd)

else:

    def _open() -> tuple[int, Callable[[], object], Callable[[], object], Callable[[], None]]:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)

        def close() -> None:
            reader.close()
            writer.close()

        return reader.fileno(), partial(_send, writer), partial(reader.recv, _SIGNALS_MAX), close


_SIGNAL = b"\0"
_SIGNALS_MAX = 1 << 16
"""More than a socket's buffer holds."""


def _send(writer: socket.socket) -> None:
    try:
        writer.send(_SIGNAL)
    except BlockingIOError:
        pass  # full of signals that were not taken yet
