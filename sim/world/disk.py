"""A disk in virtual time: what was synced survives, what was not is lost or not, and anything may go wrong.

The records are real ones (`MemoryStore`), so a flipped bit is found by its checksum; a transaction is
whole or absent, as LMDB keeps it: a torn last write is one that never was.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fleet.errors import StorageFault, StoreFull
from fleet.interfaces import Chore, ChoreDone, Completion, Write
from fleet.raft.entries import size_of
from fleet.storage.keys import META, counter_key, kind_range, number_of
from fleet.storage.memory_store import Changes, Image, MemoryStore
from fleet.storage.records import unpack, unseal
from fleet.storage.writer import Writer, _Broken, _Submitted

TOKEN = 1
"""What stands for the writer's descriptor."""


@dataclass(slots=True)
class SimDisk:
    """What outlives a process, and how the disk is today. A wipe makes a new incarnation."""

    image: Image = field(default_factory=dict)
    incarnation: str = ""
    sync_us: tuple[int, int] = (300, 2_000)
    errs: float = 0.0
    """How likely a transaction fails."""
    us_per_kb: int = 0
    """What a write takes longer for each 1,000 bytes of it."""
    is_full: bool = False
    hangs_until: int = 0

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


class DiskStore(MemoryStore):
    """The shipping store over a simulated disk: what it does at once (not by the writer) takes no time."""

    def __init__(self, disk: SimDisk, cluster: str, node: str, rng: random.Random) -> None:
        self.disk = disk
        self.rng = rng
        super().__init__(cluster, node, image=disk.image, incarnation=disk.incarnation)
        disk.image = self.image

    def check_own(self) -> None:
        """Read what is the node's own and no group's. Raises Damaged."""
        self.groups()
        self._view(lambda txn: unpack(counter_key, txn.get(counter_key), int))
        self._view(lambda txn: [unseal(key, record) for key, record in txn.scan(*kind_range(0, META))])

    def commit(self, changes: Changes) -> None:
        disk = self.disk
        if disk.is_full and any(value is not None and number_of(key) for key, value in changes.items()):
            raise StoreFull("no space left on the simulated disk")
        if disk.errs and self.rng.random() < disk.errs:
            raise StorageFault("the simulated disk erred (EIO)")
        super().commit(changes)


class SimWriter(Writer):
    """The shipping writer with virtual time in the place of its thread.

    Everything that was submitted when a sync begins shares it; `later(us, action)` carries on when the
    sync is over, `written(writes)` hears of each batch that is durable. What is written aside takes its time
    beside the others, one after the other.
    """

    def __init__(
        self,
        store: DiskStore,
        now: Callable[[], int],
        later: Callable[[int, Callable[[], None]], None],
        readable: Callable[[], None],
        written: Callable[[Sequence[Write]], None],
    ) -> None:
        self._store: Any = store
        self._disk = store.disk
        self._done: deque[Completion | ChoreDone] = deque()
        self._told = 0
        self._failures = 0
        self._broken: dict[int, _Broken] = {}
        self._now, self._later, self._readable, self._written = now, later, readable, written
        self._aside: deque[_Submitted] = deque()
        self._waiting: list[Any] = []
        self._syncing: list[Any] = []
        self._is_busy = False
        self.is_open = True

    def submit(self, write: Write) -> None:
        submitted = _Submitted(write, self._told)
        if not write.is_aside:
            if write.snapshot is not None:
                self._overtake(write.group)
            self._wait(submitted)
        elif self.is_open:
            self._aside.append(submitted)
            if len(self._aside) == 1:
                self._later(0, self._begin_aside)
        else:
            raise StorageFault("the writer is closed", group=write.group)

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

    def completed(self) -> list[Completion | ChoreDone]:
        done = list(self._done)
        self._done.clear()
        self._told += sum(type(one) is Completion and one.error is not None for one in done)
        return done

    def close(self) -> None:
        """What was submitted is done, as the real one's contract says."""
        if self.is_open:
            self._commit([*self._syncing, *self._waiting, *self._aside])
            self._drop()

    def lose(self, survives: bool) -> None:
        """The process died. The transaction under way made it to the disk as a whole, or not at all."""
        if self.is_open and self._syncing and survives:
            try:
                self._commit(self._syncing)
            except StorageFault:
                pass
        self._drop()

    def _drop(self) -> None:
        self.is_open = False
        self._waiting, self._syncing = [], []
        self._aside.clear()

    def _begin(self) -> None:
        if not self.is_open:
            return
        self._syncing, self._waiting = self._waiting, []
        self._later(self._us_of(self._syncing), self._end)

    def _us_of(self, writes: Iterable[_Submitted | Chore]) -> int:
        least, most = self._disk.sync_us
        takes = least + int(self._store.rng.random() * (most - least + 1))
        if self._disk.us_per_kb:
            takes += sum(map(_size, writes)) * self._disk.us_per_kb // 1000
        return takes + max(0, self._disk.hangs_until - self._now())

    def _begin_aside(self) -> None:
        if self._aside:
            first = self._aside[0]
            self._later(self._us_of([first]), partial(self._end_aside, first))

    def _end_aside(self, first: _Submitted) -> None:
        if not self._aside or self._aside[0] is not first:
            return
        hangs = self._disk.hangs_until - self._now()
        if hangs > 0:
            self._later(hangs, partial(self._end_aside, first))
            return
        self._commit([self._aside.popleft()])
        self._begin_aside()
        self._readable()

    def _overtake(self, group: int) -> None:
        """The leader's snapshot is coming: the member's own is no longer wanted."""
        before = list(self._aside)
        for one in before:
            if one.write.group == group:
                self._aside.remove(one)
                self._done.append(Completion((one.write,)))
        if self._done:
            self._later(0, self._readable)
        if before and self._aside and self._aside[0] is not before[0]:
            self._begin_aside()

    def _end(self) -> None:
        if not self.is_open:
            return
        if self._disk.hangs_until > self._now():
            self._later(self._disk.hangs_until - self._now(), self._end)
            return
        syncing, self._syncing = self._syncing, []
        self._commit(syncing)
        if self._waiting:
            self._begin()
        else:
            self._is_busy = False
        self._readable()

    def _commit(self, submitted: Sequence[_Submitted | Chore]) -> None:
        """Chores take no time of their own."""
        writes: list[_Submitted] = []
        for one in submitted:
            if isinstance(one, _Submitted):
                writes.append(one)
            else:
                super()._commit(writes)
                writes = []
                self._carry_out(one)
        super()._commit(writes)

    def _notify(self) -> None:
        """`_readable` is called when all is done."""

    def _finish(self, writes: list[Write], error: Exception | None) -> None:
        if error is None:
            self._written(writes)
        else:
            self._failures += 1
            for write in writes:
                if not write.is_aside:
                    self._broken[write.group] = _Broken(self._failures, error)
        self._done.append(Completion(tuple(writes), error))


def _size(submitted: _Submitted | Chore) -> int:
    """Bytes, about."""
    if not isinstance(submitted, _Submitted):
        return 0
    write = submitted.write
    snapshot = write.snapshot.meta.size if write.snapshot is not None else 0
    return snapshot + sum(map(size_of, write.entries))
