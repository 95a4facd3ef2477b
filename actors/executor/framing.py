"""Messages on a byte stream between a node and its own child: a length, and as many bytes.

Users' code may write on that stream, by a mistake about a descriptor's number. So each length carries a mark,
and a stream without it is refused, before its bytes are taken for a length of exabytes.
"""

import os
import socket
import struct
from array import array
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from fleet.actors.runtime.forked_dump import mapped

LENGTH: Final = struct.Struct("<Q")
LENGTH_MAX: Final = (1 << 40) - 1
MARK: Final = 0xF1EE7 << 40
"""In the bits above a length."""
FDS_MAX: Final = 64
"""Descriptors in one read."""


def framed(body: bytes) -> bytes:
    return LENGTH.pack(MARK | len(body)) + body


class Frames:
    """Cuts what arrives into frames. Large ones are gathered without being copied at each arrival."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = LENGTH.size

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are complete now. Raises ValueError: the stream is not one of frames."""
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return
        whole = b"".join(self._parts) if len(self._parts) > 1 else data
        at, view = 0, memoryview(whole)
        self._needed = LENGTH.size
        while len(whole) - at >= LENGTH.size:
            (word,) = LENGTH.unpack_from(whole, at)
            length = word & LENGTH_MAX
            if word - length != MARK:
                raise ValueError("bytes that are no frame")
            end = at + LENGTH.size + length
            if end > len(whole):
                self._needed = end - at
                break
            yield whole[at + LENGTH.size : end]
            at = end
        rest = bytes(view[at:])
        self._parts, self._size = [rest] if rest else [], len(rest)


def receive(sock: socket.socket, size_max: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """Bytes and descriptors. `socket.recv_fds` ignores its flags. Raises OSError."""
    fds = array("i")
    data, ancillary, _, _ = sock.recvmsg(size_max, socket.CMSG_LEN(FDS_MAX * fds.itemsize), flags)
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def with_memory(message: Any, memories: deque[int]) -> Any:
    """The message, with its state from the next of these descriptors if it says that it brought one.

    Raises ValueError without that descriptor."""
    size = getattr(message, "in_memory", 0)
    if not size:
        return message
    if not memories:
        raise ValueError("a message without the memory that it brings")
    fd = memories.popleft()
    try:
        return replace(message, state=mapped(fd, size))
    finally:
        os.close(fd)
