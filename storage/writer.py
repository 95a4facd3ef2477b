"""Group commit off the event loop: one thread writes, and what comes meanwhile shares the next sync."""

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from fleet.errors import StorageFault
from fleet.ports import Completion, Write
from fleet.storage.store import Store


class _Submitted(NamedTuple):
    write: Write
    told: int
    """How many failures the submitter knew of."""


class _Broken(NamedTuple):
    failure: int
    error: Exception


class Writer:
    """`submit`, `completed` and `close` from one thread; watch `fileno()` there.

    Writes of one group are done in the order of submission, each whole or not at all. When one
    fails, every write of its group fails with the same error without being tried until `completed`
    has given the failure to the submitter: nothing is written on top of what is missing. The next
    one submitted after that is tried again.

    A StorageFault fails all that was in the batch. Any other error is one group's own: the batch
    is then written group by group, and the others do not suffer.

    A snapshot that the store stages in steps does not keep other groups waiting: they are written
    between the steps; its own group's writes queue behind it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: SimpleQueue[_Submitted | None] = SimpleQueue()
        self._done: deque[Completion] = deque()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._told = 0
        self._failures = 0
        self._broken: dict[int, _Broken] = {}
        self._held: dict[int, list[_Submitted]] = {}
        self._staging: Iterator[None] | None = None
        self._thread = threading.Thread(target=self._run, name="fleet-writer", daemon=True)
        self._thread.start()

    # -- the submitter's side ----------------------------------------------------------------

    def submit(self, write: Write) -> None:
        """Costs about a microsecond; wakes the thread if it sleeps."""
        if self._fd < 0:
            raise StorageFault("the writer is closed", group=write.group)
        self._queue.put(_Submitted(write, self._told))

    def fileno(self) -> int:
        """Readable when `completed` has something to give. Level-triggered."""
        return self._fd

    def completed(self) -> list[Completion]:
        """In the order of the commits; every write that was submitted appears once."""
        if self._fd >= 0:
            try:
                os.eventfd_read(self._fd)
            except BlockingIOError:
                return []
        done = []
        while self._done:
            completion = self._done.popleft()
            self._told += completion.error is not None
            done.append(completion)
        return done

    def close(self) -> None:
        """Returns when all that was submitted is done; `completed` can be asked once more."""
        if self._fd >= 0:
            self._queue.put(None)
            self._thread.join()
            os.close(self._fd)
            self._fd = -1

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        is_closing = False
        while not is_closing or self._held:
            ready = []
            for one in self._take(wait=not is_closing and not self._held):
                if one is None:
                    is_closing = True
                elif one.write.group in self._held:
                    self._held[one.write.group].append(one)
                elif self._is_big(one.write):
                    self._held[one.write.group] = [one]
                else:
                    ready.append(one)
            self._commit(ready)
            if self._held:
                self._stage_on()

    def _take(self, wait: bool) -> list[_Submitted | None]:
        """Everything that is there, and at least one if `wait`."""
        taken: list[_Submitted | None] = [self._queue.get()] if wait else []
        try:
            while True:
                taken.append(self._queue.get_nowait())
        except Empty:
            return taken

    def _is_big(self, write: Write) -> bool:
        return write.snapshot is not None and write.snapshot.meta.size > self._store.inline_bytes_max

    def _stage_on(self) -> None:
        """One step for the group that waits longest; after the last, all its writes."""
        group = next(iter(self._held))
        if self._staging is None:
            self._staging = self._store.stage(self._held[group][0].write)
        try:
            next(self._staging)
            return
        except StopIteration:
            self._staging = None
            self._commit(self._held.pop(group))
        except Exception as error:
            self._staging = None
            self._finish([one.write for one in self._held.pop(group)], error)

    def _commit(self, submitted: Sequence[_Submitted]) -> None:
        writes = []
        for one in submitted:
            broken = self._broken.get(one.write.group) if self._broken else None
            if broken is not None and one.told < broken.failure:
                self._finish([one.write], broken.error)
                continue
            if broken is not None:
                del self._broken[one.write.group]
            writes.append(one.write)
        if writes:
            self._write(writes)

    def _write(self, writes: list[Write]) -> None:
        try:
            self._store.write(writes)
        except StorageFault as error:
            self._finish(writes, error)
        except Exception as error:
            groups = dict.fromkeys(write.group for write in writes)
            if len(groups) == 1:
                self._finish(writes, error)
            else:
                for group in groups:
                    self._write([write for write in writes if write.group == group])
        else:
            self._finish(writes, None)

    def _finish(self, writes: list[Write], error: Exception | None) -> None:
        if error is not None:
            self._failures += 1
            for write in writes:
                self._broken[write.group] = _Broken(self._failures, error)
        self._done.append(Completion(tuple(writes), error))
        os.eventfd_write(self._fd, 1)
