"""Encodes a big snapshot off the event loop: a forked child has the state of the fork and encodes it."""

import mmap
import os
import pickle
import select
import signal
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from zlib import crc32

from fleet.errors import FleetError
from fleet.system.memory import nameless_file
from fleet.system.processes import close_all_but

CHILD_S_MAX = 600
"""A child that takes longer is killed: it may wait for a lock that another thread held during the fork."""
NICE = 10
"""How much less urgent a child is than what its node does meanwhile."""
DONE, REFUSED = b"+", b"-"
"""The first byte of a child's result, written last; the rest is the state or an error, and a checksum."""
CRC = struct.Struct("<I")


class ForkedDump:
    """`fileno()` is readable when `take()` has the bytes.

    The child runs only the thread that forked, uses only the state, and exits without cleaning up, since
    store, sockets and other threads belong to the parent. It closes their descriptors, so that a killed node
    finds its directory and port free even while the child runs.

    Raises:
        OSError: no child can be made: too little memory, too many descriptors or processes.
    """

    def __init__(self, dump: Callable[[], bytes]) -> None:
        opened: list[int] = []
        try:
            opened.append(nameless_file("fleet-snapshot"))
            opened.extend(os.pipe())
            self._memory, self._end, child_end = opened
            self._pid = os.fork()
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        if self._pid == 0:
            try:
                os.nice(NICE)
                close_all_but(self._memory, child_end)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(CHILD_S_MAX)
                encode_into(self._memory, dump)
            finally:
                os._exit(0)
        os.close(child_end)

    def fileno(self) -> int:
        """Readable, at end of file, when the child has exited and so closed its end of the pipe."""
        return self._end

    def is_done(self) -> bool:
        """Whether `take` returns at once. A report of `fileno()` may be of an earlier child."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(0))

    def take(self) -> tuple[bytes, int]:
        """A view of the encoded state, and its checksum. Raises the child's error, or ChildProcessError if
        the child died."""
        self._reap()
        os.close(self._end)
        try:
            return read_result(self._memory)
        except BaseException:
            self.release()
            raise

    @property
    def memory(self) -> int | None:
        return self._memory

    def release(self) -> None:
        os.close(self._memory)

    def cancel(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._reap()
        self._close()

    def _reap(self) -> None:
        with suppress(ChildProcessError):  # the embedding program waits for all children itself
            os.waitpid(self._pid, 0)

    def _close(self) -> None:
        os.close(self._memory)
        os.close(self._end)


def encode_into(fd: int, dump: Callable[[], bytes]) -> None:
    end = DONE
    try:
        data = dump()
    except FleetError as error:
        end, data = REFUSED, pickle.dumps(error)
    write_all(fd, b" ")
    write_all(fd, data)
    write_all(fd, CRC.pack(crc32(data)))
    os.pwrite(fd, end, 0)


def read_result(fd: int) -> tuple[bytes, int]:
    size = os.fstat(fd).st_size
    mark = os.pread(fd, 1, 0)
    if mark not in (DONE, REFUSED):
        raise ChildProcessError("the process that encoded the snapshot ended early")
    data = mapped(fd, size - 1 - CRC.size)
    if mark == REFUSED:
        raise pickle.loads(data)
    (crc,) = CRC.unpack(os.pread(fd, CRC.size, size - CRC.size))
    return data, crc


def mapped(fd: int, size: int) -> bytes:
    """A view of `size` bytes of that memory, behind the first. It outlives the descriptor."""
    view: Any = memoryview(mmap.mmap(fd, 0, prot=mmap.PROT_READ))[1 : 1 + size]
    return view  # type: ignore[no-any-return]


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
