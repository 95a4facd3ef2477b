"""The directory of a node that is stopped, read without changing it."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from fleet.errors import Damaged, NoDataDirectory, StorageFault
from fleet.storage import steps
from fleet.storage.directory import DATA, ENVIRONMENT, Lock, check_data_file
from fleet.storage.lmdb_environment import LmdbTransaction, open_environment
from fleet.storage.store import Store
from fleet.storage.transaction import Transaction

T = TypeVar("T")


class StoppedStore(Store):
    """Reads whatever node owns the directory, and holds its lock meanwhile, so that no node starts in it.

    Raises:
        NoDataDirectory: nothing of a node is there.
        WrongDirectory: it has another format.
        DirectoryInUse: its node runs.
        Damaged: the database as a whole is unusable.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = Path(path).absolute()
        env = self.path / ENVIRONMENT
        if not env.is_dir():
            raise NoDataDirectory("it is no data directory of a node", path=str(self.path))
        self._env: Any = None
        self._lock = Lock(self.path)
        try:
            check_data_file(env, verify_bytes_max=1 << 62)
            self._env = open_environment(env, (env / DATA).stat().st_size, readonly=True)
            stored = self._view(partial(steps.read_owner, str(self.path), self.build))
            self.identity, self.version = stored.owner, stored.version
        except lmdb.Error as error:
            self.close()
            raise Damaged(f"the database is damaged: {error}", path=str(self.path), place=DATA) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None
        self._lock.release()

    def _update(self, act: Callable[[Transaction], T], frees: bool = False) -> T:
        raise StorageFault("the store was opened for reading only", path=str(self.path))

    def _view(self, act: Callable[[Transaction], T]) -> T:
        try:
            with self._env.begin() as txn:
                return act(LmdbTransaction(txn))
        except lmdb.Error as error:
            raise StorageFault(f"the disk failed: {error}", path=str(self.path)) from error
