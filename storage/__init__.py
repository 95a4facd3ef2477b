"""Durable logs, hard states and snapshots: in LMDB, and in memory behind the same interface.

`LmdbStore` is a node's data directory, `MemoryStore` the same contract in dicts, `Writer` the thread
that commits for all groups of a node at once. All of them implement `fleet.interfaces`.

Inside: `store` is the contract written once over ordered keys (`transaction`, `steps`); `keys` and `records`
say where everything lies and what it looks like, `shape` what is remembered of a log, `snapshots` how
big ones are cut; `directory` guards the files.
"""

if __name__ != "fleet.storage":
    raise ImportError(f"this folder installs as fleet.storage; import that, not {__name__!r}")

from fleet.storage.lmdb_store import LmdbStore
from fleet.storage.memory_store import MemoryStore
from fleet.storage.store import Store
from fleet.storage.writer import Writer

__all__ = ["LmdbStore", "MemoryStore", "Store", "Writer"]
