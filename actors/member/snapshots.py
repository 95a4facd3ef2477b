"""A member's snapshots: taken, at once or by a child; stored; read again as the base of its applier."""

from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

from thespian.actors import ThespianWatch

from fleet.actors.messages.local import StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.actors.runtime.actor import log
from fleet.errors import Damaged, FleetError, StateNotEncodable
from fleet.interfaces import Dump, Durable, SnapshotWrite, Write
from fleet.objects.applier import Applier, dumped_object
from fleet.raft.core import Core
from fleet.raft.entries import SnapshotMeta
from fleet.raft.events import SnapshotFailed, SnapshotStored, SnapshotTaken
from fleet.raft.ids import Index, Revision
from fleet.raft.ready import SaveRequest

NO_SNAPSHOT = (FleetError, OSError, MemoryError)
"""Errors that prevent a snapshot for now; it is tried again."""


class SnapshottingMember(Protocol):
    start: StartMember
    spec: GroupSpec
    core: Core
    applier: Applier
    store: Durable
    number: int
    watching: ThespianWatch | None
    myAddress: Any

    def send(self, target: Any, message: Any) -> None: ...

    def step(self, event: Any) -> None: ...


class Snapshots:
    def __init__(self, member: SnapshottingMember) -> None:
        self.member = member
        self.base_index: Index = 0
        """Of the snapshot that the applier goes back to, when it is on the disk."""
        self.dumping: tuple[Index, Dump] | None = None
        """The snapshot that a child encodes."""
        self.not_encodable: StateNotEncodable | None = None
        """Why the newest snapshot failed."""
        self.revisions: dict[Index, Revision] = {}
        """Of the durable snapshot and of the one that is being taken."""

    @property
    def durable_revision(self) -> Revision:
        """A restart begins with a state that is at least as new."""
        return self.revisions.get(self.member.core.durable_snapshot, 0)

    # -- reading -----------------------------------------------------------------------------------

    def restore(self, meta: SnapshotMeta) -> None:
        """When the member starts: from the disk."""
        applier = self.member.applier
        applier.restore(self._read(meta), self._base_of(meta))
        self.base_index = meta.index
        self.revisions[meta.index] = applier.revision

    def replace(self, data: bytes) -> None:
        """By the leader's snapshot, which overtakes one that is being taken."""
        self.cancel()
        self.not_encodable = None
        applier = self.member.applier
        applier.restore(data)
        self.revisions[applier.index] = applier.revision

    def rebase(self) -> None:
        """Let the applier start from the snapshot that is on the disk now."""
        core = self.member.core
        snapshot = core.snapshot
        if snapshot is not None and core.durable_snapshot > self.base_index:
            self.base_index = snapshot.index
            self.member.applier.rebase(snapshot.index, self._base_of(snapshot), snapshot.size)

    def _base_of(self, meta: SnapshotMeta) -> Callable[[], bytes]:
        return lambda: dumped_object(self._read(meta))

    def _read(self, meta: SnapshotMeta) -> bytes:
        member = self.member
        data = member.store.read_snapshot(member.number, meta.index, 0, meta.size)
        if data is None or len(data) != meta.size or crc32(data) != meta.crc:
            raise Damaged("the snapshot's bytes are not what was written", group=member.spec.name)
        return data

    # -- taking ------------------------------------------------------------------------------------

    def take(self, index: Index) -> None:
        """A small state at once; a big one in a child, while the member goes on."""
        member = self.member
        core, applier, limit = member.core, member.applier, member.start.fork_above_bytes
        assert index == applier.index
        newest, size = (core.snapshot.index, core.snapshot.size) if core.snapshot is not None else (0, 0)
        self.revisions = {at: revision for at, revision in self.revisions.items() if at >= newest}
        self.revisions[index] = applier.revision
        try:
            if limit and max(size, applier.bytes_about()) > limit:
                self.dumping = (index, member.start.fork(applier.dump))
                member.watching = ThespianWatch([self.dumping[1].fileno()])
            else:
                core.step(core.now, SnapshotTaken(index, applier.dump()))
                self.not_encodable = None
        except NO_SNAPSHOT as error:
            core.step(core.now, self._failed(error))

    def on_dumped(self) -> None:
        """By Thespian's rule a descriptor may be reported again before the first report is handled."""
        if self.dumping is None or not self.dumping[1].is_done():
            return
        index, dump = self.dumping
        self.dumping = self.member.watching = None
        try:
            taken: SnapshotTaken | SnapshotFailed = SnapshotTaken(index, dump.take())
            self.not_encodable = None
        except NO_SNAPSHOT as error:
            taken = self._failed(error)
        self.member.step(taken)

    def cancel(self) -> None:
        if self.dumping is not None:
            self.dumping[1].cancel()
            self.dumping = self.member.watching = None

    def _failed(self, error: BaseException) -> SnapshotFailed:
        member = self.member
        why = error or "too little memory"
        log.error("group=%s %s has no snapshot for now: %s", member.spec.name, member.core.id, why)
        if isinstance(error, StateNotEncodable):
            self.not_encodable = error
        return SnapshotFailed()

    # -- storing -----------------------------------------------------------------------------------

    def save(self, request: SaveRequest) -> None:
        """Aside from the writes; `SnapshotStored` or `SnapshotFailed` follows."""
        member, meta, data = self.member, request.meta, request.data
        snapshot = SnapshotWrite(meta, data)
        write = Write(member.number, 0, snapshot=snapshot, keep_after=request.keep_after, is_aside=True)
        # The previous snapshot is deleted as soon as the disk has this one.
        member.applier.rebase(meta.index, lambda: dumped_object(data), meta.size)
        if member.start.disk is not None:
            member.send(member.start.disk, write)
            return
        try:
            member.store.write([write])
        except FleetError as error:
            member.send(member.myAddress, self._failed(error))
            return
        member.send(member.myAddress, SnapshotStored(meta.index))
