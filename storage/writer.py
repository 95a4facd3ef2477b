"""Group commit off the event loop: one thread writes; writes that arrive meanwhile share the next sync."""

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from fleet.errors import StorageFault
from fleet.interfaces import (
    Chore,
    ChoreDone,
    Completion,
    CreateGroups,
    DropGroup,
    Durable,
    GroupRecord,
    PutMeta,
    RaiseVersion,
    Renew,
    Write,
)
from fleet.storage.store import Store
from fleet.system.wakeup import Wakeup


def carry_out(store: Durable, chore: Chore) -> ChoreDone:
    """Do the chore; durable on return, unless it has failed."""
    records: list[GroupRecord] = []
    try:
        match chore:
            case PutMeta(key, value):
                store.put_meta(key, value)
            case CreateGroups(groups, meta):
                records = store.create_groups(groups, meta)
            case DropGroup(number, meta):
                store.drop_group(number, meta)
            case Renew(incarnation, meta):
                store.renew(incarnation, meta)
            case RaiseVersion(version):
                store.raise_version(version)
    except Exception as error:
        return ChoreDone(chore, error)
    return ChoreDone(chore, None, tuple(records))


class _Submitted(NamedTuple):
    write: Write
    told: int
    """How many failures the submitter had been told of."""


class _Broken(NamedTuple):
    failure: int
    error: Exception


class Writer:
    """Call `submit`, `completed` and `close` from one thread, and watch `fileno()` there.

    Writes of one group are done in order of submission, each completely or not at all. After a failure all
    writes of the group fail with the same error, untried, until `completed` has returned the failure to the
    submitter, so that nothing is written after a gap. Writes submitted later are tried again.

    A StorageFault fails the whole batch. Any other error concerns one group: the batch is then written group
    by group, so that the others succeed.

    A snapshot that is staged in steps does not delay other groups, which are written between the steps;
    writes of its own group wait for it, unless it `is_aside`. One commit takes no more bytes of small
    snapshots aside than one step takes of a big one.

    `at_turn_end(action)` runs an action at the end of the submitter's turn. The writer's thread is woken only
    then, so that it does not compete with what the submitter still has to do, such as sending.
    """

    def __init__(self, store: Store, at_turn_end: Callable[[Callable[[], None]], None] | None = None) -> None:
        self._store = store
        self._at_turn_end = at_turn_end
        self._submitted: list[_Submitted] = []
        self._queue: SimpleQueue[list[_Submitted] | Chore | None] = SimpleQueue()
        self._done: deque[Completion | ChoreDone] = deque()
        self._wakeup: Wakeup | None = Wakeup()
        self._told = 0
        self._failures = 0
        self._broken: dict[int, _Broken] = {}
        self._held: dict[int, list[_Submitted]] = {}
        self._aside: deque[_Submitted] = deque()
        self._staging: Iterator[None] | None = None
        self._aside_staging: Iterator[None] | None = None
        self._thread = threading.Thread(target=self._run, name="fleet-writer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._wakeup.close()
            raise OSError(errno.EAGAIN, f"the disk writer's thread cannot be started: {error}") from None

    # -- for the submitter -------------------------------------------------------------------

    def submit(self, write: Write) -> None:
        """Queue a write. Costs about a microsecond; wakes the thread if it sleeps."""
        if self._wakeup is None:
            raise StorageFault("the writer is closed", group=write.group)
        submitted = _Submitted(write, self._told)
        if self._at_turn_end is None:
            self._queue.put([submitted])
            return
        if not self._submitted:
            self._at_turn_end(self._pass_on)
        self._submitted.append(submitted)

    def _pass_on(self) -> None:
        if self._submitted:
            self._queue.put(self._submitted)
            self._submitted = []

    def do(self, chore: Chore) -> None:
        """Do the chore after everything submitted before."""
        if self._wakeup is None:
            raise StorageFault("the writer is closed")
        self._pass_on()
        self._queue.put(chore)

    def fileno(self) -> int:
        """Readable when `completed` has results. Level-triggered."""
        return -1 if self._wakeup is None else self._wakeup.fd

    def completed(self) -> list[Completion | ChoreDone]:
        """The results since the last call, in the order of the commits; each write and chore appears once."""
        if self._wakeup is not None:
            try:
                self._wakeup.clear()
            except BlockingIOError:
                return []
        done: list[Completion | ChoreDone] = []
        while self._done:
            completion = self._done.popleft()
            self._told += type(completion) is Completion and completion.error is not None
            done.append(completion)
        return done

    def close(self) -> None:
        """Wait until everything submitted is done. `completed` can be called once more afterwards."""
        if self._wakeup is not None:
            self._pass_on()
            self._queue.put(None)
            self._thread.join()
            self._wakeup.close()
            self._wakeup = None

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        is_closing = False
        while not is_closing or self._is_amid():
            taken = self._take(wait=not (is_closing or self._is_amid()))
            is_closing = is_closing or None in taken
            self._serve([one for one in taken if one is not None])

    def _is_amid(self) -> bool:
        """Whether snapshots are being staged or wait for it."""
        return bool(self._held or self._aside)

    def _serve(self, taken: Sequence[_Submitted | Chore]) -> None:
        """One round: everything taken, in order, then one step of a snapshot being staged."""
        ready: list[_Submitted] = []
        for one in taken:
            if not isinstance(one, _Submitted):
                self._commit(ready)
                ready = []
                self._carry_out(one)
                continue
            if one.write.snapshot is not None and not one.write.is_aside:
                self._overtake(one.write.group)
            if one.write.is_aside:
                self._aside.append(one)
            elif one.write.group in self._held:
                self._held[one.write.group].append(one)
            elif self._is_big(one.write):
                self._held[one.write.group] = [one]
            else:
                ready.append(one)
        self._commit([*ready, *self._small_aside()])
        if self._held:
            self._stage_on()
        elif self._aside:
            self._stage_aside()

    def _take(self, wait: bool) -> list[_Submitted | Chore | None]:
        """Everything in the queue, at least one item if `wait`."""
        taken: list[_Submitted | Chore | None] = []
        try:
            while True:
                one = self._queue.get(wait and not taken)
                if isinstance(one, list):
                    taken += one
                else:
                    taken.append(one)
        except Empty:
            return taken

    def _is_big(self, write: Write) -> bool:
        return write.snapshot is not None and write.snapshot.meta.size > self._store.inline_bytes_max

    def _stage_on(self) -> None:
        """One step for the group that has waited longest; after the last step, all its writes."""
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

    def _carry_out(self, chore: Chore) -> None:
        self._done.append(carry_out(self._store, chore))
        self._notify()

    def _notify(self) -> None:
        assert self._wakeup is not None, "it is closed when the thread has ended"
        self._wakeup.set()

    def _overtake(self, group: int) -> None:
        """The leader's snapshot arrives: abandon the member's own."""
        for one in [one for one in self._aside if one.write.group == group]:
            if one is self._aside[0] and self._aside_staging is not None:
                self._aside_staging.close()  # type: ignore[attr-defined]
                self._aside_staging = None
            self._aside.remove(one)
            self._finish([one.write], None)

    def _small_aside(self) -> list[_Submitted]:
        taken: list[_Submitted] = []
        size = 0
        while self._aside and not self._is_big(self._aside[0].write):
            snapshot = self._aside[0].write.snapshot
            size += snapshot.meta.size if snapshot is not None else 0
            if taken and size > self._store.inline_bytes_max:
                break
            taken.append(self._aside.popleft())
        return taken

    def _stage_aside(self) -> None:
        """One step for the first one aside; after the last step, its write."""
        first = self._aside[0]
        if not self._is_big(first.write):
            return
        if self._aside_staging is None:
            self._aside_staging = self._store.stage(first.write)
        error: Exception | None = None
        try:
            next(self._aside_staging)
            return
        except StopIteration:
            pass
        except Exception as fault:
            error = fault
        self._aside_staging = None
        self._aside.popleft()
        if error is None:
            self._commit([first])
        else:
            self._finish([first.write], error)

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
                if not write.is_aside:
                    self._broken[write.group] = _Broken(self._failures, error)
        self._done.append(Completion(tuple(writes), error))
        self._notify()
