"""The durable store: one LMDB environment per node, one writer, every transaction synced."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import lmdb

from fleet.errors import Damaged, FleetError, StorageFault, StoreFull
from fleet.files import sync_directory
from fleet.interfaces import StoreIdentity
from fleet.storage import keys
from fleet.storage.directory import DATA, ENVIRONMENT, Lock, check_data_file, make_private
from fleet.storage.lmdb_environment import LmdbTransaction, open_environment
from fleet.storage.records import seal
from fleet.storage.steps import found
from fleet.storage.store import Store
from fleet.storage.transaction import Transaction
from fleet.versions import THIS_BUILD, Build

T = TypeVar("T")

MIB = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SPARE_BYTES_MIN = 4 * MIB
ROOM_CHECK_S = 0.1
_NO_SPACE = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_MAYBE_NO_SPACE = os.strerror(errno.EIO)
"""LMDB reports a short write as EIO; its usual cause is a full disk."""
_DAMAGE = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError)


class LmdbStore(Store):
    """A node's data directory, locked while open.

    `map_bytes_max`: the size to which the database may grow; it starts small and grows by itself.
    `disk_reserve_bytes`: with less free on the disk, writes are refused. Writes that free space (dropping a
    group, a snapshot with the log it replaces) may use the reserve, and 1/16 of the map (at least 4 MiB)
    beyond its maximum. `verify_bytes_max`: a data file up to this size is verified page by page before it is
    opened.

    LMDB releases the GIL while it commits. A read transaction sees the state at its start and blocks no
    writer, except one that must grow the map, which waits for the read to end.

    Raises:
        DirectoryInUse, WrongDirectory, OtherFormat: nothing was changed.
        Damaged: the database as a whole is unusable; nothing was changed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cluster: str,
        node: str,
        *,
        map_bytes_max: int = 64 << 30,
        map_bytes_start: int = 64 * MIB,
        disk_reserve_bytes: int = 16 * MIB,
        verify_bytes_max: int = 64 * MIB,
        incarnation: str | None = None,
        build: Build = THIS_BUILD,
    ) -> None:
        super().__init__(build)
        self.path = Path(path).absolute()
        self._env_path = self.path / ENVIRONMENT
        self._map_bytes_max = map_bytes_max // PAGE_BYTES * PAGE_BYTES
        self._map_bytes_spare = max(self._map_bytes_max // 16, SPARE_BYTES_MIN) // PAGE_BYTES * PAGE_BYTES
        self._map_bytes_start = min(map_bytes_start, map_bytes_max) // PAGE_BYTES * PAGE_BYTES
        self._reserve = disk_reserve_bytes
        self._room_checked_at = -ROOM_CHECK_S
        self._room = 0
        self._reading = threading.Lock()
        self._pid = os.getpid()
        self._env: Any = None
        self._must_reopen = False
        self._ripe_at = -1
        make_private(self.path)
        self._lock = Lock(self.path)
        try:
            if not self._env_path.exists():
                self._found(StoreIdentity(cluster, node, incarnation or token_hex(4)))
            self._sync_names()
            check_data_file(self._env_path, verify_bytes_max)
            self._open()
            self._adopt(cluster, node, str(self.path))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Wait for a transaction under way, then close. Does nothing in a forked child."""
        if os.getpid() != self._pid:
            return
        with self._turn, self._reading:
            if self._env is not None:
                self._env.close()
                self._env = None
            self._lock.release()

    def _found(self, identity: StoreIdentity) -> None:
        """Create the database elsewhere and rename it into place: a crash leaves none or a complete one."""
        aside = self.path / "env.new"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(mode=0o700)
            env = open_environment(aside, self._map_bytes_start)
            with env.begin(write=True) as txn:
                found(LmdbTransaction(txn), identity, self.build.oldest)
            env.close()
            sync_directory(aside)
            aside.rename(self._env_path)
        except (OSError, lmdb.Error) as error:
            raise self._fault(error) from error

    def _sync_names(self) -> None:
        """Also those that were there: the process that founded it may have ended before it did this."""
        try:
            sync_directory(self.path)
        except OSError as error:
            raise self._fault(error) from error

    def _open(self) -> None:
        size = (self._env_path / DATA).stat().st_size
        map_bytes = max(self._map_bytes_start, -(-size // PAGE_BYTES) * PAGE_BYTES)
        try:
            self._env = open_environment(self._env_path, map_bytes)
        except (OSError, lmdb.Error) as error:
            raise self._fault(error) from error

    # -- transactions ----------------------------------------------------------------------

    def _update(self, act: Callable[[Transaction], T], frees: bool = False) -> T:
        with self._turn:
            self._check()
            self._reopen_if_needed()
            if not frees:
                self._check_room()
                return self._attempt(act, self._map_bytes_max)
            try:
                return self._attempt(act, self._map_bytes_max + self._map_bytes_spare)
            finally:
                if not self._must_reopen and self._map_bytes() > self._map_bytes_max:
                    self._resize(self._map_bytes_max)

    def _attempt(self, act: Callable[[Transaction], T], map_bytes_max: int) -> T:
        while True:
            try:
                with self._env.begin(write=True) as txn:
                    result = act(LmdbTransaction(txn))
                return result
            except lmdb.MapFullError as error:
                if not self._grow(map_bytes_max) and not self._ripen():
                    limit = self._map_bytes_max
                    what = "the database reached its maximum"
                    raise StoreFull(what, path=str(self.path), map_bytes_max=limit) from error
            except lmdb.Error as error:
                raise self._fault(error) from error

    def _view(self, act: Callable[[Transaction], T]) -> T:
        self._reopen_if_needed()
        with self._reading:
            self._check()
            try:
                with self._env.begin() as txn:
                    return act(LmdbTransaction(txn))
            except lmdb.Error as error:
                raise self._fault(error) from error

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise StorageFault(
                "the store was opened before a fork and cannot be used in the child; open it there",
                path=str(self.path),
                opened_in=self._pid,
            )
        if self._env is None:
            raise StorageFault("the store is closed", path=str(self.path))

    def _check_room(self) -> None:
        if not self._reserve:
            return
        now = time.monotonic()
        if now - self._room_checked_at >= ROOM_CHECK_S:
            self._room = self._free_bytes()
            self._room_checked_at = now
        if self._room < self._reserve:
            raise StoreFull(
                "the disk is full", path=str(self.path), free_bytes=self._room, reserve_bytes=self._reserve
            )

    def _free_bytes(self) -> int:
        """Free bytes of the disk, and of the file in pages that can be reused."""
        stat = self._env.stat()
        used = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        free: int = self._env.info()["last_pgno"] + 1 - used
        return self._disk_bytes() + max(0, free) * PAGE_BYTES

    def _disk_bytes(self) -> int:
        try:
            disk = os.statvfs(self.path)
        except OSError as error:
            raise StorageFault(f"the disk failed: {error.strerror}", path=str(self.path)) from error
        return disk.f_bavail * disk.f_frsize

    def _grow(self, map_bytes_max: int) -> bool:
        size = self._map_bytes()
        if size >= map_bytes_max:
            return False
        self._resize(min(size * 2, map_bytes_max))
        return True

    def _ripen(self) -> bool:
        """Make pages freed by the last transactions reusable. False if there can be none.

        LMDB reuses a page only two transactions after the one that freed it, and in a full map no transaction
        would get that far.
        """
        if self._env.info()["last_txnid"] == self._ripe_at:
            return False
        key = keys.meta_key("")
        self._resize(self._map_bytes() + SPARE_BYTES_MIN)
        try:
            for _ in range(2):
                with self._env.begin(write=True) as txn:
                    txn.put(key, seal(key, b""))
        except lmdb.Error as error:
            raise self._fault(error) from error
        finally:
            self._resize(self._map_bytes_max)
        self._ripe_at = self._env.info()["last_txnid"]
        return True

    def _map_bytes(self) -> int:
        return int(self._env.info()["map_size"])

    def _resize(self, size: int) -> None:
        """No read transaction may be open while the map moves. LMDB never shrinks it below what is used."""
        with self._reading:
            try:
                self._env.set_mapsize(size)
            except lmdb.Error as error:
                self._must_reopen = True
                raise self._fault(error) from error

    def _reopen_if_needed(self) -> None:
        """Reopen the environment after an error after which LMDB neither reads nor writes."""
        if not self._must_reopen:
            return
        with self._turn, self._reading:
            self._check()
            if self._must_reopen:
                self._env.close()
                self._shapes.clear()
                self._open()
                self._must_reopen = False

    def _fault(self, error: Exception) -> FleetError:
        """The error as the contract has it."""
        path, text = str(self.path), str(error)
        if isinstance(error, _DAMAGE):
            return Damaged(f"the database is damaged: {text}", path=path, place=DATA)
        if isinstance(error, lmdb.PanicError):
            self._must_reopen = True
        full = any(reason in text for reason in _NO_SPACE)
        if full or (_MAYBE_NO_SPACE in text and self._disk_bytes() < max(self._reserve, MIB)):
            self._room_checked_at = -ROOM_CHECK_S
            return StoreFull(f"the disk is full: {text}", path=path)
        return StorageFault(f"the disk failed: {text}", path=path)
