"""A member's snapshots: asked of its object, stored, and read again."""

from typing import Any, Protocol
from zlib import crc32

from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.notices import tell_class
from fleet.actors.messages.executor import DumpFailed, ObjectDumped, StateLoaded
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.actors.runtime.actor import log
from fleet.errors import Damaged, FleetError, StateNotEncodable
from fleet.interfaces import Durable, SnapshotWrite, Write
from fleet.raft.core import Core
from fleet.raft.entries import SnapshotMeta
from fleet.raft.events import SnapshotFailed, SnapshotStored, SnapshotTaken
from fleet.raft.ids import Index, Revision
from fleet.raft.ready import SaveRequest
from fleet.raft.switching import class_at


class SnapshottingMember(Protocol):
    start: StartMember
    spec: GroupSpec
    core: Core
    object: MemberObject
    store: Durable
    number: int
    myAddress: Any

    def send(self, target: Any, message: Any) -> None: ...

    def step(self, event: Any) -> None: ...


class Snapshots:
    def __init__(self, member: SnapshottingMember) -> None:
        self.member = member
        self.installing: tuple[SnapshotMeta, bytes] | None = None
        """The leader's snapshot, until it is on the disk."""
        self.not_encodable: FleetError | None = None
        """Why the newest snapshot failed."""
        self.revisions: dict[Index, Revision] = {}
        """Of the durable snapshot and of the one that is being taken."""

    @property
    def durable_revision(self) -> Revision:
        """A restart begins with a state that is at least as new."""
        return self.revisions.get(self.member.core.durable_snapshot, 0)

    # -- reading -----------------------------------------------------------------------------------

    def newest_meta(self) -> SnapshotMeta | None:
        return self.installing[0] if self.installing is not None else self.member.core.snapshot

    def newest(self) -> tuple[SnapshotMeta, bytes] | None:
        """Raises Damaged."""
        if self.installing is not None:
            return self.installing
        snapshot = self.member.core.snapshot
        return (snapshot, self.read(snapshot)) if snapshot is not None else None

    def read(self, meta: SnapshotMeta) -> bytes:
        """Raises Damaged."""
        member = self.member
        data = member.store.read_snapshot(member.number, meta.index, 0, meta.size)
        if data is None or len(data) != meta.size or crc32(data) != meta.crc:
            raise Damaged("the snapshot's bytes are not what was written", group=member.spec.name)
        return data

    def replace(self, meta: SnapshotMeta, data: bytes) -> None:
        """By the leader's snapshot, which overtakes one that is being taken."""
        self.not_encodable = None
        self.installing = meta, data
        before = self.member.object.data_class
        self.member.object.load(meta, data)
        if self.member.object.data_class != before:
            tell_class(self.member)

    def on_loaded(self, m: StateLoaded) -> None:
        self.revisions[m.index] = m.revision

    def on_persisted(self) -> None:
        if self.installing is not None and self.member.core.durable_snapshot >= self.installing[0].index:
            self.installing = None

    def on_stored(self, m: SnapshotStored) -> None:
        """A switch of the class is behind this member once its snapshot is durable."""
        member = self.member
        member.step(m)
        self.on_persisted()
        snapshot = member.core.snapshot
        if snapshot is not None and member.object.switch(snapshot.data_class):
            tell_class(member)

    # -- taking ------------------------------------------------------------------------------------

    def take(self, index: Index) -> None:
        core = self.member.core
        newest, size = (core.snapshot.index, core.snapshot.size) if core.snapshot is not None else (0, 0)
        self.revisions = {at: revision for at, revision in self.revisions.items() if at >= newest}
        if self.member.object.dumping:  # for a backup: the core asks again soon
            self.member.send(self.member.myAddress, SnapshotFailed())
            return
        self.member.object.dump(index, size, class_at(core, index))

    def on_dumped(self, m: ObjectDumped | DumpFailed) -> None:
        if isinstance(m, ObjectDumped):
            self.revisions[m.index] = m.revision
            self.not_encodable = None
            skipped = self.member.object.skipped_before(m.index)
            self.member.step(SnapshotTaken(m.index, m.state, m.crc, skipped))
        else:
            self.member.step(self._failed(m.error.to_error()))

    def _failed(self, error: FleetError) -> SnapshotFailed:
        member = self.member
        log.error("group=%s member=%s has no snapshot for now: %s", member.spec.name, member.core.id, error)
        if isinstance(error, StateNotEncodable):
            self.not_encodable = error
        return SnapshotFailed()

    # -- storing -----------------------------------------------------------------------------------

    def save(self, request: SaveRequest) -> None:
        """Aside from the writes; `SnapshotStored` or `SnapshotFailed` follows."""
        member, meta, data = self.member, request.meta, request.data
        snapshot = SnapshotWrite(meta, data)
        keep_after, retain = request.keep_after, request.retain
        write = Write(
            member.number, 0, snapshot=snapshot, keep_after=keep_after, is_aside=True, retain=retain
        )
        if member.start.disk is not None:
            member.send(member.start.disk, write)
            return
        try:
            member.store.write([write])
        except FleetError as error:
            member.send(member.myAddress, self._failed(error))
            return
        member.send(member.myAddress, SnapshotStored(meta.index))
