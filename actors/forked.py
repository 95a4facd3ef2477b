"""Taking a big snapshot beside the event loop: a forked child has the state as of now, and encodes it."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from fleet.actors.guard import log

CHILD_S_MAX = 600
"""A child that takes longer hangs: on a lock, say, that another thread held when it was forked."""


class ForkedDump:
    """`fileno()` is readable when `take()` has the bytes, or None when the child failed.

    The child runs in the one thread that forked, touches nothing but the state, and leaves without
    cleaning up: store, sockets and other threads are the parent's. It keeps none of their descriptors, so
    that a node which was killed finds its directory and its port free, though the child goes on.
    """

    def __init__(self, dump: Callable[[], bytes]) -> None:
        self._memory = os.memfd_create("fleet-snapshot")
        self._end, child_end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            status = 1
            try:
                close_all_but(self._memory, child_end)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(CHILD_S_MAX)
                write_all(self._memory, dump())
                status = 0
            finally:
                os._exit(status)
        os.close(child_end)

    def fileno(self) -> int:
        """End of file: the child is gone, and its end of the pipe with it."""
        return self._end

    def take(self) -> bytes | None:
        status = self._reap()
        if status != 0:
            log.error("the process that encoded a snapshot failed with status %d", status)
            self._close()
            return None
        size = os.fstat(self._memory).st_size
        data = b"".join(iter_file(self._memory, size))
        self._close()
        return data

    def cancel(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._reap()
        self._close()

    def _reap(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _close(self) -> None:
        os.close(self._memory)
        os.close(self._end)


def close_all_but(*kept: int) -> None:
    """And standard input, output and error."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in kept:
            with suppress(OSError):  # the listing's own
                os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def iter_file(fd: int, size: int) -> list[bytes]:
    """The whole file from its start, however short single reads are."""
    parts, offset = [], 0
    while offset < size:
        part = os.pread(fd, size - offset, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return parts
