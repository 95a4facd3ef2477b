"""A consensus member: feeds the messages it receives to the core, and carries out what the core returns."""

import random
from functools import partial
from typing import Any

import msgspec
from thespian.actors import ActorExitRequest, WakeupMessage, WatchMessage

from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.hook_events import HookEvents, open_hook_events
from fleet.actors.member.operator_requests import OperatorRequests
from fleet.actors.member.outbox import PeerOutbox
from fleet.actors.member.sleeping import SleepReports
from fleet.actors.member.snapshots import Snapshots
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
from fleet.errors import Damaged, FleetError, StorageFault, StoreFull
from fleet.interfaces import Durable, SnapshotWrite, Write
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.class_refs import decode_class
from fleet.objects.executor import ObjectExecutor
from fleet.raft.codec import read_messages
from fleet.raft.core import Core
from fleet.raft.entries import Commands, Entry
from fleet.raft.events import CheckLeader, NodeSilent, Persisted, SnapshotFailed, SnapshotStored, Tick
from fleet.raft.ids import Index, Millis, NodeName, node_of
from fleet.raft.ready import (
    BecameLeader,
    CommittedConflict,
    ConfigAdopted,
    MembersChanged,
    PeerSilent,
    PersistRequest,
    Ready,
    SteppedDown,
    TailLost,
)
from fleet.raft.restart import join_founding, start_core
from fleet.raft.state import NEVER
from fleet.storage.lmdb_store import LmdbStore


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
        self.outbox = PeerOutbox(self)
        self.snapshots = Snapshots(self)
        self.is_watched = False
        self.sleep = SleepReports(self)
        self.told_index: Index = 0
        self.clock_is_off = False
        self.is_full = False
        """Whether the last write failed for lack of space."""
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
            self.snapshots.restore(loaded.snapshot)
        now = m.clock.now_ms()
        rng = random.Random(m.seed)
        self.core = start_core(m.member, now, rng, loaded.hard, loaded.snapshot, loaded.entries)
        self.core.may_sleep = True
        if self.spec.founded is not None and self.core.term == 0:
            join_founding(self.core, self.spec.founded)
        log.info(
            "group=%s member=%s starts: term=%d last=%d snapshot=%d",
            self.spec.name, m.member, self.core.term, self.core.log.last_index, self.snapshots.base_index,
        )  # fmt: skip

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
        self.snapshots.cancel()
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
        self.outbox.release(m.seq)
        self.snapshots.rebase()

    def on_snapshot_event(self, m: SnapshotStored | SnapshotFailed, sender: Any) -> None:
        self.step(m)
        self.snapshots.rebase()

    def on_watch(self, m: WatchMessage, sender: Any) -> None:
        self.snapshots.on_dumped()

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
        self.outbox.flush()
        applier = self.applier
        if self.is_watched and applier.index > self.told_index:
            self.told_index = applier.index
            told = Applied(applier.index, applier.revision, self.snapshots.durable_revision)
            self.send(self.start.manager, told)
        self.sleep.report()
        if core.deadline != NEVER:
            self.timer.arm(core.now, core.deadline)

    def _carry_out(self, ready: Ready) -> None:
        """In the order that `Ready` prescribes."""
        for message in ready.send_now:
            self.outbox.post(message)
        for chunk in ready.chunks:
            self.outbox.post_chunk(chunk)
        if ready.write is not None:
            self.outbox.flush()
            self._write(ready.write)
        if ready.save is not None:
            self.snapshots.save(ready.save)
        if ready.send_after:
            self.outbox.hold(ready.after_seq, ready.send_after)
        if ready.restore is not None:
            self.snapshots.replace(ready.restore[1])
        for entry in ready.apply:
            self._apply(entry)
        if ready.take_snapshot:
            self.snapshots.take(ready.take_snapshot)
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

    def _apply(self, entry: Entry) -> None:
        clients, hooks = self.clients, self.hooks
        if hooks is None:
            opened = self.applier.apply(entry, clients.on_outcomes)
        else:
            opened = self.applier.apply(entry, partial(self._on_outcomes, entry))
            hooks.on_applied(entry)
        if opened is not None:
            clients.on_opened(opened)

    def _on_outcomes(self, entry: Entry, outcomes: Outcomes, is_new: bool) -> None:
        self.clients.on_outcomes(outcomes, is_new)
        if is_new and self.hooks is not None and isinstance(entry.body, Commands):
            self.hooks.on_executed(entry.body, outcomes)

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

    # -- what changed ---------------------------------------------------------------------------------

    def trouble(self) -> FleetError | None:
        """Why this group must take no more commands: its state cannot be encoded, and the log would grow
        without bound. None: no trouble."""
        return self.applier.executor.trouble() or self.snapshots.not_encodable

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
        elif isinstance(hook, MembersChanged | ConfigAdopted | PeerSilent):
            if isinstance(hook, MembersChanged):
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
        CheckLeader: lambda member, m, sender: member.step(m),
        NodeSilent: lambda member, m, sender: member.step(m),
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
