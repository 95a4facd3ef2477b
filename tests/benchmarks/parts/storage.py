"""What durability costs, at the store and at its writer. `--directory` says on which disk."""

import os
import select
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fleet.interfaces import Completion, SnapshotWrite, Write
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, HardState, Members, SnapshotMeta
from fleet.raft.ids import GroupName
from fleet.storage import LmdbStore, Writer
from tests.benchmarks.figures import Row, Scale, once_ms, times_us

PAYLOAD = b"x" * 100
GROUPS = 100


class Feed:
    """Writes that go on where the group's last one ended."""

    def __init__(self, store: LmdbStore) -> None:
        self.last = {store.create_group(GroupName(f"g{n}"), b"").number: 0 for n in range(GROUPS)}
        self.groups = list(self.last)

    def write(self, group: int, count: int) -> Write:
        start = self.last[group] + 1
        self.last[group] += count
        body = Commands(1, 1, 0, 0, (PAYLOAD,))
        return Write(group, 0, entries=tuple(Entry(1, index, body) for index in range(start, start + count)))

    def batch(self, count: int) -> list[Write]:
        return [self.write(group, count) for group in self.groups]


def rows(scale: Scale) -> Iterator[Row]:
    """Transactions of the store, its writer's thread, snapshots, and opening."""
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as home:
        path = Path(home) / "data"
        store = LmdbStore(path, "bench", "bench")
        feed = Feed(store)
        yield from writes(store, feed, scale.repeats)
        yield from through_writer(store, feed, scale.repeats)
        yield from bulk(store, feed, scale.repeats)
        store.close()

        def reopen() -> None:
            LmdbStore(path, "bench", "bench", verify_bytes_max=1 << 40).close()

        size = (path / "env" / "data.mdb").stat().st_size >> 20
        yield Row(f"open, every page of {size} MiB verified", once_ms(reopen))


def writes(store: LmdbStore, feed: Feed, repeats: int) -> Iterator[Row]:
    first = feed.groups[0]
    some = max(20, repeats // 5)
    yield Row("write: 1 entry", times_us(lambda: store.write([feed.write(first, 1)]), repeats))
    hard = Write(first, 0, hard=HardState(1))
    yield Row("write: 1 hard state", times_us(lambda: store.write([hard]), repeats))
    yield Row("write: 100 entries of 1 group", times_us(lambda: store.write([feed.write(first, 100)]), some))
    yield Row("write: 1 entry of each of 100 groups", times_us(lambda: store.write(feed.batch(1)), some))
    begun = time.perf_counter()
    for _ in range(some):
        store.write(feed.batch(10))
    figures = {"per_s": some * 1000 / (time.perf_counter() - begun)}
    yield Row("entries, 100 groups x 10 entries a batch", figures)
    begun = time.perf_counter()
    for _ in range(some):
        store.write([feed.write(first, 500)])
    figures = {"per_s": some * 500 / (time.perf_counter() - begun)}
    yield Row("entries, 1 group x 500 entries a batch", figures)


def through_writer(store: LmdbStore, feed: Feed, repeats: int) -> Iterator[Row]:
    writer = Writer(store)
    poll = select.poll()
    poll.register(writer.fileno(), select.POLLIN)

    def round_trip(batch: list[Write]) -> None:
        for write in batch:
            writer.submit(write)
        missing = len(batch)
        while missing:
            poll.poll()
            missing -= sum(len(list(one.writes)) for one in writer.completed() if isinstance(one, Completion))

    first = feed.groups[0]
    alone = times_us(lambda: round_trip([feed.write(first, 1)]), repeats)
    yield Row("Writer, submit to completed: 1 entry", alone)
    many = times_us(lambda: round_trip(feed.batch(1)), max(20, repeats // 5))
    yield Row("Writer, submit to completed: 100 groups x 1", many)
    yield from beside_a_busy_thread(store, feed)
    writer.close()


def beside_a_busy_thread(store: LmdbStore, feed: Feed) -> Iterator[Row]:
    usual = sys.getswitchinterval()
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    spinner = threading.Thread(target=spin)
    spinner.start()
    try:
        for interval in (usual, usual / 10):
            sys.setswitchinterval(interval)
            what = f"  1 x 100 beside a busy thread, switch interval {interval * 1e3:.1f} ms"
            yield Row(what, times_us(lambda: store.write(feed.batch(1)), 10))
    finally:
        stop.set()
        spinner.join()
        sys.setswitchinterval(usual)


def bulk(store: LmdbStore, feed: Feed, repeats: int) -> Iterator[Row]:
    group = feed.groups[1]
    store.write([feed.write(group, 20_000)])
    data = os.urandom(64 << 20)
    last = feed.last[group]

    def take(index: int, cut: int, size: int) -> Write:
        part = data[:size]
        meta = SnapshotMeta(index, 1, Members(), GroupConfig(), size, zlib.crc32(part))
        return Write(group, 0, snapshot=SnapshotWrite(meta, part), keep_after=cut)

    yield Row("load, 20,000 entries", once_ms(partial(store.load, group)))
    small = take(last - 9_000, last - 10_000, 1000)
    yield Row("snapshot of 1 kB, compaction of 10,000 entries", once_ms(lambda: store.write([small])))
    large = take(last, last, len(data))
    yield Row("snapshot of 64 MiB", once_ms(lambda: store.write([large])))
    yield Row("load with a snapshot of 64 MiB", once_ms(partial(store.load, group)))
    chunk = 256 << 10
    read = partial(store.read_snapshot, group, last, 9 * chunk, chunk)
    yield Row("read_snapshot, 256 KiB", times_us(read, repeats))
    yield Row("drop_group with 64 MiB", once_ms(partial(store.drop_group, group)))
