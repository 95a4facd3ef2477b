"""What a store needs of a database: ordered keys, read and changed inside a transaction."""

from collections.abc import Iterable, Iterator
from typing import Protocol


class Transaction(Protocol):
    def get(self, key: bytes) -> bytes | None: ...

    def put(self, items: Iterable[tuple[bytes, bytes]]) -> None: ...

    def delete(self, keys: Iterable[bytes]) -> None:
        """Keys that are not there are passed over."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys in order, from `start` up to but without `end`. Nothing may be changed meanwhile."""

    def span(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """The first and the last key that `scan` would give."""
