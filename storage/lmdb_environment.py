"""LMDB as the stores use it: an environment, and its transactions."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import lmdb


def open_environment(path: Path, map_bytes: int, readonly: bool = False) -> Any:
    """`readonly`: for a directory whose lock is held, so that nobody writes meanwhile. Raises lmdb.Error."""
    return lmdb.open(
        str(path),
        map_size=map_bytes,
        mode=0o700,
        sync=True,
        metasync=True,
        writemap=False,
        max_dbs=0,
        create=False,
        readonly=readonly,
        lock=not readonly,
    )


class LmdbTransaction:
    """`fleet.storage.transaction.Transaction` over one of LMDB's."""

    __slots__ = ("_txn", "get")

    def __init__(self, txn: Any) -> None:
        self._txn = txn
        self.get: Callable[[bytes], bytes | None] = txn.get

    def put(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        with self._txn.cursor() as cursor:
            cursor.putmulti(items)

    def delete(self, keys: Iterable[bytes]) -> None:
        delete = self._txn.delete
        for key in keys:
            delete(key)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._txn.cursor() as cursor:
            if not cursor.set_range(start):
                return
            for key, record in cursor:
                if key >= end:
                    return
                yield key, record

    def span(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        with self._txn.cursor() as cursor:
            if not cursor.set_range(start) or cursor.key() >= end:
                return None
            first = cursor.key()
            if cursor.set_range(end):
                cursor.prev()
            else:
                cursor.last()
            return first, cursor.key()
