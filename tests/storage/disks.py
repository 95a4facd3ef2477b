"""What the tests of every store share: disks that can be opened again and spoiled, and short builders."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb

from fleet.interfaces import SnapshotWrite, Write
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, HardState, Members, SnapshotMeta
from fleet.raft.ids import GroupName, MemberId
from fleet.storage import LmdbStore, MemoryStore, Store
from fleet.storage.keys import number_of
from fleet.versions import THIS_BUILD

MIB = 1 << 20


class Disk:
    """What outlives a store. `open` again stands for a restart: the former store is closed, not tidied."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.build = THIS_BUILD

    def open(self) -> Store:
        self.close()
        self.store = self.make()
        return self.store

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None

    def make(self) -> Store:
        raise NotImplementedError

    def records(self) -> dict[bytes, bytes]:
        raise NotImplementedError

    def put(self, key: bytes, record: bytes | None) -> None:
        raise NotImplementedError


class LmdbDisk(Disk):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make(self) -> Store:
        return LmdbStore(self.path, "c1", "n1", map_bytes_start=MIB, build=self.build)

    def records(self) -> dict[bytes, bytes]:
        self.close()
        with lmdb.open(str(self.path / "env"), map_size=64 * MIB) as env, env.begin() as txn:
            return dict(txn.cursor())

    def put(self, key: bytes, record: bytes | None) -> None:
        self.close()
        with lmdb.open(str(self.path / "env"), map_size=64 * MIB) as env, env.begin(write=True) as txn:
            txn.delete(key) if record is None else txn.put(key, record)


class MemoryDisk(Disk):
    def __init__(self) -> None:
        super().__init__()
        self.image: dict[int, dict[bytes, bytes]] = {}

    def make(self) -> Store:
        return MemoryStore("c1", "n1", image=self.image, build=self.build)

    def records(self) -> dict[bytes, bytes]:
        return {key: record for part in self.image.values() for key, record in sorted(part.items())}

    def put(self, key: bytes, record: bytes | None) -> None:
        part = self.image.setdefault(number_of(key), {})
        if record is None:
            del part[key]
        else:
            part[key] = record


def create(store: Store, name: str = "g") -> int:
    return store.create_group(GroupName(name), b"spec of " + name.encode()).number


def entries(start: int, end: int, term: int = 1, payload: bytes = b"x") -> tuple[Entry, ...]:
    return tuple(Entry(term, index, Commands(1, index, 0, 0, (payload,))) for index in range(start, end + 1))


def append(group: int, start: int, end: int, term: int = 1, **more: Any) -> Write:
    return Write(group, 0, entries=entries(start, end, term), **more)


def snapshot(index: int, data: bytes, term: int = 1) -> SnapshotWrite:
    meta = SnapshotMeta(index, term, Members(), GroupConfig(), len(data), zlib.crc32(data))
    return SnapshotWrite(meta, data)


def hard(term: int, vote: str | None = None) -> HardState:
    return HardState(term, MemberId(vote) if vote is not None else None)


def indexes(store: Store, number: int) -> list[int]:
    return [entry.index for entry in store.load(number).entries]


class Crash(Exception):
    """The process ends here."""


def crash_before(store: Any, nth: int) -> Callable[[], int]:
    """The store ends before its nth transaction; gives how many were asked for."""
    update, calls = store._update, 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= nth:
            raise Crash
        return update(*args, **kwargs)

    store._update = counted
    return lambda: calls
