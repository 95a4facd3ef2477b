"""The actor between the members of a node and its executors: it starts these, and watches them."""

import logging
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any, ClassVar, Final

from thespian.actors import ActorExitRequest, ThespianWatch, WakeupMessage, WatchMessage

from fleet.actors.executor.channel import Channel, ExecutorEnded
from fleet.actors.executor.slots import (
    ALONE,
    APART,
    ENDS_FOR_GOOD,
    OLD,
    QUIET_MS,
    STABLE_MS,
    TRIAL,
    FlushSlot,
    LookAtExecutors,
    Placed,
    Slot,
    lost_object,
    lost_trial,
    seen_by,
)
from fleet.actors.executor.watchdog import EndIt, MoveOthers, PrepareSpare, Watchdog
from fleet.actors.messages.executor import (
    FOR_OBJECT,
    ApplyEntries,
    ClassTried,
    CloseObject,
    LogRecord,
    ObjectMessage,
    OpenObject,
    SetLimit,
    TryClass,
)
from fleet.actors.messages.local import ExecutorLost, StartExecutors
from fleet.actors.runtime.actor import GuardedActor, log
from fleet.actors.runtime.turn import EndTurn, TurnEnd
from fleet.errors import Unavailable
from fleet.objects.payload import ErrorRecord
from fleet.objects.progress import IDLE
from fleet.raft.ids import Millis

GATHER_MS: Final[Millis] = 20
"""How long entries that may wait are gathered."""
LOOK_MS: Final[Millis] = 100
"""How often a busy executor is looked at."""
FINISH_S: Final = 1.5
"""How long a node that stops in good order waits for its executors, and so for the hooks that they run."""


class Executors(GuardedActor):
    """Invariant: each object that was opened and not closed is in one slot, and told when that is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.turn_end = TurnEnd(self)
        self.start: StartExecutors
        self.slots: list[Slot] = []
        """Those that objects are spread over, then the others."""
        self.suspects: set[int] = set()
        """Objects that ended an executor: they are loaded apart from the others."""
        self.spare: Channel | None = None
        self.placed: dict[int, Placed] = {}
        self.is_looking = False
        self.is_ending = False

    def on_start(self, m: StartExecutors, sender: Any) -> None:
        self.start = m
        self.slots = [Slot(place) for place in range(m.count)]
        for slot in self.slots:
            self._begin(slot)
        self._watch()

    # -- from members ------------------------------------------------------------------------------

    def on_open(self, m: OpenObject, sender: Any) -> None:
        known = self.placed.get(m.number)
        if known is not None:
            known.slot.numbers.discard(m.number)
        slot = self._slot_for(m.number, known.slot if known is not None and m.is_fresh else None)
        placed = Placed(m.number, m.run, sender, slot, m.limit_ms, m.group)
        if known is not None and known.run >> 32 == m.run >> 32:  # the same start of the member
            placed.failed_at, placed.loads_failed = known.failed_at, known.loads_failed
        self.placed[m.number] = placed
        slot.numbers.add(m.number)
        if known is not None:
            self._retire_if_empty(known.slot)
        self._send(slot, m)

    def _slot_for(self, number: int, leaves: Slot | None = None) -> Slot:
        """`leaves`: where it was, if that has imported other code than it needs."""
        if number not in self.suspects:
            slot = self.slots[number % self.start.count]
            return self._renewed(slot) if slot is leaves else slot
        for slot in self.slots:
            if slot.place == APART:
                return slot
        apart = Slot(APART, busy_at=self._now())
        self.slots.append(apart)
        return apart

    def _renewed(self, slot: Slot) -> Slot:
        """A new executor takes its place. Objects that need the code which it has imported stay in it."""
        fresh = self.slots[slot.place] = Slot(slot.place)
        slot.place = OLD
        self.slots.append(slot)
        return fresh

    def on_message(self, m: ObjectMessage, sender: Any) -> None:
        placed = self.placed.get(m.number)
        if placed is None or placed.run != m.run or placed.is_lost:
            return
        slot = placed.slot
        if type(m) is ApplyEntries and m.may_wait and slot.channel is not None:
            slot.channel.send(m)
            self._flush_later(slot)
        else:
            self._send(slot, m)

    def _flush_later(self, slot: Slot) -> None:
        """A follower's entries wake its executor a few times a second, not with each command."""
        if not slot.is_flush_due:
            slot.is_flush_due = True
            self.wakeupAfter(timedelta(milliseconds=GATHER_MS), payload=FlushSlot(slot))

    def on_close(self, m: CloseObject, sender: Any) -> None:
        placed = self.placed.get(m.number)
        if placed is not None and placed.run == m.run:
            del self.placed[m.number]
            self.suspects.discard(m.number)
            placed.slot.numbers.discard(m.number)
            if not placed.is_lost:
                self._send(placed.slot, m)
            self._retire_if_empty(placed.slot)

    def on_limit(self, m: SetLimit, sender: Any) -> None:
        placed = self.placed.get(m.number)
        if placed is not None and placed.run == m.run:
            placed.limit_ms = m.limit_ms

    def on_try(self, m: TryClass, sender: Any) -> None:
        if m.is_fresh:
            slot = Slot(TRIAL)
            self.slots.append(slot)
        else:
            slot = self._slot_for(m.number)
        slot.trying[m.run] = sender, m
        self._send(slot, m)

    def _send(self, slot: Slot, m: ObjectMessage) -> None:
        if slot.channel is None:
            slot.unsent.append(m)
            self._begin(slot)
        else:
            slot.channel.send(m)
        slot.is_asked = True
        self.turn_end.ask()

    def on_end_turn(self, m: EndTurn, sender: Any) -> None:
        self.turn_end.reached()
        for slot in self.slots:
            if slot.is_asked:
                slot.is_asked = False
                self._flush(slot)
        self._watch()

    def _flush(self, slot: Slot) -> None:
        if slot.channel is not None:
            slot.channel.flush()
            self._look_soon()

    # -- starting and ending -----------------------------------------------------------------------

    def _begin(self, slot: Slot) -> None:
        """Start its process, unless that failed lately."""
        now = self._now()
        if self.is_ending or now < slot.start_at:
            self._look_soon()
            return
        try:
            slot.channel, self.spare = self.spare or self.start.open(), None
        except OSError as error:
            slot.put_off(now)
            self._look_soon()
            self.log_rarely("start", "an executor cannot be started: %s", error)
            return
        self.watching = None  # a descriptor may have the number of another one
        slot.started_at, slot.watchdog = now, Watchdog(slot.patience_ms)
        unsent, slot.unsent = slot.unsent, []
        for message in unsent:
            slot.channel.send(message)
        slot.is_asked = True
        self.turn_end.ask()

    def _ended(self, slot: Slot, why: str, is_hung: bool = False) -> None:
        """Everything in it is lost, and made again elsewhere by its members."""
        channel, slot.channel = slot.channel, None
        if channel is None:
            return
        doing = channel.doing()
        channel.end()
        self.watching = None
        now = self._now()
        log.error("an executor of %d objects has ended: %s", len(slot.numbers), why)
        if now - slot.started_at > STABLE_MS:
            slot.failures = 0
        slot.put_off(now)
        self._look_soon()
        slot.unsent.clear()
        trying, slot.trying = slot.trying, {}
        for token, (asker, m) in trying.items():
            self.send(asker, lost_trial(m, doing, why))
        for number in list(slot.numbers):
            placed = self.placed[number]
            is_it = doing.kind != IDLE and (doing.number, doing.run) == (number, placed.run)
            if is_it:
                self.suspects.add(number)
            lost = lost_object(placed, doing if is_it else None, why, is_hung)
            placed.is_lost = True
            self.send(placed.member, lost)
        slot.numbers.clear()
        if slot.place in ENDS_FOR_GOOD:
            self.slots.remove(slot)
        self._watch()

    # -- from executors ----------------------------------------------------------------------------

    def on_watch(self, m: WatchMessage, sender: Any) -> None:
        for slot in list(self.slots):
            if slot.channel is not None and slot.channel.fileno() in m.ready:
                self._receive(slot, slot.channel)
        self._watch()

    def _receive(self, slot: Slot, channel: Channel) -> None:
        try:
            answers = channel.receive()
        except ExecutorEnded as error:
            self._ended(slot, str(error))
            return
        for answer in answers:
            if isinstance(answer, LogRecord):
                logger, about = logging.getLogger(answer.logger), {"fields": answer.fields}
                logger.log(answer.level, "%s", answer.text, extra=about)
            elif isinstance(answer, ClassTried):
                asker, _ = slot.trying.pop(answer.run, (None, None))
                if asker is not None:
                    self.send(asker, answer)
                self._retire_if_empty(slot)
            else:
                placed = self.placed.get(answer.number)
                if placed is not None and placed.run == answer.run:
                    placed.loads_failed = 0
                    if self.suspects:
                        self.suspects.discard(answer.number)
                    self.send(placed.member, answer)

    # -- the watchdogs -----------------------------------------------------------------------------

    def _look_soon(self) -> None:
        if not self.is_looking and not self.is_ending:
            self.is_looking = True
            self.wakeupAfter(timedelta(milliseconds=LOOK_MS), payload=LookAtExecutors())

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        if isinstance(m.payload, FlushSlot):
            m.payload.slot.is_flush_due = False
            self._flush(m.payload.slot)
            self._watch()
        else:
            self.on_look()

    def on_look(self) -> None:
        self.is_looking = False
        now = self._now()
        goes_on = False
        for slot in list(self.slots):
            if slot.channel is None:
                if slot.unsent or slot.numbers:
                    self._begin(slot)
                    goes_on = True
                continue
            seen = seen_by(slot, slot.channel, self.placed)
            for action in slot.watchdog.step(now, seen):
                self.actions[type(action)](self, slot, action)
            goes_on = goes_on or slot.watchdog.is_busy or slot.place < 0
            self._look_at_alone(slot, now)
        if goes_on:
            self._look_soon()
        self._watch()

    def on_prepare(self, slot: Slot, action: PrepareSpare) -> None:
        if self.spare is None:
            try:
                self.spare = self.start.open()
            except OSError as error:
                self.log_rarely("start", "an executor cannot be started: %s", error)

    def on_move(self, slot: Slot, action: MoveOthers) -> None:
        """The slot goes on with the slow object alone, and another one takes its place."""
        if slot.place in (OLD, TRIAL):
            return  # what is there needs the code that only this executor has
        moved, slow = slot.numbers - {action.number}, self.placed.get(action.number)
        name = slow.name if slow is not None else "(a class that is loaded)"
        log.warning("group=%s is slow: %d other objects get another executor", name, len(moved))
        if slot.place >= 0:
            fresh = Slot(slot.place, patience_ms=slot.patience_of_next(action, self._now()))
            self.slots[slot.place] = fresh
            self.slots.append(slot)
            self._begin(fresh)
        slot.place = ALONE
        slot.numbers -= moved
        for number in moved:
            self._move(slot, self.placed[number])

    def _move(self, slot: Slot, placed: Placed) -> None:
        if slot.channel is not None:
            slot.channel.send(CloseObject(placed.number, placed.run))
            slot.is_asked = True
            self.turn_end.ask()
        placed.is_lost = True
        error = ErrorRecord.of(Unavailable("it moves to another executor"))
        self.send(placed.member, ExecutorLost(placed.number, placed.run, error))

    def on_end_it(self, slot: Slot, action: EndIt) -> None:
        self._ended(slot, action.why, is_hung=True)

    def _look_at_alone(self, slot: Slot, now: Millis) -> None:
        """An object that was alone and is not slow any more joins the others."""
        if slot.place not in (ALONE, APART) or slot.channel is None:
            return
        if slot.watchdog.is_busy:
            slot.busy_at = now
        elif now - slot.busy_at >= QUIET_MS:
            for number in list(slot.numbers):
                slot.numbers.discard(number)
                self._move(slot, self.placed[number])
            self._retire_if_empty(slot)

    def _retire_if_empty(self, slot: Slot) -> None:
        if slot.place < 0 and not slot.numbers and not slot.trying and slot in self.slots:
            self.slots.remove(slot)
            if slot.channel is not None:
                slot.channel.end()

    # -- everything else ---------------------------------------------------------------------------

    def channel_of(self, number: int) -> Channel | None:
        """To the executor of that member's object; for tests and simulations."""
        placed = self.placed.get(number)
        return placed.slot.channel if placed is not None and not placed.is_lost else None

    def _now(self) -> Millis:
        return self.start.clock.now_ms()

    def _watch(self) -> None:
        filenos = [slot.channel.fileno() for slot in self.slots if slot.channel is not None]
        if self.watching is None or list(self.watching.filenos) != filenos:
            self.watching = ThespianWatch(filenos) if filenos else None

    def on_exit(self, m: ActorExitRequest, sender: Any) -> None:
        self.is_ending = True
        self.watching = None
        channels = [slot.channel for slot in self.slots if slot.channel is not None]
        channels += [self.spare] if self.spare is not None else []
        for channel in channels:
            channel.finish()
        until = monotonic() + FINISH_S
        for channel in channels:
            channel.end(max(0.0, until - monotonic()))

    actions: ClassVar[dict[type, Callable[[Any, Slot, Any], None]]] = {
        PrepareSpare: on_prepare,
        MoveOthers: on_move,
        EndIt: on_end_it,
    }
    handlers = {
        StartExecutors: on_start,
        OpenObject: on_open,
        CloseObject: on_close,
        TryClass: on_try,
        SetLimit: on_limit,
        **dict.fromkeys(FOR_OBJECT, on_message),
        EndTurn: on_end_turn,
        WatchMessage: on_watch,
        WakeupMessage: on_wakeup,
        ActorExitRequest: on_exit,
    }
