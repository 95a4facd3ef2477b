"""A consensus member: feeds the messages it receives to the core, and carries out what the core returns."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import msgspec
from thespian.actors import ActorExitRequest, WakeupMessage, WatchMessage

from fleet.actors.member.client_requests import ClientRequests
from fleet.actors.member.member_object import MemberObject
from fleet.actors.member.notices import note, tell_applied, tell_class, tell_members, words_on
from fleet.actors.member.object_answers import ObjectAnswers
from fleet.actors.member.object_halts import error_of
from fleet.actors.member.operator_requests import OperatorRequests
from fleet.actors.member.outbox import PeerOutbox
from fleet.actors.member.own_objects import OwnObjects, open_store
from fleet.actors.member.reminding import Reminding
from fleet.actors.member.sending_window import Port
from fleet.actors.member.sleeping import SleepReports
from fleet.actors.member.snapshots import Snapshots
from fleet.actors.member.stamps import Stamps
from fleet.actors.messages.client import ClientRequest, KeepWatch, WatchGroup
from fleet.actors.messages.executor import FROM_OBJECT, ClassTried
from fleet.actors.messages.local import (
    ExecutorLost,
    LocalRead,
    MemberGone,
    MemberHere,
    MemberStarts,
    MemberStopped,
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
from fleet.interfaces import Durable, Loaded, SnapshotWrite, Write
from fleet.raft.codec import read_messages
from fleet.raft.core import Core
from fleet.raft.events import FROM_NODE, Persisted, SleepConfirmed, SnapshotStored, Tick
from fleet.raft.ids import Index, Millis
from fleet.raft.ready import PersistRequest, Ready
from fleet.raft.restart import first_class, join_founding, start_core
from fleet.raft.state import NEVER


class Member(GuardedActor):
    """Steps each event into the core as it arrives. At the end of the turn, which it marks by a message to
    itself, it carries out everything that the core returned, in one go."""

    core: Core
    object: MemberObject
    store: Durable
    loaded: Loaded
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
        self.answers = ObjectAnswers(self)
        self.hosted: OwnObjects | None = None
        """Where its object lives, if that is in this process."""
        self.is_watched = False
        self.sleep = SleepReports(self)
        self.told_index: Index = 0
        self.stamps = Stamps(self)
        self.reminding = Reminding(self)
        self.is_full = False
        """Whether the last write failed for lack of space."""
        self.early: list[GroupRequest] = []
        """What was asked before its class was loaded."""
        self.clients: ClientRequests
        self.operators: OperatorRequests

    # -- start and stop ---------------------------------------------------------------------------

    def on_start(self, m: StartMember, sender: Any) -> None:
        self.start, self.is_full, self.number = m, m.is_full, m.record.number
        self.spec = msgspec.msgpack.decode(m.record.spec, type=GroupSpec)
        self.handlers = self.opening
        self.send(m.registry, MemberStarts(self.spec.name, m.member))
        try:
            self.store, self.number = open_store(m)
            self.loaded = self.store.load(self.number)
        except FleetError as error:
            self._stop_for(error)
            return
        found = first_class(self.loaded.snapshot, self.loaded.entries)
        self.object = MemberObject(self, self.answers, self._port(m), m.run, found)
        self.object.open()

    def _port(self, m: StartMember) -> Port:
        """To the executor of its object. That of the cluster group, a class of the library's own, is here."""
        if m.executors is not None and self.spec.name != CLUSTER_GROUP:
            return partial(self.send, m.executors)
        self.hosted = OwnObjects(self)
        return self.hosted.handle

    def begin(self) -> None:
        """Its class is loaded: restore the member from its disk, and take part in its group."""
        m = self.start
        try:
            self._revive(m)
        except FleetError as error:
            self._stop_for(error)
        if self.stopped:
            return
        self.handlers = type(self).handlers
        self.is_watched = self.spec.name == CLUSTER_GROUP
        self.clients = ClientRequests(self)
        self.operators = OperatorRequests(self, self.clients.next_token)
        self.send(m.registry, MemberHere(self.spec.name, m.member, self.myAddress))
        tell_members(self)
        if self.object.data_class != self.spec.data_class:
            tell_class(self)
        for request in self.early:
            self.operators.take(request)
        self.early.clear()
        self.operators.comparisons.resume(m.diverged)
        self.turn_end.ask()

    def on_early_request(self, m: GroupRequest, sender: Any) -> None:
        self.early.append(m)

    def _revive(self, m: StartMember) -> None:
        loaded = self.loaded
        del self.loaded
        if loaded.snapshot is not None:
            self.object.load(loaded.snapshot, self.snapshots.read(loaded.snapshot))
        now = m.clock.now_ms()
        rng = random.Random(m.seed)
        self.core = start_core(m.member, now, rng, loaded.hard, loaded.snapshot, loaded.entries)
        self.core.may_sleep = True
        if self.spec.founded is not None and self.core.term == 0 and not self.spec.is_restored:
            join_founding(self.core, self.spec.founded)
        self.object.is_restored = self.core.log.durable > 0
        last, base = self.core.log.last_index, loaded.snapshot.index if loaded.snapshot is not None else 0
        words = "group=%s member=%s starts: term=%d last=%d snapshot=%d"
        log.info(words, self.spec.name, m.member, self.core.term, last, base)

    def _stop_for(self, error: FleetError) -> None:
        self._stop(False, str(error), error.retry, DAMAGED if isinstance(error, Damaged) else "")

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
        self._close_object()
        self.send(start.registry, MemberGone(start.record.name, start.member, is_full))
        self.send(start.manager, MemberStopped(start.member, removed, error, restart, ill, is_full))
        self.send(self.myAddress, ActorExitRequest())

    def _close_object(self) -> None:
        if hasattr(self, "clients"):
            self.clients.watchers.lose_all(None)
        if hasattr(self, "object"):
            self.object.close()
        if self.hosted is not None:
            self.hosted.close()
        self.watching = None

    def on_failure(self, why: str) -> None:
        self.give_up(why, restart=True)

    def give_up(self, why: str, restart: bool, ill: str = "", is_full: bool = False) -> None:
        self.is_full = self.is_full or is_full
        if hasattr(self, "clients"):
            self.clients.lose_all(None)
            self.clients.flush()
        if hasattr(self, "start"):
            self._stop(removed=False, error=why, restart=restart, ill=ill, is_full=is_full)

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self.stopped = self.failed = True
        self._close_object()
        if hasattr(self, "store") and self.start.store is None:
            self.store.close()

    # -- messages -------------------------------------------------------------------------------

    def step(self, event: Any) -> None:
        core = self.core
        core.step(self.start.clock.now_ms(), event)
        if not core.is_settled and not self.turn_end.is_asked:
            self.turn_end.ask()

    def on_peer_mail(self, m: PeerMail, sender: Any) -> None:
        try:
            messages = read_messages(m.body)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            self.log_rarely("mail", "member=%s: mail that is none: %.200s", m.dst, error)
            return
        self.core.wall_ms = self.start.clock.wall_ms()
        for message in messages:
            self.step(message)
        if self.operators.arriving:  # who waits to hear of all members is told at once
            self.turn_end.ask()

    def on_client_request(self, m: ClientRequest, sender: Any) -> None:
        self.clients.take(m)
        if self.clients.dirty:  # what was refused at once is told at once
            self.turn_end.ask()

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        if not self.timer.is_due(m.payload):
            self.operators.copies.on_wakeup(m.payload)
            return
        now = self.start.clock.now_ms()
        if now >= self.core.deadline:
            self.step(Tick())
        else:
            self._arm(now)  # for a reminder, or the deadline has moved away

    def _arm(self, now: Millis) -> None:
        at = min(self.core.deadline, self.reminding.act(now))
        if at != NEVER:
            self.timer.arm(now, at)

    def on_persisted(self, m: Persisted, sender: Any) -> None:
        self.is_full = False
        self.step(m)
        self.outbox.release(m.seq)
        self.snapshots.on_persisted()
        if not self.turn_end.is_asked:
            self.outbox.flush()

    def on_watch(self, m: WatchMessage, sender: Any) -> None:
        """A child has encoded the state, where the object lives here."""
        if self.hosted is not None:
            self.hosted.on_watch(list(m.ready))

    # -- its object ----------------------------------------------------------------------------------

    def on_object_message(self, m: Any, sender: Any) -> None:
        """From an executor. A member whose object lives here takes its answers at once."""
        self.object.take(m)
        if self.stopped or self.handlers is self.opening or self.turn_end.is_asked:
            return
        if not self.core.is_settled:
            self.turn_end.ask()
            return
        if self.clients.dirty:
            self.clients.flush()
        if self.reminding.is_busy:
            self._arm(self.start.clock.now_ms())

    def on_executor_lost(self, m: ExecutorLost, sender: Any) -> None:
        self.object.on_lost(m)

    # -- the disk ------------------------------------------------------------------------------------

    def fail(self, error: Exception, message: Any) -> None:
        """A record that cannot be read any more is a fault of the disk, not a bug."""
        if isinstance(error, Damaged | StorageFault):
            self.give_up(str(error), error.retry, DAMAGED if isinstance(error, Damaged) else "")
        else:
            super().fail(error, message)

    def on_write_failed(self, m: WriteFailed, sender: Any) -> None:
        """The write failed: restart from the disk. What was not written was never promised."""
        self.give_up(f"{DISK_FULL if m.is_full else 'storage'}: {m.error}", restart=True, is_full=m.is_full)

    def stamp_ms(self) -> Millis:
        """The time to stamp commands with."""
        return self.stamps.now_ms()

    # -- the end of a turn -------------------------------------------------------------------------

    def on_end_turn(self, m: EndTurn, sender: Any) -> None:
        self.turn_end.reached()
        core = self.core
        while not core.is_settled and (ready := core.take_ready()) is not None:
            self._carry_out(ready)
            if self.stopped:
                return
            if core.has_more():
                self.turn_end.ask()
                break
        self.clients.end_turn()
        self.operators.end_turn()
        self.outbox.flush()
        if self.is_watched and self.object.index > self.told_index:
            self.told_index = tell_applied(self, self.snapshots.durable_revision)
        if self.hosted is not None:
            self.hosted.watch()
        self.object.try_again(core.now)
        self.sleep.report()
        self._arm(self.start.clock.now_ms())  # that of a core that sleeps is of the past

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
            self.snapshots.replace(*ready.restore)
        if ready.apply:
            self.object.apply(ready.apply)
        if ready.take_snapshot:
            self.snapshots.take(ready.take_snapshot)
        for token in ready.reads:
            (self.operators.copies if self.operators.waits(token) else self.clients.queries).on_read(token)
        for token in ready.lease_reads:
            self.clients.queries.on_read(token, lease=True)
        for answer in ready.answers:
            if not self.clients.on_answer(answer):
                self.operators.on_answer(answer)
        for hook in ready.hooks:
            note(self, hook)
        if ready.removed:
            self._stop(removed=True)
        if ready.conflict is not None:
            self.give_up(words_on(ready.conflict), restart=False, ill=CONFLICT)

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
        """Why this group must take no more commands: one cannot be executed, or its state cannot be encoded
        and the log would grow without bound. None: no trouble."""
        halted = self.object.halts.error() or error_of(self.core.halt, self.spec.name)
        return halted or self.object.trouble or self.snapshots.not_encodable

    handlers = {
        StartMember: on_start,
        PeerMail: on_peer_mail,
        ClientRequest: on_client_request,
        WatchGroup: lambda member, m, sender: member.clients.watchers.take(m),
        KeepWatch: lambda member, m, sender: member.clients.watchers.keep(m),
        GroupRequest: lambda member, m, sender: member.operators.take(m),
        LocalRead: lambda member, m, sender: member.answers.read_here(m, sender),
        WakeupMessage: on_wakeup,
        Persisted: on_persisted,
        WriteFailed: on_write_failed,
        **dict.fromkeys(FROM_NODE, lambda member, m, sender: member.step(m)),
        SnapshotStored: lambda member, m, sender: member.snapshots.on_stored(m),
        ClassTried: lambda member, m, sender: member.operators.rehearsals.on_tried(m),
        SleepConfirmed: lambda member, m, sender: member.sleep.on_confirmed(m),
        WatchMessage: on_watch,
        **dict.fromkeys(FROM_OBJECT, on_object_message),
        ExecutorLost: on_executor_lost,
        EndTurn: on_end_turn,
        ActorExitRequest: on_exit,
    }
    """Of a member that takes part in its group."""
    opening: ClassVar[dict[type, Callable[[Any, Any, Any], None]]] = {
        GroupRequest: on_early_request,
        **dict.fromkeys(FROM_OBJECT, on_object_message),
        ExecutorLost: on_executor_lost,
        ActorExitRequest: on_exit,
    }
    """While its class is loaded. Peers and clients repeat what they send so early."""
