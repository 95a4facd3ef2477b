"""The database as a store uses it: ordered keys, read and changed within a transaction."""

from collections.abc import Iterable, Iterator
from typing import Protocol


class Transaction(Protocol):
    def get(self, key: bytes) -> bytes | None: ...

    def put(self, items: Iterable[tuple[bytes, bytes]]) -> None: ...

    def delete(self, keys: Iterable[bytes]) -> None:
        """Missing keys are ignored."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and records in order, from `start` up to but excluding `end`. No changes are allowed
        meanwhile."""

    def span(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """The first and the last key that `scan` would yield; None if there are none."""
