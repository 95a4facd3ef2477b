"""A disk in virtual time: synced data survives, other data may be lost, and any operation may fail.

The records are real ones (`MemoryStore`), so a flipped bit is found by its checksum; a transaction is
whole or absent, as LMDB keeps it: a torn last write is one that never was.
"""

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fleet.errors import StorageFault, StoreFull
from fleet.interfaces import Chore, Write
from fleet.raft.entries import size_of
from fleet.storage.keys import META, counter_key, kind_range, number_of
from fleet.storage.memory_store import Changes, Image, MemoryStore
from fleet.storage.records import unpack, unseal
from fleet.storage.writer import Writer, _Submitted
from fleet.versions import THIS_BUILD, Build

TOKEN = 1
"""Stands for the writer's file descriptor."""


@dataclass(slots=True)
class SimDisk:
    """The data that outlives processes, and the faults of the disk. A wipe makes a new incarnation."""

    image: Image = field(default_factory=dict)
    incarnation: str = ""
    sync_us: tuple[int, int] = (300, 2_000)
    errs: float = 0.0
    """How likely a transaction fails."""
    us_per_kb: int = 0
    """Additional time for each 1,000 bytes written."""
    slower_us: int = 0
    """Additional time for each transaction."""
    inline_bytes_max: int = 1 << 20
    """A bigger snapshot is staged in transactions of its own."""
    is_full: bool = False
    hangs_until: int = 0

    def recover(self) -> None:
        self.errs, self.is_full, self.hangs_until, self.slower_us = 0.0, False, 0, 0

    def draw_bit(self, rng: random.Random, own: bool) -> tuple[str, int, int] | None:
        """A record's key, a byte of it and a bit. `own`: of a record of no group. None: there is none."""
        numbers = sorted(number for number in self.image if (number == 0) == own)
        if not numbers:
            return None
        part = self.image[rng.choice(numbers)]
        key = rng.choice(sorted(part))
        return key.hex(), rng.randrange(len(part[key])), rng.randrange(8)

    def flip(self, key: bytes, byte: int, bit: int) -> bool:
        """Turn one bit over, in the next record where there is none of that key; False: there is none."""
        part = self.image.get(number_of(key), {})
        found = min((other for other in part if other >= key), default=None)
        if found is None:
            return False
        record = bytearray(part[found])
        record[byte % len(record)] ^= 1 << bit
        part[found] = bytes(record)
        return True


class Crash(BaseException):
    """The process dies here: no transaction of it begins any more."""


class DiskStore(MemoryStore):
    """The shipping store over a simulated disk: what it does at once (not by the writer) takes no time.

    `written` hears of each batch of writes that is durable, `mark` of what is rare.
    """

    def __init__(
        self,
        disk: SimDisk,
        cluster: str,
        node: str,
        rng: random.Random,
        written: Callable[[Sequence[Write]], None] = lambda writes: None,
        mark: Callable[[str], None] = lambda name: None,
        build: Build = THIS_BUILD,
    ) -> None:
        self.disk = disk
        self.rng = rng
        self.written = written
        self.mark = mark
        self.durable: list[Sequence[Write]] = []
        """Of which `written` has not heard yet."""
        self.commits_left = sys.maxsize
        """Transactions until this process dies."""
        self.inline_bytes_max = disk.inline_bytes_max
        super().__init__(cluster, node, image=disk.image, incarnation=disk.incarnation, build=build)
        disk.image = self.image

    def check_own(self) -> None:
        """Read what is the node's own and no group's. Raises Damaged."""
        self.groups()
        self._view(lambda txn: unpack(counter_key, txn.get(counter_key), int))
        self._view(lambda txn: [unseal(key, record) for key, record in txn.scan(*kind_range(0, META))])

    def commit(self, changes: Changes) -> None:
        disk = self.disk
        if not self.commits_left:
            raise Crash
        self.commits_left -= 1
        if disk.is_full and any(value is not None and number_of(key) for key, value in changes.items()):
            self.mark("a full disk refuses a transaction")
            raise StoreFull("no space left on the simulated disk")
        if disk.errs and self.rng.random() < disk.errs:
            self.mark("a disk fails a transaction")
            raise StorageFault("the simulated disk erred (EIO)")
        super().commit(changes)

    def write(self, batch: Sequence[Write]) -> None:
        super().write(batch)
        self.durable.append(batch)

    def tell_written(self) -> None:
        """Outside of the writer, which takes what `written` raises for an error of the disk."""
        durable, self.durable = self.durable, []
        for batch in durable:
            self.written(batch)


class SimWriter(Writer):
    """The shipping writer with virtual time in the place of its thread.

    What was submitted when a round begins is served at the end of the time that its transactions take; more
    rounds follow while snapshots are staged. `later(us, action)` carries on, `readable` tells that results
    are there.
    """

    def __init__(
        self,
        store: DiskStore,
        now: Callable[[], int],
        later: Callable[[int, Callable[[], None]], None],
        readable: Callable[[], None],
    ) -> None:
        self._store: DiskStore = store
        self._wakeup = None
        self._done = deque()
        self._told = self._failures = 0
        self._broken = {}
        self._held = {}
        self._aside = deque()
        self._staging = self._aside_staging = None
        self._now, self._later, self._readable = now, later, readable
        self._waiting: list[_Submitted | Chore] = []
        self._taken: list[_Submitted | Chore] = []
        self._is_busy = False
        self.is_open = True

    def submit(self, write: Write) -> None:
        self._wait(_Submitted(write, self._told))

    def do(self, chore: Chore) -> None:
        self._wait(chore)

    def _wait(self, one: _Submitted | Chore) -> None:
        if not self.is_open:
            raise StorageFault("the writer is closed")
        self._waiting.append(one)
        if not self._is_busy:
            self._is_busy = True
            self._later(0, self._begin)

    def fileno(self) -> int:
        return TOKEN

    @property
    def is_readable(self) -> bool:
        return bool(self._done)

    def close(self) -> None:
        """What was submitted is done, as the real one's contract says."""
        while self.is_open and (self._taken or self._waiting or self._is_amid()):
            taken, self._taken, self._waiting = [*self._taken, *self._waiting], [], []
            self._serve(taken)
            self._store.tell_written()
        self._drop()

    def lose(self, transactions: int) -> None:
        """The process dies; so many transactions of the round that is under way still reach the disk."""
        if self.is_open and self._taken:
            self._store.commits_left = transactions
            try:
                self._serve(self._taken)
            except Crash:
                self._store.mark(
                    "a process dies between two transactions"
                    if transactions
                    else "a write dies with its process"
                )
            else:
                self._store.mark("a write outlives its process")
            self._store.tell_written()
            if self._held or self._aside_staging is not None:
                self._store.mark("a process dies while it stages a snapshot")
        self._drop()

    def _drop(self) -> None:
        self.is_open = False
        self._waiting, self._taken = [], []
        self._held.clear()
        self._aside.clear()

    def _begin(self) -> None:
        if not self.is_open:
            return
        self._taken, self._waiting = self._waiting, []
        self._later(self._us_of(self._taken), self._end)

    def _us_of(self, taken: Iterable[_Submitted | Chore]) -> int:
        """Writes of a round share a transaction; a chore has its own, and so has a step of staging."""
        disk, random = self._store.disk, self._store.rng.random
        sizes = [_size(one) for one in taken if isinstance(one, _Submitted)]
        transactions = bool(sizes) + sum(not isinstance(one, _Submitted) for one in taken) + self._is_amid()
        least, most = disk.sync_us
        takes = sum(least + int(random() * (most - least + 1)) for _ in range(transactions))
        if disk.us_per_kb:
            takes += sum(sizes) * disk.us_per_kb // 1000
        return takes + transactions * disk.slower_us + max(0, disk.hangs_until - self._now())

    def _end(self) -> None:
        if not self.is_open:
            return
        hangs = self._store.disk.hangs_until - self._now()
        if hangs > 0:
            self._later(hangs, self._end)
            return
        taken, self._taken = self._taken, []
        self._serve(taken)
        self._store.tell_written()
        if self._waiting or self._is_amid():
            self._begin()
        else:
            self._is_busy = False
        self._readable()

    def _overtake(self, group: int) -> None:
        if any(one.write.group == group for one in self._aside):
            self._store.mark("the leader's snapshot overtakes the member's own on its way to the disk")
        super()._overtake(group)

    def _notify(self) -> None:
        """`_readable` is called at the end of the round."""


def _size(submitted: _Submitted) -> int:
    """Bytes, about."""
    write = submitted.write
    snapshot = write.snapshot.meta.size if write.snapshot is not None else 0
    return snapshot + sum(map(size_of, write.entries))
