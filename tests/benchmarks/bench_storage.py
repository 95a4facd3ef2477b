"""What durability costs: run `python tests/benchmarks/bench_storage.py [directory]` from the checkout.

Figures are medians of wall time. The directory should be on the disk that is asked about.
"""

import os
import platform
import select
import shutil
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import lmdb

from fleet.interfaces import Completion, SnapshotWrite, Write
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, HardState, Members, SnapshotMeta
from fleet.raft.ids import GroupName
from fleet.storage import LmdbStore, Writer

PAYLOAD = b"x" * 100
GROUPS = 100


def median_us(act: Callable[[], object], rounds: int) -> str:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    times.sort()
    return f"p50 {times[rounds // 2] * 1e6:8.0f} us   p99 {times[rounds * 99 // 100] * 1e6:8.0f} us"


def once_ms(act: Callable[[], object]) -> str:
    start = time.perf_counter()
    act()
    return f"{(time.perf_counter() - start) * 1e3:12.1f} ms"


def show(what: str, figure: str) -> None:
    print(f"{what:<58}{figure}", flush=True)


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


def facts(path: Path) -> None:
    disk = os.statvfs(path)
    space = disk.f_bavail * disk.f_frsize >> 30
    print(f"python {platform.python_version()}, lmdb {lmdb.version()}, {platform.platform(terse=True)}")
    print(f"{os.cpu_count()} cpus, load {os.getloadavg()[0]:.2f}, {space} GiB free\n")


def raw_disk(path: Path) -> None:
    fd = os.open(path / "raw", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def append() -> None:
        os.write(fd, bytes(4096))
        os.fdatasync(fd)

    show("append 4 KiB and fdatasync, no database", median_us(append, 300))
    os.close(fd)


def writes(store: LmdbStore, feed: Feed) -> None:
    first = feed.groups[0]
    show("write: 1 entry", median_us(lambda: store.write([feed.write(first, 1)]), 500))
    show("write: 1 hard state", median_us(lambda: store.write([Write(first, 0, hard=HardState(1))]), 300))
    show("write: 100 entries of 1 group", median_us(lambda: store.write([feed.write(first, 100)]), 200))
    show("write: 1 entry of each of 100 groups", median_us(lambda: store.write(feed.batch(1)), 200))
    start = time.perf_counter()
    for _ in range(50):
        store.write(feed.batch(10))
    show("entries/s, 100 groups x 10 entries a batch", f"{50_000 / (time.perf_counter() - start):12,.0f} /s")
    start = time.perf_counter()
    for _ in range(100):
        store.write([feed.write(first, 500)])
    show("entries/s, 1 group x 500 entries a batch", f"{50_000 / (time.perf_counter() - start):12,.0f} /s")


def through_writer(store: LmdbStore, feed: Feed) -> None:
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
    show("Writer, submit to completed: 1 entry", median_us(lambda: round_trip([feed.write(first, 1)]), 500))
    show("Writer, submit to completed: 100 groups x 1", median_us(lambda: round_trip(feed.batch(1)), 200))
    usual = sys.getswitchinterval()
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    spinner = threading.Thread(target=spin)
    spinner.start()
    for interval in (usual, usual / 10):
        sys.setswitchinterval(interval)
        name = f"the same beside a busy thread, switch interval {interval * 1e3:.1f} ms"
        show(f"  {name}", median_us(lambda: store.write(feed.batch(1)), 10))
    stop.set()
    spinner.join()
    sys.setswitchinterval(usual)
    writer.close()


def bulk(store: LmdbStore, feed: Feed) -> None:
    group = feed.groups[1]
    store.write([feed.write(group, 20_000)])
    data = os.urandom(64 << 20)
    last = feed.last[group]

    def take(index: int, cut: int, size: int) -> Write:
        part = data[:size]
        meta = SnapshotMeta(index, 1, Members(), GroupConfig(), size, zlib.crc32(part))
        return Write(group, 0, snapshot=SnapshotWrite(meta, part), keep_after=cut)

    show("load, 20,000 entries", once_ms(lambda: store.load(group)))
    small = take(last - 9_000, last - 10_000, 1000)
    show("snapshot of 1 kB and compaction of 10,000 entries", once_ms(lambda: store.write([small])))
    large = take(last, last, len(data))
    show("snapshot of 64 MiB", once_ms(lambda: store.write([large])))
    show("load with a snapshot of 64 MiB", once_ms(lambda: store.load(group)))
    chunk = 256 << 10
    show("read_snapshot, 256 KiB", median_us(lambda: store.read_snapshot(group, last, 9 * chunk, chunk), 300))
    show("drop_group with 64 MiB", once_ms(lambda: store.drop_group(group)))


def main() -> None:
    path = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    try:
        facts(path)
        raw_disk(path)
        store = LmdbStore(path / "data", "bench", "bench")
        feed = Feed(store)
        writes(store, feed)
        through_writer(store, feed)
        bulk(store, feed)
        store.close()

        def reopen() -> None:
            LmdbStore(path / "data", "bench", "bench", verify_bytes_max=1 << 40).close()

        size = (path / "data" / "env" / "data.mdb").stat().st_size >> 20
        show(f"open, every page of {size} MiB verified", once_ms(reopen))
    finally:
        shutil.rmtree(path)


if __name__ == "__main__":
    main()
