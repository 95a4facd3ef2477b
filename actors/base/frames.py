"""Reads frames from the bytes of a socket, checking their length before allocating."""

from collections.abc import Iterator

from fleet.actors.base.wire import LENGTH

_FIRST_BYTES = 64 * 1024


class FrameError(Exception):
    """The peer violates the format: the rest of its bytes cannot be interpreted."""


class FrameReader:
    """Receive into `space()`, then pass the count of bytes to `received()`.

    Small frames are read from the shared buffer without a copy. The rest of a large one is received directly
    into a buffer of its own, which grows as bytes arrive, so that announcing a large frame costs no memory.
    `limit`, in bytes, may be raised once the peer has proved itself.
    """

    __slots__ = ("limit", "_shared", "_header", "_frame", "_have", "_size")

    def __init__(self, shared: memoryview, limit: int) -> None:
        self.limit = limit
        self._shared = shared
        self._header = b""
        self._frame: bytearray | None = None
        self._have = 0
        self._size = 0

    def space(self) -> memoryview:
        if self._frame is None:
            return self._shared
        return memoryview(self._frame)[self._have :]

    def received(self, count: int) -> Iterator[memoryview]:
        """Yield the complete frames, valid until the next receive into the shared buffer.

        Lazy, so that a limit raised after one frame applies to the next.

        Raises:
            FrameError: a frame longer than `limit`.
        """
        if self._frame is not None:
            self._have += count
            if self._have == self._size:
                whole, self._frame = self._frame, None
                yield memoryview(whole)
            elif self._have == len(self._frame):
                grown = bytearray(min(2 * self._have, self._size))
                grown[: self._have] = self._frame
                self._frame = grown
            return
        data = self._shared[:count]
        if self._header:
            data = memoryview(self._header + bytes(data))
            self._header = b""
        at = 0
        end = len(data)
        while end - at >= LENGTH.size:
            (size,) = LENGTH.unpack_from(data, at)
            if size > self.limit:
                raise FrameError(f"a frame of {size} bytes, over the limit of {self.limit}")
            at += LENGTH.size
            if size > end - at:
                self._have = end - at
                self._size = size
                self._frame = bytearray(min(size, max(2 * self._have, _FIRST_BYTES)))
                self._frame[: self._have] = data[at:]
                return
            yield data[at : at + size]
            at += size
        self._header = bytes(data[at:])
