"""A member's object, as the member sees it: bytes go to an executor, and bytes come back.

The object is behind by what is under way. Everything leaves in the order in which it was handed over, so a
query sees all that was committed before it, and a snapshot holds exactly the entries up to its index.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from fleet.actors.member.sending_window import Port, SendingWindow, in_parts
from fleet.actors.messages.executor import (
    NOWHERE,
    ApplyEntries,
    AskQueries,
    CheckCommands,
    CloseObject,
    CommandsChecked,
    DumpFailed,
    DumpObject,
    EntriesApplied,
    LeadsNow,
    LoadState,
    ObjectDumped,
    ObjectFailed,
    ObjectMessage,
    ObjectOpened,
    OpenObject,
    QueriesAnswered,
    SetLimit,
    StateLoaded,
)
from fleet.actors.messages.local import ExecutorLost, StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.actors.runtime.actor import log
from fleet.errors import Damaged, FleetError, GroupHalted, Unavailable
from fleet.objects.payload import ErrorRecord
from fleet.raft.core import Core
from fleet.raft.entries import Entry, Halt, Skipped
from fleet.raft.events import ExecutionHalted, ExecutionResumed, ExecutorAway
from fleet.raft.halting import may_retry, skipped_at
from fleet.raft.ids import Index, Millis, Revision, Term
from fleet.raft.state import NEVER, Leader

TRY_MS: tuple[Millis, Millis] = (15_000, 900_000)
"""The shortest and the longest pause before a member that has halted tries that command again."""
CAUSE_MAX = 500
"""Characters of the cause of a halt, which is kept in the log."""


class ObjectsMember(Protocol):
    """The member, as its object needs it."""

    core: Core
    start: StartMember
    spec: GroupSpec

    def step(self, event: Any) -> None: ...


class Told(Protocol):
    """Who is told of what the executor answers."""

    def on_opened(self) -> None:
        """It is open for the first time."""

    def on_failed(self, error: FleetError, retry: bool) -> None:
        """The member cannot go on with it. `retry`: whether starting the member again may help."""

    def on_applied(self, m: EntriesApplied) -> None: ...

    def on_loaded(self, m: StateLoaded) -> None: ...

    def on_answered(self, m: QueriesAnswered) -> None: ...

    def on_checked(self, m: CommandsChecked) -> None: ...

    def on_dumped(self, m: ObjectDumped | DumpFailed) -> None: ...

    def on_question_failed(self, token: int, error: FleetError) -> None:
        """These queries, or this look at commands, will not be answered."""

    def newest_snapshot(self) -> tuple[Index, bytes] | None:
        """The entry that it ends with, and the state. Raises Damaged."""


class MemberObject:
    """Invariants: `index <= handed`; nothing is sent while it is not open, except what opens it."""

    def __init__(self, member: ObjectsMember, told: Told, port: Port, run: int) -> None:
        self.member = member
        self.told = told
        self.number = member.start.record.number
        self.port = port
        self.window = SendingWindow(port)
        self.run = run
        self.is_open = False
        self.has_begun = False
        """Whether it was open once, and so the member takes part."""
        self.handed: Index = 0
        """Entries up to here were handed over."""
        self.index: Index = 0
        """Entries up to here are executed."""
        self.revision: Revision = 0
        self.trouble: FleetError | None = None
        """Why its state cannot be encoded."""
        self.halt: Halt | None = None
        """The command that it cannot execute."""
        self.halts = 0
        """How often it has halted there."""
        self.is_parked = False
        """It has halted, and is not opened again before `try_at`, or before the group passes that command."""
        self.try_at: Millis = NEVER
        self.skipped: set[tuple[Index, int]] = set()
        """Commands that this run was told to pass."""
        self.methods: tuple[str, ...] = ()
        self.term: Term = 0
        """In which its member leads, for the hooks."""
        self.is_restored = False
        """As in `LeadsNow`."""
        self.dumping: Index = 0
        """Of the snapshot that was asked for."""
        self.questions: dict[int, AskQueries | CheckCommands] = {}
        """Not answered, by token."""

    # -- open, and open again ----------------------------------------------------------------------

    def open(self) -> None:
        member = self.member
        spec, config = member.spec, member.core.config if self.has_begun else member.spec.config
        limit_ms = config.command_limit_ms
        self.port(
            OpenObject(
                self.number, self.run, spec.name, member.start.member, spec.data_class, spec.config, limit_ms
            )
        )

    def open_again(self) -> None:
        """Its executor ended, or what it executed is not what the group did."""
        self.run += 1
        self.is_open = self.is_parked = False
        self.window.clear()
        self.skipped.clear()
        if self.has_begun:
            self.member.step(ExecutorAway(True))
        self.open()

    def limit(self, limit_ms: Millis) -> None:
        """How long a command or a query may take was changed."""
        self.port(SetLimit(self.number, self.run, limit_ms))

    def close(self) -> None:
        self.port(CloseObject(self.number, self.run))

    def on_opened(self, m: ObjectOpened) -> None:
        self.methods = m.methods
        self.is_open = True
        if not self.has_begun:
            self.has_begun = True
            self.told.on_opened()
            return
        self.member.step(ExecutorAway(False))
        self._restore()
        if self.dumping:
            error = ErrorRecord.of(Unavailable("its executor ended meanwhile", group=self.member.spec.name))
            self.on_dumped(DumpFailed(m.number, m.run, self.dumping, error))
        questions, self.questions = self.questions, {}
        for token, question in questions.items():
            self._ask(type(question)(m.number, self.run, token, question.payloads))

    def _restore(self) -> None:
        """Bring a new object to where the former one was, and on to what was handed over."""
        entries, base = self.member.core.log, 0
        found = self.told.newest_snapshot()
        if found is not None:
            base, state = found
            self._send(LoadState(self.number, self.run, state))
        known = max(base, self.index)
        self._apply(entries.slice(base + 1, known) if known > base else (), known)
        if self.term:
            self._tell_leads()
        self._apply(entries.slice(known + 1, self.handed) if self.handed > known else (), known)

    # -- what is handed over -----------------------------------------------------------------------

    def load(self, index: Index, state: bytes) -> None:
        """Replace its state by a snapshot's, which ends with the entry `index`."""
        self.handed = self.index = index
        self.trouble, self.dumping = None, 0
        self._pass_halt(index)
        if self.has_begun and not self.is_open:
            self.open_again()
        elif self.is_open:
            self._send(LoadState(self.number, self.run, state))

    def apply(self, entries: Sequence[Entry]) -> None:
        """Committed entries, each once and in order."""
        assert entries[0].index == self.handed + 1, f"{entries[0].index} handed over after {self.handed}"
        before, self.handed = self.handed, entries[-1].index
        passed = [entry.body for entry in entries if type(entry.body) is Skipped]
        if passed and self._passes(passed, before):
            return
        if self.is_open:
            self._apply(entries, known=0)

    def _passes(self, bodies: Sequence[Skipped], handed: Index) -> bool:
        """Whether the object is made again because of commands that the group records as failed. Entries up
        to `handed` were given to it, and it executes them if it has not yet."""
        places = {(body.index, body.place) for body in bodies}
        is_ended = self.halt is not None and (self.halt.index, self.halt.place) in places
        executed = {place for place in places if place[0] <= handed and place not in self.skipped}
        if executed and not self._can_undo(min(executed)[0]):
            return True
        if is_ended or executed:
            self.open_again()
            return True
        return False

    def _can_undo(self, index: Index) -> bool:
        snapshot = self.member.core.snapshot
        if snapshot is None or snapshot.index < index:
            return True
        what = f"it executed a command of entry {index} that the group records as failed"
        self.told.on_failed(Damaged(what, group=self.member.spec.name), False)
        return False

    def lead(self, term: Term) -> None:
        """The member leads in that term; 0: it no longer does."""
        self.term = term
        if self.is_open:
            self._tell_leads()

    def _tell_leads(self) -> None:
        self._send(LeadsNow(self.number, self.run, self.term, self.is_restored, self._has_led()))

    def _has_led(self) -> bool:
        """Whether an entry of this term was executed before."""
        return self.term != 0 and self.member.core.log.term_at(self.index) == self.term

    def dump(self, index: Index, size: int) -> None:
        """Encode its state; all entries up to `index`, and no others, were handed over."""
        assert index == self.handed
        self.dumping = index
        if self.is_open:
            self._send(DumpObject(self.number, self.run, index, size))

    def ask(self, token: int, queries: tuple[bytes, ...]) -> None:
        self._ask(AskQueries(self.number, self.run, token, queries))

    def check(self, token: int, payloads: tuple[bytes, ...]) -> None:
        self._ask(CheckCommands(self.number, self.run, token, payloads))

    def _ask(self, question: AskQueries | CheckCommands) -> None:
        if self.halt is not None:
            self.told.on_question_failed(question.token, self.halted())
            return
        self.questions[question.token] = question
        if self.is_open:
            self._send(question)

    def is_behind(self) -> bool:
        """Whether so much of what this leader proposed waits for it that it should propose no more. What was
        in its log when it was elected does not count: callers cannot make that less."""
        role = self.member.core.role
        return type(role) is Leader and self.window.is_full(role.first_index)

    def _apply(self, entries: Sequence[Entry], known: Index) -> None:
        if not entries:
            return
        skipped = skipped_at(self.member.core)
        to_pass = tuple((*place, why) for place, why in skipped.items() if place not in self.skipped)
        self.skipped.update(skipped)
        for part in in_parts(entries):
            self._send(ApplyEntries(self.number, self.run, part, known, to_pass, may_wait=not self.term))
            to_pass = ()

    def _send(self, message: ObjectMessage) -> None:
        self.window.send(message)

    # -- answers -----------------------------------------------------------------------------------

    def take(self, m: Any) -> None:
        """An answer of the executor. One of an earlier run is ignored."""
        if m.run == self.run:
            self.answers[type(m)](self, m)

    def on_applied(self, m: EntriesApplied) -> None:
        self.index, self.revision = max(self.index, m.index), m.revision
        self.trouble = m.trouble.to_error() if m.trouble is not None else None
        self.window.on_executed(m.index)
        if self.is_restored and self._has_led():
            self.is_restored = False  # its hooks were told
        self._pass_halt(m.index)
        self.told.on_applied(m)
        self.window.go_on()

    def on_loaded(self, m: StateLoaded) -> None:
        self.revision = m.revision
        self.told.on_loaded(m)

    def on_answered(self, m: QueriesAnswered) -> None:
        rest = self.questions[m.token].payloads[len(m.values) :]
        if rest:
            self.questions[m.token] = AskQueries(m.number, m.run, m.token, rest)
        else:
            del self.questions[m.token]
        self.told.on_answered(m)

    def on_checked(self, m: CommandsChecked) -> None:
        del self.questions[m.token]
        self.told.on_checked(m)

    def on_dumped(self, m: ObjectDumped | DumpFailed) -> None:
        if m.index != self.dumping:
            return  # a snapshot of the leader has overtaken it
        self.dumping = 0
        self.told.on_dumped(m)

    def on_failed(self, m: ObjectFailed) -> None:
        error = m.error.to_error()
        if m.place == NOWHERE:
            self.is_open = False
            self.told.on_failed(error, m.retry)
        else:
            self._halt(m.index, m.place, error.what)

    def on_lost(self, m: ExecutorLost) -> None:
        if m.run != self.run:
            return
        if m.token:
            question = self.questions.pop(m.token, None)
            if question is not None:
                self.told.on_question_failed(m.token, m.error.to_error())
        if m.is_final:
            self.is_open = False
            self.told.on_failed(m.error.to_error(), True)
        elif m.index:
            self._halt(m.index, m.place, self._cause(m))
        elif not self.is_parked:
            self.open_again()

    def _cause(self, m: ExecutorLost) -> str:
        name = self.methods[m.method - 1] if 0 < m.method <= len(self.methods) else "decoding a command"
        return f"{name}: {m.error.what}"

    def _halt(self, index: Index, place: int, cause: str) -> None:
        """Nothing more is executed until the group has agreed to pass that command; perhaps it has by now, or
        a snapshot of the leader stands for it (seed 1200125)."""
        core = self.member.core
        if (index, place) in skipped_at(core) or (core.snapshot is not None and index <= core.snapshot.index):
            self.open_again()
            return
        self.is_open, self.is_parked = False, True
        self.window.clear()
        halt = self.halt = Halt(index, place, cause[:CAUSE_MAX], is_repeated=index <= self.index)
        least, most = TRY_MS
        self.try_at = self.member.start.clock.now_ms() + min(most, least << min(self.halts, 20))
        self.halts += 1
        name, member = self.member.spec.name, self.member.start.member
        log.error(
            "group=%s member=%s halts at entry %d, command %d: %s", name, member, index, place + 1, halt.cause
        )
        self.member.step(ExecutionHalted(halt))
        if self.dumping:
            record = ErrorRecord.of(self.halted())
            self.on_dumped(DumpFailed(self.number, self.run, self.dumping, record))
        questions, self.questions = self.questions, {}
        for token in questions:
            self.told.on_question_failed(token, self.halted())

    def _pass_halt(self, index: Index) -> None:
        """This run has executed all up to `index`: the command at which it halted may be behind it now."""
        if self.halt is not None and self.halt.index <= index:
            self.halt = None
            self.halts = 0
            self.member.step(ExecutionResumed())

    def try_again(self, now: Millis) -> None:
        """It halted because of its own executor, perhaps, and may execute the command yet."""
        if self.is_parked and now >= self.try_at and may_retry(self.member.core):
            self.open_again()

    def halted(self) -> GroupHalted:
        return halted(self.halt, self.member.spec.name)

    answers: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        ObjectOpened: on_opened,
        ObjectFailed: on_failed,
        StateLoaded: on_loaded,
        EntriesApplied: on_applied,
        QueriesAnswered: on_answered,
        CommandsChecked: on_checked,
        ObjectDumped: on_dumped,
        DumpFailed: on_dumped,
    }


def halted(halt: Halt | None, group: str) -> GroupHalted:
    assert halt is not None
    return GroupHalted(f"it cannot execute entry {halt.index}: {halt.cause}", group=group, index=halt.index)
