"""S39: the map grows by itself; full is a refusal that leaves nothing and passes when there is space."""

import errno
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import pytest

from fleet.errors import StorageFault, StoreFull
from fleet.interfaces import Write
from fleet.storage import LmdbStore
from tests.storage.disks import MIB, append, create, entries, indexes, snapshot


def big(group: int, start: int, end: int) -> Write:
    return Write(group, 0, entries=entries(start, end, payload=b"x" * 10_000))


def fill(store: LmdbStore, group: int, refusal: type[StorageFault] = StoreFull) -> int:
    """Append until the store refuses; the last index that it took."""
    last = 0
    with pytest.raises(refusal):
        while last < 100_000:
            store.write([big(group, last + 1, last + 20)])
            last += 20
    return last


def test_s39_the_map_grows_by_itself_also_while_another_thread_reads(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1", map_bytes_start=MIB)
    group, other = create(store), create(store, "other")
    store.write([append(other, 1, 500)])
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            seen.append(len(store.load(other).entries))

    reader = threading.Thread(target=read)
    reader.start()
    for start in range(1, 2000, 20):
        store.write([big(group, start, start + 19)])
    stop.set()
    reader.join()
    assert set(seen) == {500}
    assert len(store.load(group).entries) == 2000
    store.close()
    store = LmdbStore(tmp_path, "c1", "n1", map_bytes_start=MIB)
    assert len(store.load(group).entries) == 2000
    store.close()


def test_s39_beyond_the_maximum_writes_are_refused_whole_and_dropping_a_group_helps(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1", map_bytes_start=MIB, map_bytes_max=8 * MIB)
    group, other = create(store), create(store, "other")
    last = fill(store, group)
    assert last > 400
    with pytest.raises(StoreFull, match="maximum") as caught:
        store.write([append(other, 1, 1), big(group, last + 1, last + 20)])
    assert caught.value.retry
    assert indexes(store, other) == []
    assert indexes(store, group) == list(range(1, last + 1))
    store.drop_group(group)
    store.write([big(other, 1, 400)])
    assert len(store.load(other).entries) == 400
    store.close()
    store = LmdbStore(tmp_path, "c1", "n1", map_bytes_max=8 * MIB)
    assert len(store.load(other).entries) == 400
    store.close()


def test_s39_a_full_store_can_still_compact(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1", map_bytes_start=MIB, map_bytes_max=8 * MIB)
    group = create(store)
    last = fill(store, group)
    store.write([Write(group, 0, snapshot=snapshot(last, bytes(MIB)), keep_after=last)])
    for start in range(last + 1, last + 301, 20):
        store.write([big(group, start, start + 19)])
    assert len(store.load(group).entries) == 300
    store.close()


def test_s39_a_snapshot_too_big_for_the_store_leaves_it_usable(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1", map_bytes_start=MIB, map_bytes_max=16 * MIB)
    group = create(store)
    store.write([append(group, 1, 9)])
    with pytest.raises(StoreFull):
        store.write([Write(group, 0, snapshot=snapshot(9, bytes(32 * MIB)), keep_after=9)])
    store.write([append(group, 10, 10)])
    store.write([Write(group, 0, snapshot=snapshot(10, bytes(8 * MIB)), keep_after=10)])
    assert store.read_snapshot(group, 10, 8 * MIB - 1, 5) == b"\0"
    store.close()


def test_s39_less_than_the_reserve_on_the_disk_refuses_writes_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LmdbStore(tmp_path, "c1", "n1")
    group, other = create(store), create(store, "other")
    store.write([append(group, 1, 9)])
    blocks_free = [9]

    def statvfs(path: object) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 9, 9, blocks_free[0], 9, 9, 9, 0, 255))

    monkeypatch.setattr("os.statvfs", statvfs)
    monkeypatch.setattr("fleet.storage.lmdb_store.ROOM_CHECK_S", 0.0)
    with pytest.raises(StoreFull, match="reserve_bytes=16777216"):
        store.write([append(group, 10, 10)])
    store.drop_group(other)
    store.write([Write(group, 0, snapshot=snapshot(9, b"state"), keep_after=9)])
    blocks_free[0] = 1 << 20
    store.write([append(group, 10, 10)])
    assert indexes(store, group) == [10]
    store.close()


def in_child_with_small_files(act: Any) -> int:
    """The exit status of `act` in a child whose files cannot grow beyond 2 MiB; returns 0 for True."""
    child = os.fork()
    if child == 0:
        status = 9
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, resource.RLIM_INFINITY))
            status = 0 if act() else 8
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_s39_a_disk_that_takes_no_more_refuses_and_loses_nothing(tmp_path: Path) -> None:
    def act() -> bool:
        store = LmdbStore(tmp_path, "c1", "n1")
        group = create(store)
        last = fill(store, group, StorageFault)  # LMDB reports a short write as EIO
        assert indexes(store, group) == list(range(1, last + 1))
        soft_limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft_limit, soft_limit))
        store.write([big(group, last + 1, last + 20)])
        store.close()
        store = LmdbStore(tmp_path, "c1", "n1")
        return indexes(store, group) == list(range(1, last + 21))

    assert in_child_with_small_files(act) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("reserve_bytes", [0, MIB])
def test_s39_a_full_disk_refuses_writes_until_there_is_space(small_disk: Path, reserve_bytes: int) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3 * MIB))
    store = LmdbStore(small_disk / "data", "c1", "n1", disk_reserve_bytes=reserve_bytes)
    group, other = create(store), create(store, "other")
    last = fill(store, group)
    for _ in range(3):
        with pytest.raises(StoreFull, match="the disk is full"):
            store.write([append(other, 1, 1), big(group, last + 1, last + 100)])
    assert (indexes(store, group), indexes(store, other)) == (list(range(1, last + 1)), [])
    ballast.unlink()
    store._room_checked_at = 0.0
    store.write([append(other, 1, 1), big(group, last + 1, last + 100)])
    store.close()
    store = LmdbStore(small_disk / "data", "c1", "n1")
    assert (len(indexes(store, group)), indexes(store, other)) == (last + 100, [1])
    store.close()


class Failing:
    """An environment whose writes fail as told, before or after they landed; else it is the real one."""

    def __init__(self, env: Any, error: lmdb.Error, lands: bool = False) -> None:
        self.env, self.error, self.lands = env, error, lands

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    @contextmanager
    def begin(self, **options: Any) -> Iterator[Any]:
        if options.get("write") and not self.lands:
            raise self.error
        with self.env.begin(**options) as txn:
            yield txn
        if options.get("write"):
            raise self.error


def test_s14_an_io_error_is_a_fault_and_leaves_nothing(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1")
    group = create(store)
    real = store._env
    store._env = Failing(real, lmdb.Error(f"mdb_txn_commit: {os.strerror(errno.EIO)}"))
    with pytest.raises(StorageFault, match="Input/output error") as caught:
        store.write([append(group, 1, 1)])
    assert type(caught.value) is StorageFault
    store._env = Failing(real, lmdb.DiskError(f"mdb_txn_commit: {os.strerror(errno.ENOSPC)}"))
    with pytest.raises(StoreFull):
        store.write([append(group, 1, 1)])
    store._env = real
    store.write([append(group, 1, 1)])
    assert indexes(store, group) == [1]
    store.close()


def test_s14_after_a_panic_the_environment_is_opened_anew(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1")
    group = create(store)
    store.write([append(group, 1, 1)])
    store._env = Failing(store._env, lmdb.PanicError("mdb_txn_commit: MDB_PANIC"), lands=True)
    with pytest.raises(StorageFault, match="PANIC"):
        store.write([append(group, 2, 5)])
    store.write([append(group, 2, 2)])
    assert type(store._env) is lmdb.Environment
    assert indexes(store, group) == [1, 2]
    store.close()


def break_descriptions(store: LmdbStore) -> None:
    """From now on LMDB's writes of its own description fail, for as long as it has the file open."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            path, flags = os.readlink(f"/proc/self/fd/{fd}"), fcntl.fcntl(fd, fcntl.F_GETFL)
        except OSError:
            continue  # the listing's own
        if path == str(store.path / "env" / "data.mdb") and flags & os.O_DSYNC:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, fd, inheritable=False)
            os.close(null)


def test_s14_after_a_panic_what_is_there_can_be_read_before_anything_is_written(tmp_path: Path) -> None:
    """A member whose write failed starts again by reading: where nobody else wrote, it never came back."""
    store = LmdbStore(tmp_path, "c1", "n1")
    group = create(store)
    store.write([append(group, 1, 1)])
    break_descriptions(store)
    with pytest.raises(StorageFault):
        store.write([append(group, 2, 2)])
    with pytest.raises(StorageFault, match="PANIC"):
        indexes(store, group)
    assert indexes(store, group) == [1]
    store.write([append(group, 2, 3)])
    store.close()
    store = LmdbStore(tmp_path, "c1", "n1")
    assert indexes(store, group) == [1, 2, 3]
    store.close()
