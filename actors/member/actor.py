"""A consensus member: feeds the messages it receives to the core, and carries out what the core returns."""

import random
from collections import deque
from typing import Any
from zlib import crc32

import msgspec
from thespian.actors import ActorExitRequest, ThespianWatch, WakeupMessage, WatchMessage

from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.hook_events import HookEvents, open_hook_events
from fleet.actors.member.operator_requests import OperatorRequests
from fleet.actors.messages.client import ClientRequest
from fleet.actors.messages.local import (
    Applied,
    Leading,
    LocalAnswer,
    LocalRead,
    MemberGone,
    MemberHere,
    MemberStopped,
    PeerAddresses,
    StartMember,
    WriteFailed,
)
from fleet.actors.messages.operator import CONFLICT, DAMAGED, DISK_FULL, GroupRequest
from fleet.actors.messages.peer import PeerMail
from fleet.actors.messages.values import GroupSpec
from fleet.actors.runtime.actor import GuardedActor, log
from fleet.actors.runtime.timer import Timer
from fleet.actors.runtime.turn import EndTurn, TurnEnd
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import Damaged, FleetError, StateNotEncodable, StorageFault, StoreFull
from fleet.interfaces import Dump, Durable, SnapshotWrite, Write
from fleet.objects.applier import Applier, Opened, dumped_object
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_class
from fleet.raft.codec import encode_messages, read_messages
from fleet.raft.config import CARRIED_BYTES_MAX
from fleet.raft.core import Core
from fleet.raft.entries import SnapshotMeta
from fleet.raft.events import Persisted, SnapshotFailed, SnapshotLost, SnapshotStored, SnapshotTaken, Tick
from fleet.raft.ids import Index, MemberId, Millis, NodeName, Revision, node_of
from fleet.raft.messages import PeerMessage
from fleet.raft.ready import (
    BecameLeader,
    CommittedConflict,
    MembersChanged,
    PersistRequest,
    Ready,
    SaveRequest,
    SteppedDown,
    TailLost,
)
from fleet.raft.restart import join_founding, start_core
from fleet.raft.state import NEVER
from fleet.storage.lmdb_store import LmdbStore

MESSAGES_MAX = 256
"""Messages in one PeerMail."""
MAIL_BYTES_MAX = CARRIED_BYTES_MAX // 2
"""A longer PeerMail is split: a window full of large appends would not fit a frame of a link."""

NO_SNAPSHOT = (FleetError, OSError, MemoryError)
"""Errors that prevent a snapshot for now; it is tried again."""


class Member(GuardedActor):
    """Steps each event into the core as it arrives. At the end of the turn, which it marks by a message to
    itself, it carries out everything that the core returned, in one go."""

    core: Core
    applier: Applier
    store: Durable
    number: int
    """The group's number in the store."""
    start: StartMember
    spec: GroupSpec

    def __init__(self) -> None:
        super().__init__()
        self.timer = Timer(self)
        self.turn_end = TurnEnd(self)
        self.stopped = False
        self.held: deque[tuple[int, list[PeerMessage]]] = deque()
        self.outgoing: dict[MemberId, list[PeerMessage]] = {}
        self.base_index: Index = 0
        self.dumping: tuple[Index, Dump] | None = None
        self.is_watched = False
        self.told_index: Index = 0
        self.snapshots: dict[Index, Revision] = {}
        """The revisions of the durable snapshot and of the one that is being taken."""
        self.clock_is_off = False
        self.is_full = False
        """Whether the last write failed for lack of space."""
        self.not_encodable: StateNotEncodable | None = None
        """Why the newest snapshot failed."""
        self.hooks: HookEvents | None = None
        self.clients: ClientRequests
        self.operators: OperatorRequests

    # -- start and stop ---------------------------------------------------------------------------

    def on_start(self, m: StartMember, sender: Any) -> None:
        self.start, self.is_full = m, m.is_full
        try:
            self._revive(m)
        except FleetError as error:
            ill = DAMAGED if isinstance(error, Damaged) else ""
            self._stop(removed=False, error=str(error), restart=error.retry, ill=ill)
            return
        self.is_watched = self.spec.name == CLUSTER_GROUP
        self.clients = ClientRequests(self)
        self.operators = OperatorRequests(self, self.clients.next_token)
        self.hooks = open_hook_events(m, self.spec.name, self.applier, is_restored=self.core.log.durable > 0)
        self.send(m.registry, MemberHere(self.spec.name, m.member, self.myAddress))
        self._tell_addresses()
        self.turn_end.ask()

    def _revive(self, m: StartMember) -> None:
        """Restore the member from its disk."""
        self.spec = msgspec.msgpack.decode(m.record.spec, type=GroupSpec)
        if m.store is not None:
            self.store, self.number = m.store, m.record.number
        else:
            self.store, self.number = open_own(m)
        loaded = self.store.load(self.number)
        self.applier = Applier(ObjectExecutor(decode_class(self.spec.data_class)), self.spec.config)
        if loaded.snapshot is not None:
            self.applier.restore(self._read_snapshot(loaded.snapshot), self._base_of(loaded.snapshot))
            self.base_index = loaded.snapshot.index
            self.snapshots[self.base_index] = self.applier.revision
        now = m.clock.now_ms()
        rng = random.Random(m.seed)
        self.core = start_core(m.member, now, rng, loaded.hard, loaded.snapshot, loaded.entries)
        if self.spec.founded is not None and self.core.term == 0:
            join_founding(self.core, self.spec.founded)
        log.info(
            "group=%s member=%s starts: term=%d last=%d snapshot=%d",
            self.spec.name, m.member, self.core.term, self.core.log.last_index, self.base_index,
        )  # fmt: skip

    def _read_snapshot(self, meta: SnapshotMeta) -> bytes:
        data = self.store.read_snapshot(self.number, meta.index, 0, meta.size)
        if data is None or len(data) != meta.size or crc32(data) != meta.crc:
            raise Damaged("the snapshot's bytes are not what was written", group=self.spec.name)
        return data

    def _base_of(self, meta: SnapshotMeta) -> Any:
        return lambda: dumped_object(self._read_snapshot(meta))

    def _stop(
        self, removed: bool, error: str = "", restart: bool = False, ill: str = "", is_full: bool = False
    ) -> None:
        """Stop, and tell the manager why. The member promises nothing after this."""
        if self.stopped:
            return
        self.stopped = self.failed = True
        start = self.start
        if error:
            log.error("member=%s stops: %s", start.member, error)
        if self.hooks is not None:
            self.hooks.end()
        self.send(start.registry, MemberGone(start.record.name, start.member, is_full))
        self.send(start.manager, MemberStopped(start.member, removed, error, restart, ill, is_full))
        self.send(self.myAddress, ActorExitRequest())

    def on_failure(self, why: str) -> None:
        self._give_up(why, restart=True)

    def _give_up(self, why: str, restart: bool, ill: str = "", is_full: bool = False) -> None:
        self.is_full = self.is_full or is_full
        if hasattr(self, "clients"):
            self.clients.lose_all(None)
            self.clients.flush()
        if hasattr(self, "start"):
            self._stop(removed=False, error=why, restart=restart, ill=ill, is_full=is_full)

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self.stopped = self.failed = True
        self._cancel_dump()
        if self.hooks is not None:
            self.hooks.end()
        if hasattr(self, "store") and self.start.store is None:
            self.store.close()

    # -- messages -------------------------------------------------------------------------------

    def step(self, event: Any) -> None:
        self.core.step(self.start.clock.now_ms(), event)
        self.turn_end.ask()

    def on_peer_mail(self, m: PeerMail, sender: Any) -> None:
        try:
            messages = read_messages(m.body)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            self.log_rarely("mail", "group=%s %s: mail that is none: %.200s", self.spec.name, m.dst, error)
            return
        self.core.wall_ms = self.start.clock.wall_ms()
        for message in messages:
            self.step(message)

    def on_client_request(self, m: ClientRequest, sender: Any) -> None:
        self.clients.take(m)
        if self.clients.dirty:  # what was refused at once is told at once
            self.turn_end.ask()

    def on_local_read(self, m: LocalRead, sender: Any) -> None:
        (value,) = self.applier.query((m.payload,))
        self.send(sender, LocalAnswer(value, self.applier.revision))

    def on_group_request(self, m: GroupRequest, sender: Any) -> None:
        self.operators.take(m)

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        if not self.timer.is_due(m.payload):
            return
        now, deadline = self.start.clock.now_ms(), self.core.deadline
        if now >= deadline:
            self.step(Tick())
        elif deadline != NEVER:
            self.timer.arm(now, deadline)  # the deadline has moved away

    def on_persisted(self, m: Persisted, sender: Any) -> None:
        self.is_full = False
        self.step(m)
        while self.held and self.held[0][0] <= m.seq:
            for message in self.held.popleft()[1]:
                self._post(message)
        self._rebase()

    def on_snapshot_event(self, m: SnapshotStored | SnapshotFailed, sender: Any) -> None:
        self.step(m)
        self._rebase()

    def _rebase(self) -> None:
        """Let the applier start from the snapshot that is on the disk now."""
        snapshot = self.core.snapshot
        if snapshot is not None and self.core.durable_snapshot > self.base_index:
            self.base_index = snapshot.index
            self.applier.rebase(snapshot.index, self._base_of(snapshot), snapshot.size)

    def fail(self, error: Exception, message: Any) -> None:
        """A record that cannot be read any more is a fault of the disk, not a bug."""
        if isinstance(error, Damaged | StorageFault):
            self._give_up(str(error), error.retry, DAMAGED if isinstance(error, Damaged) else "")
        else:
            super().fail(error, message)

    def on_write_failed(self, m: WriteFailed, sender: Any) -> None:
        """The write failed: restart from the disk. What was not written was never promised."""
        what = DISK_FULL if m.is_full else "storage"
        self._give_up(f"{what}: {m.error}", restart=True, is_full=m.is_full)

    def stamp_ms(self) -> Millis:
        """The time to stamp commands with; warns once while this node's clock is overruled."""
        own = self.start.clock.wall_ms()
        stamp_ms = self.core.stamp_ms(own)
        is_off = stamp_ms != own
        if is_off and not self.clock_is_off:
            what = "group=%s the wall clock here is %d ms off those of the other voters: stamped with theirs"
            log.warning(what, self.spec.name, own - stamp_ms)
        self.clock_is_off = is_off
        return stamp_ms

    # -- the end of a turn -------------------------------------------------------------------------

    def on_end_turn(self, m: EndTurn, sender: Any) -> None:
        self.turn_end.reached()
        core = self.core
        while (ready := core.take_ready()) is not None:
            self._carry_out(ready)
            if self.stopped:
                return
            if core.has_more():
                self.turn_end.ask()
                break
        self.clients.end_turn()
        if self.operators.arriving:
            self.operators.end_turn()
        self._flush()
        applier = self.applier
        if self.is_watched and applier.index > self.told_index:
            self.told_index = applier.index
            durable = self.snapshots.get(core.durable_snapshot, 0)
            self.send(self.start.manager, Applied(applier.index, applier.revision, durable))
        if core.deadline != NEVER:
            self.timer.arm(core.now, core.deadline)

    def _carry_out(self, ready: Ready) -> None:
        """In the order that `Ready` prescribes."""
        for message in ready.send_now:
            self._post(message)
        for chunk in ready.chunks:
            self._post_chunk(chunk)
        if ready.write is not None:
            self._flush()
            self._write(ready.write)
        if ready.save is not None:
            self._save(ready.save)
        if ready.send_after:
            self._hold(ready.after_seq, ready.send_after)
        if ready.restore is not None:
            self._cancel_dump()
            self.not_encodable = None
            self.applier.restore(ready.restore[1])
            self.snapshots[self.applier.index] = self.applier.revision
        for entry in ready.apply:
            applied = self.applier.apply(entry)
            if type(applied) is list:
                for outcomes in applied:
                    self.clients.on_outcomes(outcomes)
            elif type(applied) is Opened:
                self.clients.on_opened(applied)
            if self.hooks is not None:
                self.hooks.on_applied(entry, self.applier.executed)
        if ready.take_snapshot:
            self._take_snapshot(ready.take_snapshot)
        for token in ready.reads:
            self.clients.on_read(token)
        for token in ready.lease_reads:
            self.clients.on_read(token, lease=True)
        for answer in ready.answers:
            if not self.clients.on_answer(answer):
                self.operators.on_answer(answer)
        for hook in ready.hooks:
            self._note(hook)
        if ready.removed:
            self._stop(removed=True)
        if ready.conflict is not None:
            self._give_up(words_on(ready.conflict), restart=False, ill=CONFLICT)

    def _write(self, request: PersistRequest) -> None:
        meta = request.snapshot
        write = Write(
            group=self.number,
            seq=request.seq,
            hard=request.hard,
            entries=request.entries,
            commit=request.commit,
            snapshot=SnapshotWrite(meta, request.snapshot_data) if meta is not None else None,
            reset=request.reset,
        )
        if self.start.disk is not None:
            self.send(self.start.disk, write)
            return
        try:
            self.store.write([write])
        except FleetError as error:
            self.send(self.myAddress, WriteFailed(write.group, str(error), isinstance(error, StoreFull)))
            return
        self.send(self.myAddress, Persisted(write.seq))

    def _save(self, request: SaveRequest) -> None:
        meta, data = request.meta, request.data
        snapshot = SnapshotWrite(meta, data)
        write = Write(self.number, 0, snapshot=snapshot, keep_after=request.keep_after, is_aside=True)
        # The previous snapshot is deleted as soon as the disk has this one.
        self.applier.rebase(meta.index, lambda: dumped_object(data), meta.size)
        if self.start.disk is not None:
            self.send(self.start.disk, write)
            return
        try:
            self.store.write([write])
        except FleetError as error:
            self.send(self.myAddress, self._snapshot_failed(error))
            return
        self.send(self.myAddress, SnapshotStored(meta.index))

    # -- snapshots ---------------------------------------------------------------------------------

    def _take_snapshot(self, index: Index) -> None:
        """A small state at once; a big one in a child, while this member goes on."""
        core, limit = self.core, self.start.fork_above_bytes
        assert index == self.applier.index
        newest = core.snapshot.index if core.snapshot is not None else 0
        self.snapshots = {at: revision for at, revision in self.snapshots.items() if at >= newest}
        self.snapshots[index] = self.applier.revision
        try:
            size = core.snapshot.size if core.snapshot is not None else 0
            if limit and max(size, self.applier.bytes_about()) > limit:
                self.dumping = (index, self.start.fork(self.applier.dump))
                self.watching = ThespianWatch([self.dumping[1].fileno()])
            else:
                core.step(core.now, SnapshotTaken(index, self.applier.dump()))
                self.not_encodable = None
        except NO_SNAPSHOT as error:
            core.step(core.now, self._snapshot_failed(error))

    def on_watch(self, m: WatchMessage, sender: Any) -> None:
        """By Thespian's rule a descriptor may be reported again before the first report is handled."""
        if self.dumping is None or not self.dumping[1].is_done():
            return
        index, dump = self.dumping
        self.dumping = self.watching = None
        try:
            taken: SnapshotTaken | SnapshotFailed = SnapshotTaken(index, dump.take())
            self.not_encodable = None
        except NO_SNAPSHOT as error:
            taken = self._snapshot_failed(error)
        self.step(taken)

    def _snapshot_failed(self, error: BaseException) -> SnapshotFailed:
        why = error or "too little memory"
        log.error("group=%s %s has no snapshot for now: %s", self.spec.name, self.core.id, why)
        if isinstance(error, StateNotEncodable):
            self.not_encodable = error
        return SnapshotFailed()

    def trouble(self) -> FleetError | None:
        """Why this group must take no more commands: its state cannot be encoded, and the log would grow
        without bound. None: no trouble."""
        return self.applier.executor.trouble() or self.not_encodable

    def _cancel_dump(self) -> None:
        if self.dumping is not None:
            self.dumping[1].cancel()
            self.dumping = self.watching = None

    # -- sending -----------------------------------------------------------------------------------

    def _post(self, message: PeerMessage) -> None:
        self.outgoing.setdefault(message.dst, []).append(message)

    def _hold(self, seq: int, messages: list[PeerMessage]) -> None:
        self.held.append((seq, messages))

    def _post_chunk(self, chunk: Any) -> None:
        config = self.core.config
        data = self.store.read_snapshot(
            self.number, chunk.meta.index, chunk.offset, config.snapshot_chunk_bytes
        )
        if not data and chunk.meta.size:
            self.step(SnapshotLost(chunk.dst))
        else:
            self._post(msgspec.structs.replace(chunk, data=data))

    def _flush(self) -> None:
        for peer, messages in self.outgoing.items():
            for first in range(0, len(messages), MESSAGES_MAX):
                self._mail(peer, messages[first : first + MESSAGES_MAX])
        self.outgoing.clear()

    def _mail(self, peer: MemberId, messages: list[PeerMessage]) -> None:
        body = encode_messages(messages)
        half = len(messages) // 2
        if len(body) > MAIL_BYTES_MAX and half:
            self._mail(peer, messages[:half])
            self._mail(peer, messages[half:])
        else:
            self.send(self.start.registry, PeerMail(peer, body))

    # -- what changed ------------------------------------------------------------------------------

    def _note(self, hook: Any) -> None:
        core = self.core
        if self.hooks is not None:
            self.hooks.on_role(hook)
        if isinstance(hook, BecameLeader):
            log.info("group=%s term=%d %s leads", self.spec.name, hook.term, core.id)
            self.send(self.start.manager, Leading(core.id, True))
        elif isinstance(hook, SteppedDown):
            log.info("group=%s term=%d %s steps down", self.spec.name, hook.term, core.id)
            self.clients.lose_all(core.leader)
            self.send(self.start.manager, Leading(core.id, False))
        elif isinstance(hook, TailLost):
            log.error(
                "group=%s %s had acknowledged up to %d and has only %d: its disk lost what it had synced",
                self.spec.name, hook.member, hook.acknowledged, hook.has,
            )  # fmt: skip
        elif isinstance(hook, MembersChanged):
            self._tell_addresses()
            if core.is_leader:
                self.send(self.start.manager, Leading(core.id, True))

    def _tell_addresses(self) -> None:
        """Peers are reached at the addresses in the log until their nodes announce newer ones."""
        addresses = self.core.membership.current.addresses
        known: dict[NodeName, str] = {node_of(member): address for member, address in addresses.items()}
        self.send(self.start.registry, PeerAddresses(known))

    handlers = {
        StartMember: on_start,
        PeerMail: on_peer_mail,
        ClientRequest: on_client_request,
        GroupRequest: on_group_request,
        LocalRead: on_local_read,
        WakeupMessage: on_wakeup,
        Persisted: on_persisted,
        WriteFailed: on_write_failed,
        SnapshotStored: on_snapshot_event,
        SnapshotFailed: on_snapshot_event,
        WatchMessage: on_watch,
        EndTurn: on_end_turn,
        ActorExitRequest: on_exit,
    }


def words_on(conflict: CommittedConflict) -> str:
    return (
        f"committed data conflicts: log entries up to {conflict.committed} (term {conflict.committed_term}) "
        f"are committed here, and the group's leader {conflict.leader} has another entry {conflict.at} "
        f"(term {conflict.leader_term}), or none above it; nothing here was changed"
    )


def open_own(m: StartMember) -> tuple[Durable, int]:
    """A member in a process of its own opens its own store there: LMDB does not survive a fork."""
    store = LmdbStore(m.directory, cluster=m.record.name, node=m.member)
    records = store.groups() or [store.create_group(m.record.name, m.record.spec)]
    return store, records[0].number
