"""Compression by zstd: of the standard library from Python 3.14 on, else of the package `zstandard`."""

import importlib
from typing import Any

LEVEL = 3


class Zstd:
    """Each call makes, or takes, one whole zstd frame that says how many bytes it holds."""

    def __init__(self) -> None:
        try:
            self._module: Any = importlib.import_module("compression.zstd")
        except ImportError:
            self._module = importlib.import_module("zstandard")
            self._compressor: Any = self._module.ZstdCompressor(level=LEVEL)
            self._decompressor: Any = self._module.ZstdDecompressor()
        else:
            self._compressor = self._decompressor = None

    def compress(self, data: bytes) -> bytes:
        if self._compressor is not None:
            return bytes(self._compressor.compress(data))
        return bytes(self._module.compress(data, LEVEL))

    def decompress(self, frame: bytes, bytes_max: int) -> bytes:
        """Raises ValueError: it is no such frame, or holds more than `bytes_max`."""
        try:
            if self._decompressor is not None:
                size = self._module.frame_content_size(frame)
            else:
                size = self._module.get_frame_info(frame).decompressed_size
            if size is None or not 0 <= size <= bytes_max:
                raise ValueError(f"a part of {size} bytes")
            if self._decompressor is not None:
                return bytes(self._decompressor.decompress(frame))
            return bytes(self._module.decompress(frame))
        except self._module.ZstdError as error:
            raise ValueError(f"it cannot be decompressed: {error}") from error
