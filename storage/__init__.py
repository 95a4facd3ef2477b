"""Durable logs, hard states and snapshots: in LMDB, and in memory behind the same interface.

`LmdbStore` is a node's data directory, `StoppedStore` reads that of a node that is stopped, `MemoryStore` is
the same contract in dicts, and `Writer` the thread that commits for all groups of a node at once. All of them
implement `fleet.interfaces`.

`store` implements the contract over ordered keys, with `transaction` and `steps`; `keys` and `records` define
the layout of the data, `shape` the cached extent of a log, `snapshots` how snapshots are divided into
chunks; `directory` locks and checks the files.
"""

if __name__ != "fleet.storage":
    raise ImportError(f"this folder installs as fleet.storage; import that, not {__name__!r}")

from fleet.storage.lmdb_store import LmdbStore
from fleet.storage.memory_store import MemoryStore
from fleet.storage.stopped_store import StoppedStore
from fleet.storage.store import Store
from fleet.storage.writer import Writer

__all__ = ["LmdbStore", "MemoryStore", "StoppedStore", "Store", "Writer"]
