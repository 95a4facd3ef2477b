"""The applied state of one object in and out of bytes: snapshots that are taken and loaded, and copies.

A small state is encoded at once, a big one by a forked child, while the object goes on.
"""

from functools import partial
from typing import Any, Protocol
from zlib import crc32

from fleet.actors.messages.executor import CopyState, DumpFailed, DumpObject, ObjectDumped, StateCopied
from fleet.errors import FleetError
from fleet.interfaces import Dump
from fleet.objects.applied_state import dumped_object
from fleet.objects.applier import Applier
from fleet.objects.payload import ErrorRecord
from fleet.objects.progress import OTHER, begin, end
from fleet.raft.ids import Index, Revision

NO_DUMP = (FleetError, OSError, MemoryError)
"""Errors that prevent a snapshot for now; it is tried again."""


class DumpOwner(Protocol):
    """The object, as its executor holds it."""

    host: Any
    number: int
    run: int
    group: str
    applier: Applier


class StateDumps:
    def __init__(self, owner: DumpOwner) -> None:
        self.owner = owner
        self.under_way: tuple[Index, Revision, Dump] | None = None
        """The snapshot that a child encodes."""

    def on_dump(self, m: DumpObject) -> None:
        owner = self.owner
        applier, host = owner.applier, owner.host
        assert m.index == applier.index, f"a snapshot of {m.index} at {applier.index}"
        limit = host.fork_above_bytes
        begin(host.cells, OTHER, owner.number, owner.run)
        try:
            if limit and max(m.size, applier.journal.bytes_about()) > limit:
                dump = host.fork(partial(applier.dump, m.version))
                self.under_way = m.index, applier.revision, dump
                host.wait_for(owner, dump)
            else:
                state = applier.dump(m.version)
                host.answer(self._dumped(m.index, applier.revision, state, crc32(state)))
        except NO_DUMP as error:
            self._not_dumped(m.index, error)
        finally:
            end(host.cells)

    def on_copy(self, m: CopyState) -> None:
        """On the loop, however big: it is for an operator who waits."""
        owner = self.owner
        begin(owner.host.cells, OTHER, owner.number, owner.run)
        try:
            answer = StateCopied(owner.number, owner.run, m.token, owner.applier.dump(m.version))
        except NO_DUMP as error:
            told = error if isinstance(error, FleetError) else FleetError(str(error), group=owner.group)
            answer = StateCopied(owner.number, owner.run, m.token, b"", ErrorRecord.of(told))
        end(owner.host.cells)
        owner.host.answer(answer)

    def on_done(self) -> None:
        """A descriptor was reported, perhaps twice, or late."""
        if self.under_way is None or not self.under_way[2].is_done():
            return
        (index, revision, dump), self.under_way = self.under_way, None
        host = self.owner.host
        host.wait_for(self.owner, None)
        try:
            state, crc = dump.take()
        except NO_DUMP as error:
            self._not_dumped(index, error)
        else:
            host.answer_from_memory(self._dumped(index, revision, state, crc), dump)

    def cancel(self) -> None:
        """What is under way is not wanted any more."""
        if self.under_way is not None:
            self.under_way[2].cancel()
            self.under_way = None
            self.owner.host.wait_for(self.owner, None)

    def _dumped(self, index: Index, revision: Revision, state: bytes, crc: int) -> ObjectDumped:
        """From now on a command that fails is undone from here."""
        owner = self.owner
        owner.applier.journal.rebase(index, lambda: dumped_object(state) or None, len(state))
        return ObjectDumped(owner.number, owner.run, index, revision, state, crc)

    def _not_dumped(self, index: Index, error: BaseException) -> None:
        owner = self.owner
        if not isinstance(error, FleetError):
            error = FleetError(str(error) or "too little memory", group=owner.group)
        owner.host.answer(DumpFailed(owner.number, owner.run, index, ErrorRecord.of(error)))
