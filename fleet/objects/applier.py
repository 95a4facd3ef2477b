"""Applies committed entries to the data object, each command once, and returns the results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from zlib import crc32

from msgspec import Struct

from fleet.errors import KeyReused, KeysFull
from fleet.interfaces import RESULTS_BYTES_MAX, Context, Executor
from fleet.objects.applied_state import FORMAT, AppliedState, decode_state, encode_state
from fleet.objects.due_reminders import TellFired, fire
from fleet.objects.journal import Executed, Journal
from fleet.objects.keyed import KeyedCall, is_keyed, read_keyed
from fleet.objects.payload import encode_bad_call, encode_failed, encode_not_done
from fleet.objects.weights import FAILED
from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    ClassSwitched,
    Commands,
    ConfigChanged,
    EffectsDone,
    Entry,
    Founded,
    KeyedCommands,
    MemberAdded,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
    Noop,
    RemindersDue,
    SessionClosed,
    SessionOpened,
)
from fleet.raft.group_events import EventLog, GroupEvent
from fleet.raft.ids import Index, Millis, Revision, SessionId
from fleet.raft.keys import KeyTable
from fleet.raft.reminders import ReminderTable
from fleet.raft.sessions import DONE, EXECUTE, STALE, Results, Session, SessionTable


class Outcomes(Struct, frozen=True, array_like=True, gc=False):
    """The outcomes of consecutive commands of a session, from `first` on.

    `status` is DONE or one of the refusals of `fleet.raft.sessions`. With DONE, `revision` is that of the
    first command, and each further one has the next; a refused command has b"" for a value.
    """

    session: SessionId
    first: int
    status: str
    revision: Revision
    values: tuple[bytes, ...]


class Opened(Struct, frozen=True, array_like=True, gc=False):
    client: str
    session: SessionId


Tell: TypeAlias = Callable[[Outcomes, bool], None]
"""Called with outcomes, and whether the commands were executed now: else they were before, or are refused."""


NO_KEYED_CALL = "neither a call nor a call with a key"
REUSED_KEY = "another command had this key"
MEMBERS_CHANGED = (MemberAdded, MemberPromoted, MemberDemoted, MemberRemoved)
EFFECTS_MAX = 10_000
EFFECTS_WEIGHT_MAX = 16 << 20
"""So many events wait for `on_effect`; with more, commands that emit fail."""


@dataclass(slots=True)
class Applier:
    """The applied state: a data object, the sessions, the keys of commands, the events, the index of the last
    applied entry, and the revision.

    A command that fails may leave its object half changed. The object is then restored from the `journal`.
    """

    executor: Executor
    config: GroupConfig
    index: Index = 0
    revision: Revision = 0
    sessions: SessionTable = field(default_factory=SessionTable)
    keys: KeyTable = field(default_factory=KeyTable)
    events: EventLog = field(default_factory=EventLog)
    fresh_events: list[GroupEvent] | None = None
    """Those that whoever holds this was not told of; None: nobody wants to know."""
    journal: Journal = field(default_factory=Journal)
    is_unused: bool = True
    """No command was executed yet. A snapshot then holds no object, whether or not the member has
    the code: a class that is in force later begins with a new one of its own, on all members."""
    skipped: dict[tuple[Index, int], str] = field(default_factory=dict)
    """Commands that fail without being executed, by their entry and their place in it, and why: they ended
    the executors of all voters, or an operator passed them (S71)."""
    tell_fired: TellFired = lambda fired: None
    """Called with what came of each reminder."""
    after_each: Callable[[Revision], None] | None = None
    """Called with the revision of each command or reminder, also of one that was skipped, once nothing of it
    is left to do; commands are then executed one by one."""

    def __post_init__(self) -> None:
        self._adopt(self.config)

    @property
    def reminders(self) -> ReminderTable:
        return self.executor.reminders

    def due(self) -> tuple[Millis, Millis]:
        """When the first reminder is due, and log time; (0, 0): there is none."""
        reminder = self.reminders.next_due() if self.reminders.reminders else None
        return (reminder.due_ms, self.sessions.log_ms) if reminder is not None else (0, 0)

    def _adopt(self, config: GroupConfig) -> None:
        self.config = config
        self.reminders.count_max = config.reminders_max

    def apply(self, entry: Entry, tell: Tell = lambda outcomes, is_new: None) -> Opened | None:
        """Apply the next committed entry. `tell` gets the outcomes of its commands, in their order, whenever
        there are many bytes of them, and at the end. An error in a command is its result; only
        `MemberMustHalt` is raised, for an error that may not happen on other members."""
        assert entry.index == self.index + 1, f"{entry.index} applied after {self.index}"
        self.index = entry.index
        body = entry.body
        if type(body) is Commands or type(body) is KeyedCommands:
            self._commands(body, tell)
        elif type(body) is SessionOpened:
            self._advance(body.wall_ms)
            return Opened(body.client, self.sessions.open(entry.index, body))
        elif type(body) is SessionClosed:
            self._advance(body.wall_ms)
            self.sessions.close(body.client)
        elif type(body) is RemindersDue:
            self._advance(body.wall_ms)
            fire(self, self._make_room, self.tell_fired)
            self.journal.bound(self.executor, self.index)
        elif type(body) is EffectsDone:
            self.events.acknowledge((body.revision, body.number))
            self._trim_events()
        elif type(body) is ClassSwitched:
            self.revision += 1
        elif type(body) is ConfigChanged:
            self._adopt(body.config)
            self.revision += 1
        elif type(body) in MEMBERS_CHANGED:
            self.revision += 1
        elif type(body) is Noop:
            self.sessions.is_other_clock = True
        elif type(body) is Founded:
            self._adopt(body.config)
            self.sessions = SessionTable(log_ms=self.sessions.log_ms, salt=crc32(body.member.encode()))
        return None

    def _advance(self, wall_ms: int) -> None:
        if self.keys.results and not self.sessions.is_other_clock:
            self.keys.pass_time(max(0, wall_ms - self.sessions.log_ms))
        self.sessions.advance(wall_ms, self.config.session_ttl_ms, self.config.sessions_max)

    # -- commands ----------------------------------------------------------------------------------

    def _commands(self, body: Commands, tell: Tell) -> None:
        self._advance(body.wall_ms)
        status, session, known = self.sessions.admit(body)
        if status != EXECUTE:
            tell(Outcomes(body.session, body.first, status, 0, (b"",) * len(body.payloads)), False)
            return
        assert session is not None
        for place in range(known):
            tell(_known(session, body.first + place), False)
        done = known
        while done < len(body.payloads):
            until = self._next_apart(body, done)
            if until == done:
                done += self._execute_apart(session, body, done, tell)
            else:
                done += len(self._execute(session, body.first + done, body.payloads[done:until], tell).values)
        self.journal.bound(self.executor, self.index)

    def _next_apart(self, body: Commands, start: int) -> int:
        """The place of the first command from `start` on that is to be skipped or has a key, else the end."""
        end = len(body.payloads)
        if self.skipped:
            skipped = (place for index, place in self.skipped if index == self.index and place >= start)
            end = min(skipped, default=end)
        if type(body) is KeyedCommands:
            end = next((at for at in range(start, end) if is_keyed(body.payloads[at])), end)
        return end

    def _execute_apart(self, session: Session, body: Commands, place: int, tell: Tell) -> int:
        """A command that is to be skipped, or has a key, or both."""
        seq, payload = body.first + place, body.payloads[place]
        why = self.skipped.get((self.index, place))
        before = self.revision
        if type(body) is KeyedCommands and is_keyed(payload):
            self._execute_keyed(session, seq, read_keyed(payload), why, tell)
        else:
            self._skip(session, seq, why or "", tell)
        if self.after_each is not None and self.revision > before:
            self.after_each(self.revision)
        return 1

    def _execute_keyed(
        self, session: Session, seq: int, call: KeyedCall | None, why: str | None, tell: Tell
    ) -> None:
        """What came of the first command with that key is told to every later one. `why`: it is to be
        skipped."""
        known = None if call is None else self.keys.results.get(call.key)
        if call is None:
            self._record(session, Results(seq, self.revision, (encode_bad_call(NO_KEYED_CALL),)), False, tell)
        elif known is not None:
            same = known.digest == call.digest
            error = KeyReused(REUSED_KEY, key=call.key, revision=known.revision)
            value = known.value if same else encode_not_done(error)
            self._record(session, Results(seq, known.revision, (value,)), False, tell)
        elif self.keys.is_full(self.config):
            about = {"keys": len(self.keys.results), "weight": self.keys.weight}
            full = encode_not_done(KeysFull("too many keys are kept", **about))
            self._record(session, Results(seq, self.revision, (full,)), False, tell)
        else:
            if why is None:
                results = self._execute(session, seq, (call.payload,), tell, weigh=True)
                weight = self.executor.weight
            else:
                results, weight = self._skip(session, seq, why, tell), FAILED
            keep_ms = call.keep_ms or self.executor.keep_ms
            self.keys.record(call.key, call.digest, keep_ms, results.revision, results.values[0], weight)

    def _skip(self, session: Session, seq: int, why: str, tell: Tell) -> Results:
        """Record the command as failed. It takes a revision as any other that fails."""
        self.revision += 1
        results = Results(seq, self.revision, (encode_failed("command", "Skipped", why, ""),))
        return self._record(session, results, True, tell)

    def _record(self, session: Session, results: Results, is_new: bool, tell: Tell) -> Results:
        self.sessions.record(session, results, self.config)
        tell(Outcomes(session.id, results.first, DONE, results.revision, results.values), is_new)
        return results

    def _execute(
        self, session: Session, first: int, payloads: tuple[bytes, ...], tell: Tell, weigh: bool = False
    ) -> Results:
        """Execute the first of these, until there are many bytes of results. How many these are may differ
        between members, and decides nothing. `weigh`: as of `Executor.apply`; the one command has a key, and
        it is recorded later."""
        start, size, rest = self.revision, 0, payloads
        values: list[bytes] = []
        while rest and size <= RESULTS_BYTES_MAX:
            place = first + len(values)
            context = Context(self.revision + 1, self.sessions.log_ms, session.id, place, session.client)
            self._make_room()
            batch = rest if self.after_each is None else rest[:1]
            some, is_clean = self.executor.apply(context, batch, RESULTS_BYTES_MAX - size, weigh=weigh)
            assert some
            self.is_unused = False
            self.keep_events()
            count = len(some)
            self.revision += count
            size += sum(map(len, some))
            values += some
            self.keep(context, rest[: count if is_clean else count - 1])
            if not is_clean:
                self.roll_back()
            if self.after_each is not None and not weigh:
                self.after_each(self.revision)
            rest = rest[count:]
        return self._record(session, Results(first, start + 1, tuple(values)), True, tell)

    def _make_room(self) -> None:
        if self.executor.wants_effects:
            events = self.events
            self.executor.effects_room = (
                EFFECTS_MAX - events.pending,
                EFFECTS_WEIGHT_MAX - events.pending_weight,
            )

    def keep_events(self) -> None:
        """What was emitted just now."""
        emitted = self.executor.take_events()
        if emitted:
            executor = self.executor
            limits = executor.events_max, executor.events_bytes_max
            self.events.add(emitted, *limits, for_effects=executor.wants_effects)
            if self.fresh_events is not None:
                self.fresh_events += emitted

    def check(self, payload: bytes) -> str | None:
        """As `fleet.interfaces.Executor`, also for a command with a key."""
        if not is_keyed(payload):
            return self.executor.check(payload)
        call = read_keyed(payload)
        return NO_KEYED_CALL if call is None else self.executor.check(call.payload)

    def query(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Execute queries; returns the results of the first of them, at least one."""
        values, is_clean = self.executor.query(payloads)
        if is_clean:
            return values
        self.roll_back()
        return values or self._query_apart(payloads)

    def _query_apart(self, payloads: Sequence[bytes]) -> list[bytes]:
        """One of them changes the object."""
        values: list[bytes] = []
        size = 0
        for payload in payloads:
            (value,), is_clean = self.executor.query((payload,))
            values.append(value)
            if not is_clean:
                self.roll_back()
            size += len(value)
            if size > RESULTS_BYTES_MAX:
                break
        return values

    def keep(self, context: Context, payloads: tuple[bytes, ...], is_due: bool = False) -> None:
        """These left the object intact."""
        if payloads:
            self.journal.keep(Executed(self.index, context, payloads, is_due))

    def roll_back(self) -> None:
        """Undo changes that are not in the journal."""
        self.journal.roll_back(self.executor, self.index)

    # -- snapshots ---------------------------------------------------------------------------------

    def dump(self, version: int = 0) -> bytes:
        """A snapshot of the applied state, encoded; for an older `version` of its class, if that is not 0.
        Raises StateNotEncodable."""
        data = b"" if self.is_unused else self.executor.dump(version)
        kept = self.keys.kept(), self.events.kept(), self.reminders.kept()
        state = (FORMAT, self.index, self.revision, self.sessions, self.config, data, *kept)
        return encode_state(AppliedState(*state))

    def restore(self, data: bytes, base: Callable[[], bytes | None] | None = None) -> None:
        """Replace the applied state by one that `dump` returned."""
        state = decode_state(data)
        assert state.format == FORMAT, f"snapshot format {state.format}, this is {FORMAT}"
        kept = state.data or None
        self.is_unused = kept is None
        self.executor.load(kept)
        self.index, self.revision = state.index, state.revision
        self.sessions, self.keys = state.sessions, KeyTable.of(state.keys)
        self._restore_events(EventLog.of(state.events))
        self.reminders.load(state.reminders)
        self._adopt(state.config)
        self.journal = Journal()
        self.journal.rebase(state.index, base if base is not None else lambda: kept, len(state.data))

    def _restore_events(self, events: EventLog) -> None:
        """A member without the code, where this state may come from, forgets none."""
        self.events = events
        if not self.executor.wants_effects:
            events.acknowledge_all()
        self._trim_events()

    def _trim_events(self) -> None:
        self.events.trim(self.executor.events_max, self.executor.events_bytes_max)


def _known(session: Session, seq: int) -> Outcomes:
    """Of a command that is not executed again."""
    result = session.result(seq)
    if result is None:
        return Outcomes(session.id, seq, STALE, 0, (b"",))
    return Outcomes(session.id, seq, DONE, result.revision, result.values)
