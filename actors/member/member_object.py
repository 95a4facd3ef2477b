"""A member's object, as the member sees it: bytes go to an executor, and bytes come back.

The object is behind by what is under way. Everything leaves in the order in which it was handed over, so a
query sees all that was committed before it, and a snapshot holds exactly the entries up to its index.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from msgspec.structs import replace

from fleet.actors.member.object_halts import ObjectHalts
from fleet.actors.member.object_seams import ObjectsMember, Question, Told
from fleet.actors.member.object_skips import passes
from fleet.actors.member.sending_window import Port, SendingWindow, in_parts
from fleet.actors.messages.executor import (
    NOWHERE,
    ApplyEntries,
    AskQueries,
    CheckCommands,
    CloseObject,
    CommandsChecked,
    CopyState,
    DumpFailed,
    DumpObject,
    EffectsTold,
    EntriesApplied,
    EventsRead,
    LeadsNow,
    LoadState,
    ObjectDumped,
    ObjectFailed,
    ObjectMessage,
    ObjectOpened,
    OpenObject,
    PartsShown,
    QueriesAnswered,
    SetLimit,
    StateCopied,
    StateLoaded,
    StatePointTaken,
)
from fleet.actors.messages.local import ExecutorLost
from fleet.errors import FleetError, Unavailable
from fleet.objects.class_refs import is_imported, version_of
from fleet.objects.payload import ErrorRecord
from fleet.raft.entries import Entry, Founded, Halt, Skipped, SnapshotMeta
from fleet.raft.events import ExecutorAway
from fleet.raft.halting import place_of, skipped_at
from fleet.raft.ids import Index, Millis, Place, Revision, Term
from fleet.raft.messages import DIVERGED, OF_MEMBER
from fleet.raft.state import Leader


class MemberObject:
    """Invariants: `index <= handed`; nothing is sent while it is not open, except what opens it."""

    def __init__(
        self, member: ObjectsMember, told: Told, port: Port, run: int, data_class: bytes = b""
    ) -> None:
        self.member = member
        self.told = told
        self.number = member.start.record.number
        self.port = port
        self.window = SendingWindow(port)
        self.run = run
        self.data_class = data_class or member.spec.data_class
        """That executes what is handed over."""
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
        self.halts = ObjectHalts(member)
        self.base: Index = 0
        """This run began with a snapshot that stands for the entries up to here."""
        self.skipped: set[tuple[Index, int]] = set()
        """Commands that this run was told to pass, or that its snapshot has passed."""
        self.methods: tuple[str, ...] = ()
        self.term: Term = 0
        """In which its member leads, for the hooks."""
        self.is_restored = False
        """As in `LeadsNow`."""
        self.dumping: Index = 0
        """Of the snapshot that was asked for."""
        self.questions: dict[int, Question] = {}
        """Not answered, by token."""

    @property
    def halt(self) -> Halt | None:
        """The command that it cannot execute."""
        return self.halts.at

    # -- open, and open again ----------------------------------------------------------------------

    def open(self, is_fresh: bool = False) -> None:
        member = self.member
        spec, config = member.spec, member.core.config if self.has_begun else member.spec.config
        limit_ms = config.command_limit_ms
        about = (self.number, self.run, spec.name, member.start.member)
        self.port(OpenObject(*about, self.data_class, spec.config, limit_ms, is_fresh))

    def open_again(self, is_fresh: bool = False) -> None:
        """Its executor ended, or what it executed is not what the group did. `is_fresh`: elsewhere than in
        the executor where it was, since modules are not imported twice. One whose state differs stays as it
        is, to be shown, until the leader's state replaces it."""
        if self.halts.is_diverged:
            return
        self.run += 1
        self.is_open = False
        self.halts.is_opened_again()
        self.window.clear()
        self._begin_with(self.told.newest_meta() if self.has_begun else None)
        if self.has_begun:
            self.member.step(ExecutorAway(True))
        self.open(is_fresh)

    def switch(self, data_class: bytes) -> bool:
        """That class executes what is handed over from now on, and begins with the newest snapshot. False: it
        does already."""
        if data_class in (b"", self.data_class):
            return False
        self.data_class = data_class
        self.halts.forget_code()
        self.open_again(is_fresh=is_imported(data_class))
        return True

    @property
    def can_answer(self) -> bool:
        return self.halts.error() is None

    def limit(self, limit_ms: Millis) -> None:
        """How long a command or a query may take was changed."""
        self.port(SetLimit(self.number, self.run, limit_ms))

    def close(self) -> None:
        self.port(CloseObject(self.number, self.run))

    def on_opened(self, m: ObjectOpened) -> None:
        self.methods = m.methods
        self.is_open = True
        other_code = m.other_code.to_error() if m.other_code is not None else None
        if self.halts.should_look_again(other_code):
            self.open_again(is_fresh=True)
            return
        self.halts.found_code(other_code, m.offer)
        if not self.has_begun:
            self.has_begun = True
            self.told.on_opened()
            if other_code is not None:
                self.member.step(ExecutorAway(True))
            return
        self.member.step(ExecutorAway(other_code is not None))
        self._restore()
        if self.dumping:
            error = ErrorRecord.of(Unavailable("its executor ended meanwhile", group=self.member.spec.name))
            self.on_dumped(DumpFailed(m.number, m.run, self.dumping, error))
        questions, self.questions = self.questions, {}
        for token, question in questions.items():
            self.put(replace(question, run=self.run))

    def _begin_with(self, meta: SnapshotMeta | None) -> None:
        self.base, self.skipped = (meta.index, set(meta.skipped)) if meta is not None else (0, set())

    def _restore(self) -> None:
        """Bring a new object to where the former one was, and on to what was handed over."""
        entries, base = self.member.core.log, 0
        found = self.told.newest_snapshot()
        if found is not None:
            meta, state = found
            base = meta.index
            self._begin_with(meta)
            self._send(LoadState(self.number, self.run, state))
        known = max(base, self.index)
        self._apply(entries.slice(base + 1, known) if known > base else (), known)
        if self.term:
            self._tell_leads()
        self._apply(entries.slice(known + 1, self.handed) if self.handed > known else (), known)

    # -- what is handed over -----------------------------------------------------------------------

    def load(self, meta: SnapshotMeta, state: bytes) -> None:
        """Replace its state by a snapshot's."""
        self.handed = self.index = meta.index
        self.trouble, self.dumping = None, 0
        self._begin_with(meta)
        self.halts.pass_by(meta.index)
        if meta.data_class not in (b"", self.data_class):
            self.switch(meta.data_class)
        elif self.has_begun and not self.is_open:
            self.open_again()
        elif self.is_open:
            self._send(LoadState(self.number, self.run, state))

    def apply(self, entries: Sequence[Entry]) -> None:
        """Committed entries, each once and in order."""
        assert entries[0].index == self.handed + 1, f"{entries[0].index} handed over after {self.handed}"
        before, self.handed = self.handed, entries[-1].index
        if type(entries[0].body) is Founded and entries[0].body.data_class not in (b"", self.data_class):
            self.switch(entries[0].body.data_class)
            return
        passed = [entry.body for entry in entries if type(entry.body) is Skipped]
        if passed and passes(self, passed, before):
            return
        if self.is_open:
            self._apply(entries, known=0)

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

    def dump(self, index: Index, size: int, data_class: bytes) -> None:
        """Encode its state; all entries up to `index`, and no others, were handed over."""
        assert index == self.handed
        self.dumping = index
        if self.is_open:
            self._send(DumpObject(self.number, self.run, index, size, self._version_for(data_class)))

    def skipped_before(self, index: Index) -> tuple[tuple[Index, int], ...]:
        """As in `SnapshotMeta.skipped`, of its state after the entry `index`."""
        behind = {place_of(one) for one in self.member.core.skips if one.index > index}
        return tuple(sorted(place for place in self.skipped & behind if place[0] <= index))

    def ask(self, token: int, queries: tuple[bytes, ...]) -> None:
        self.put(AskQueries(self.number, self.run, token, queries))

    def check(self, token: int, payloads: tuple[bytes, ...]) -> None:
        self.put(CheckCommands(self.number, self.run, token, payloads))

    def copy(self, token: int, data_class: bytes) -> None:
        """Its state, for that class to load."""
        self.put(CopyState(self.number, self.run, token, self._version_for(data_class)))

    def _version_for(self, data_class: bytes) -> int:
        return 0 if data_class in (b"", self.data_class) else version_of(data_class)[0]

    def put(self, question: Question) -> None:
        """Ask it, now or when it is open."""
        error = self.halts.error()
        if error is not None:
            self.told.on_question_failed(question.token, error)
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
        agreed = skipped_at(self.member.core)
        skipped = {place: why for place, why in agreed.items() if place[0] > self.base}
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
        if m.run == self.run and (not self.halts.is_diverged or type(m) is PartsShown):
            self.answers[type(m)](self, m)

    def on_applied(self, m: EntriesApplied) -> None:
        self.index, self.revision = max(self.index, m.index), m.revision
        self.trouble = m.trouble.to_error() if m.trouble is not None else None
        self.window.on_executed(m.index)
        if self.is_restored and self._has_led():
            self.is_restored = False  # its hooks were told
        self.halts.pass_by(m.index)
        self.told.on_applied(m)
        self.window.go_on()

    def on_loaded(self, m: StateLoaded) -> None:
        self.revision = m.revision
        self.told.on_loaded(m)

    def on_answered(self, m: QueriesAnswered) -> None:
        question = self.questions[m.token]
        assert type(question) is AskQueries
        rest = question.payloads[len(m.values) :]
        if rest:
            self.questions[m.token] = AskQueries(m.number, m.run, m.token, rest)
        else:
            del self.questions[m.token]
        self.told.on_answered(m)

    def on_question_answered(self, m: CommandsChecked | StateCopied | EventsRead | EffectsTold) -> None:
        del self.questions[m.token]
        self.told.on_question_answered(m)

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
        if m.run != self.run or self.halts.is_diverged:
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
        elif not self.halts.is_parked:
            self.open_again()

    def _cause(self, m: ExecutorLost) -> str:
        name = self.methods[m.method - 1] if 0 < m.method <= len(self.methods) else "decoding a command"
        return f"{name}: {m.error.what}"

    def diverge(self, index: Index, cause: str, place: Place = DIVERGED) -> None:
        """Its state after that entry is wrong. It executes nothing before it has another one: its leader's,
        as soon as that can be had where `place` is REPAIRING."""
        if self.halts.is_diverged and (place == DIVERGED or self.halts.is_repairing):
            return
        if self.term:
            self.port(LeadsNow(self.number, self.run, 0))  # its hooks see that state no longer
        self._stop(index, place, cause)

    def _halt(self, index: Index, place: int, cause: str) -> None:
        """Nothing more is executed until the group has agreed to pass that command; perhaps it has by now."""
        if self.halts.is_passed(index, place):
            self.open_again()
        else:
            self._stop(index, place, cause)

    def _stop(self, index: Index, place: int, cause: str) -> None:
        self.is_open = False
        self.window.clear()
        self.halts.begin(index, place, cause, is_repeated=place in OF_MEMBER or index <= self.index)
        error = self.halted()
        if self.dumping:
            self.on_dumped(DumpFailed(self.number, self.run, self.dumping, ErrorRecord.of(error)))
        questions, self.questions = self.questions, {}
        for token in questions:
            self.told.on_question_failed(token, error)

    def try_again(self, now: Millis) -> None:
        """It halted because of its own executor, perhaps, and may execute the command yet; or the code that
        it needs may be there by now."""
        if self.halts.is_due(now):
            self.open_again(is_fresh=self.halts.other_code is not None)

    def halted(self) -> FleetError:
        assert (error := self.halts.error()) is not None
        return error

    answers: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        ObjectOpened: on_opened,
        ObjectFailed: on_failed,
        StateLoaded: on_loaded,
        EntriesApplied: on_applied,
        QueriesAnswered: on_answered,
        **dict.fromkeys((CommandsChecked, StateCopied, EventsRead, EffectsTold), on_question_answered),
        ObjectDumped: on_dumped,
        DumpFailed: on_dumped,
        StatePointTaken: lambda held, m: held.told.on_point(m),
        PartsShown: lambda held, m: held.told.on_shown(m),
    }
