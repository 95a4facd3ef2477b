"""What a node knows of its executors and of the objects in them, and what members are told when one ends."""

from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

from fleet.actors.executor.channel import Channel
from fleet.actors.executor.watchdog import LOAD_LIMIT_MS, SLOW_MS, ExecutorSeen, MoveOthers, Watchdog
from fleet.actors.messages.executor import ClassTried, ObjectMessage, TryClass
from fleet.actors.messages.local import ExecutorLost
from fleet.errors import CommandFailed, DataClassUnavailable, FleetError, QueryFailed, Unavailable
from fleet.objects.payload import ErrorRecord
from fleet.objects.progress import COMMAND, OTHER, QUERY, Doing
from fleet.raft.ids import Index, Millis

ALONE: Final = -1
"""The place of an executor that was left alone with a slow object."""
APART: Final = -2
"""The place of the executor for objects whose loading ended one, so that they end no other's."""
OLD: Final = -3
"""The place of an executor whose place another one has taken, since it has imported code that others do not
need."""
TRIAL: Final = -4
"""The place of one that only tries a class."""
ENDS_FOR_GOOD: Final = (ALONE, OLD, TRIAL)
"""Executors in these places are not started again."""
GONE_LIMIT_MS: Final[Millis] = 1000
"""How long a command or a query may go on whose object is gone: nobody waits for it, but others behind it."""
BACK_OFF_MS: Final[tuple[Millis, Millis]] = (50, 10_000)
"""The shortest and the longest pause before an executor that ended at once is started again."""
STABLE_MS: Final[Millis] = 10_000
"""One that ran for so long did not end at once."""
QUIET_MS: Final[Millis] = 60_000
"""After so long without trouble, an object that was left alone in an executor joins the others again."""


@dataclass(slots=True)
class Placed:
    """A member's object, and where it is."""

    number: int
    run: int
    member: Any
    slot: "Slot"
    limit_ms: Millis
    name: str
    is_lost: bool = False
    """Its member was told that it is not there any more."""
    failed_at: tuple[Index, int] | None = None
    """The command that ended its executor once."""
    loads_failed: int = 0
    """How often its executor ended while it loaded its class or its state, in a row."""


@dataclass(eq=False, slots=True)
class Slot:
    """One executor, running or to be started. `place`: among those that objects are spread over, or one of
    the negative ones."""

    place: int
    channel: Channel | None = None
    started_at: Millis = 0
    failures: int = 0
    unsent: list[ObjectMessage] = field(default_factory=list)
    """While it is not running."""
    numbers: set[int] = field(default_factory=set)
    trying: dict[int, tuple[Any, TryClass]] = field(default_factory=dict)
    """Who wants to know whether a class can be loaded, by token."""
    watchdog: Watchdog = field(default_factory=Watchdog)
    patience_ms: Millis = SLOW_MS
    """That of its watchdogs."""
    is_asked: bool = False
    """Whether to flush it at the end of this turn."""
    is_flush_due: bool = False
    """Whether a timer will flush it."""
    busy_at: Millis = 0
    """When it was last seen at work for long."""
    start_at: Millis = 0

    def put_off(self, now: Millis) -> None:
        """It has ended, or could not be started: wait before it is started again, longer each time."""
        least, most = BACK_OFF_MS
        self.start_at = now + min(most, least << min(self.failures, 20))
        self.failures += 1

    def patience_of_next(self, action: MoveOthers, now: Millis) -> Millis:
        """Of the executor that the others move to. On a host that is busy every executor is slow at first,
        and each move makes it busier."""
        patience_ms = self.patience_ms if now - self.started_at < QUIET_MS else SLOW_MS
        return min(2 * patience_ms, LOAD_LIMIT_MS) if action.is_loading else patience_ms


class LookAtExecutors(Struct, frozen=True):
    """A timer's payload."""


class FlushSlot(Struct, frozen=True):
    """A timer's payload."""

    slot: Any


def seen_by(slot: Slot, channel: Channel, objects: dict[int, Placed]) -> ExecutorSeen:
    """What its watchdog is to be told."""
    doing = channel.doing()
    placed = objects.get(doing.number)
    is_wanted = placed is not None and placed.run == doing.run
    limit_ms = placed.limit_ms if placed is not None and is_wanted else GONE_LIMIT_MS
    return ExecutorSeen(doing, channel.sent, limit_ms, len(slot.numbers - {doing.number}))


def lost_trial(m: TryClass, doing: Doing, why: str) -> ClassTried:
    """Of a class that was to be tried in an executor that has ended; `doing`: what that did last."""
    if doing.kind == OTHER and doing.run == m.run and doing.number == m.number:
        error: FleetError = DataClassUnavailable(f"loading it ended the process that did: {why}")
    else:
        error = Unavailable(f"the executor ended meanwhile: {why}")
    return ClassTried(m.number, m.run, ErrorRecord.of(error))


def lost_object(placed: Placed, doing: Doing | None, why: str, is_hung: bool) -> ExecutorLost:
    """`doing`: what its executor did for this object when it ended; None: nothing.

    A command that ends its executor is tried once more: it may have been killed from outside. One that hangs
    is not.
    """
    number, run = placed.number, placed.run
    lost = ExecutorLost(number, run, ErrorRecord.of(Unavailable(f"its executor: {why}")))
    if doing is None:
        return lost
    if doing.kind == COMMAND:
        at = (doing.index, doing.place)
        if is_hung or placed.failed_at == at:
            lost = ExecutorLost(number, run, ErrorRecord.of(CommandFailed(why)), *at, doing.method)
        placed.failed_at = at
    elif doing.kind == QUERY:
        error = ErrorRecord.of(QueryFailed(f"it ended its executor: {why}", group=placed.name))
        lost = ExecutorLost(number, run, error, method=doing.method, token=doing.place)
    else:
        placed.loads_failed += 1
        if placed.loads_failed > 1:
            what = f"loading the class or the state ended its executor: {why}"
            placed.loads_failed = 0
            lost = ExecutorLost(number, run, ErrorRecord.of(DataClassUnavailable(what)), is_final=True)
    return lost
