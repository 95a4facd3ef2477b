"""Compression by zstd: of the standard library from Python 3.14 on, else of the package `zstandard`."""

import importlib
from functools import cache
from typing import Any

LEVEL = 3


@cache
def _stdlib() -> Any:
    """None: this Python has no zstd of its own."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return None


@cache
def _package() -> Any:
    return importlib.import_module("zstandard")


class Zstd:
    """Each call makes, or takes, one whole zstd frame that says how many bytes it holds."""

    def __init__(self) -> None:
        self._own = _stdlib()
        self._compressor: Any = None if self._own else _package().ZstdCompressor(level=LEVEL)
        self._decompressor: Any = None if self._own else _package().ZstdDecompressor()

    def compress(self, data: bytes) -> bytes:
        return bytes(self._own.compress(data, LEVEL) if self._own else self._compressor.compress(data))

    def decompress(self, frame: bytes, bytes_max: int) -> bytes:
        """Raises ValueError: it is no such frame, or holds more than `bytes_max`."""
        module = self._own or _package()
        try:
            size = self._size(frame)
            if size is None or not 0 <= size <= bytes_max:
                raise ValueError(f"a part of {size} bytes")
            return bytes(self._own.decompress(frame) if self._own else self._decompressor.decompress(frame))
        except module.ZstdError as error:
            raise ValueError(f"it cannot be decompressed: {error}") from error

    def _size(self, frame: bytes) -> int | None:
        if self._own:
            size: int | None = self._own.get_frame_info(frame).decompressed_size
        else:
            size = _package().frame_content_size(frame)
        return size
