"""One member's object, as its executor holds it: what it is asked, and what it answers.

The same code runs in an executor's process, in a node that has none, and in the simulator.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol

from fleet.actors.executor.event_pages import read_events, take_fresh
from fleet.actors.executor.hook_events import HookEvents, open_hook_events
from fleet.actors.executor.opened_class import opened_class
from fleet.actors.executor.state_dumps import StateDumps
from fleet.actors.executor.state_points import StatePoints
from fleet.actors.messages.executor import (
    NOWHERE,
    ApplyEntries,
    AskEffects,
    AskQueries,
    CheckCommands,
    CommandsChecked,
    CopyState,
    DumpObject,
    EffectsTold,
    EntriesApplied,
    FromExecutor,
    KeepState,
    LeadsNow,
    LeaveEvents,
    LoadState,
    ObjectDumped,
    ObjectFailed,
    OpenObject,
    PartsShown,
    QueriesAnswered,
    ReadEvents,
    ShowParts,
    StateLoaded,
)
from fleet.errors import FleetError, OtherCode
from fleet.interfaces import RESULTS_BYTES_MAX, Dump, Fork, MemberMustHalt
from fleet.objects.applier import Applier, Opened, Outcomes
from fleet.objects.due_reminders import Fired, failure_of
from fleet.objects.executor import ObjectExecutor
from fleet.objects.hooks import HookRunner
from fleet.objects.payload import ErrorRecord, as_text
from fleet.objects.progress import COMMAND, FIRST, INDEX, OTHER, QUERY, SEQ, Cells, begin, end
from fleet.objects.sealed import SealedState
from fleet.objects.tracebacks import Tracebacks
from fleet.raft.entries import Commands, Entry
from fleet.raft.messages import OTHER_CODE

log = logging.getLogger("fleet.actors")
TELL_EVERY_S = 0.005
"""What slow commands have answered does not wait longer for those after them."""


class ObjectHost(Protocol):
    """Where an object lives: a process of its own with others, or its member's."""

    cells: Cells
    fork: Fork
    fork_above_bytes: int
    """States bigger than this are encoded in a forked child; 0: never."""
    hooks: HookRunner | None
    tells_tracebacks: bool
    """Whether callers get the tracebacks of what fails."""

    def answer(self, message: FromExecutor) -> None: ...

    def answer_from_memory(self, message: ObjectDumped, dump: Dump) -> None:
        """`answer` with a state that is in the memory of `dump`, which is released."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def wait_for(self, hosted: "HostedObject", dump: Dump | None) -> None:
        """Call `on_dumped` when this is readable; None: nothing to wait for any more."""


class HostedObject:
    """Invariant: once it has answered `ObjectFailed` it answers nothing."""

    def __init__(self, host: ObjectHost, m: OpenObject) -> None:
        """Raises what the class's constructor raises."""
        self.host = host
        self.number, self.run = m.number, m.run
        self.group, self.member = m.group, m.member
        self.dumps = StateDumps(self)
        self.tracebacks = Tracebacks() if host.tells_tracebacks else None
        self.executor: ObjectExecutor | SealedState
        self.hooks: HookEvents | None = None
        self.points: StatePoints | None = None
        found = opened_class(m.data_class)
        if isinstance(found, SealedState):
            self.executor = found
            self.applier = Applier(self.executor, m.config)
        else:
            self.executor = ObjectExecutor(found, host.cells, self.tracebacks)
            self.applier = Applier(self.executor, m.config)
            self.points = StatePoints(self, self.executor)
            self.hooks = open_hook_events(m.group, m.member, self.applier, self.executor, host.hooks)
        self.applier.tell_fired = self._note_fired
        self.leads = False
        self.is_known = False
        """What is applied was executed by an earlier run."""
        self.failed = False
        self.outcomes: list[Outcomes] = []
        self.outcome_bytes = 0
        self.opened: list[Opened] = []
        self.told_at = 0.0

    def handle(self, m: Any) -> None:
        """Take one message, and answer it."""
        if self.failed:
            return
        self.handlers[type(m)](self, m)

    # -- entries -----------------------------------------------------------------------------------

    def on_apply(self, m: ApplyEntries) -> None:
        applier, cells = self.applier, self.host.cells
        if m.skipped:
            applier.skipped.update({(index, place): why for index, place, why in m.skipped})
        begin(cells, COMMAND, self.number, self.run)
        self.told_at = self.host.now()
        try:
            for entry in m.entries:
                body = entry.body
                cells[FIRST] = cells[SEQ] = body.first if isinstance(body, Commands) else 0
                cells[INDEX] = entry.index
                self._apply(entry, is_known=entry.index <= m.known)
                every = applier.config.compare_every
                if every and not entry.index % every and self.points is not None:
                    self._take_point(self.points, entry.index, every)
                if self.outcomes and self.host.now() - self.told_at > TELL_EVERY_S:
                    self._tell()
        except MemberMustHalt as error:
            self._halt(error)
            return
        except OtherCode as error:
            self._tell(is_amid=True)
            self._fail(error, True, cells[INDEX], OTHER_CODE)
            return
        finally:
            end(cells)
        self._tell()

    def _take_point(self, points: StatePoints, index: int, every: int) -> None:
        if points.is_point(index, every):
            begin(self.host.cells, OTHER, self.number, self.run)
            points.take(index)
            begin(self.host.cells, COMMAND, self.number, self.run)

    def _apply(self, entry: Entry, is_known: bool) -> None:
        hooks, self.is_known = self.hooks, is_known
        if hooks is None or is_known:
            opened = self.applier.apply(entry, self._note)
        else:
            opened = self.applier.apply(entry, partial(self._note_executed, hooks, entry))
            hooks.on_applied(entry)
        if opened is not None:
            self.opened.append(opened)

    def _note(self, outcomes: Outcomes, is_new: bool) -> None:
        if is_new and self.tracebacks is not None:
            outcomes = self.tracebacks.added_to(outcomes)
        self.outcomes.append(outcomes)
        self.outcome_bytes += sum(map(len, outcomes.values))
        if self.outcome_bytes > RESULTS_BYTES_MAX:
            self._tell(is_amid=True)

    def _note_executed(self, hooks: HookEvents, entry: Entry, outcomes: Outcomes, is_new: bool) -> None:
        self._note(outcomes, is_new)
        if is_new and isinstance(entry.body, Commands):
            hooks.on_executed(entry.body, outcomes)

    def _note_fired(self, fired: Fired) -> None:
        """There is nobody else to whom its failure could be told."""
        if self.is_known or not self.leads:
            return
        why = failure_of(fired.value)
        if why is not None:
            what = "group=%s reminder=%s key=%s fails, and changes nothing: %s"
            log.error(what, self.group, fired.reminder.name, fired.reminder.key, why)
        if self.hooks is not None:
            self.hooks.on_fired(fired)

    def _tell(self, is_amid: bool = False) -> None:
        """Say how far it is. In the middle of an entry that entry is not applied yet."""
        applier, trouble = self.applier, self.executor.trouble()
        told, self.outcomes = tuple(self.outcomes), []
        opened, self.opened = tuple(self.opened), []
        self.outcome_bytes = 0
        self.told_at = self.host.now()
        record = ErrorRecord.of(trouble) if trouble is not None else None
        about = self.number, self.run, applier.index - is_amid, applier.revision
        news = take_fresh(applier), *applier.due(), self._effects()
        self.host.answer(EntriesApplied(*about, told, opened, record, *news))

    def _halt(self, error: MemberMustHalt) -> None:
        """What was executed before is told: it is part of the state of every member."""
        cells = self.host.cells
        if self.outcomes or self.opened:
            self._tell(is_amid=True)
        log.error("group=%s member=%s cannot go on: %s", self.group, self.member, error)
        self._fail(error, False, cells[INDEX], cells[SEQ] - cells[FIRST])

    def _fail(self, error: FleetError, retry: bool, index: int = 0, place: int = NOWHERE) -> None:
        self.close()
        record = ErrorRecord.of(error)
        self.host.answer(ObjectFailed(self.number, self.run, record, retry, index, place))

    # -- questions ---------------------------------------------------------------------------------

    def on_ask(self, m: AskQueries) -> None:
        payloads, cells = m.payloads, self.host.cells
        begin(cells, QUERY, self.number, self.run)
        cells[SEQ] = m.token
        try:
            while payloads:
                values = self.applier.query(payloads)
                if self.hooks is not None:
                    self.hooks.on_read(payloads[: len(values)], values)
                revision = self.applier.revision
                self.host.answer(QueriesAnswered(self.number, self.run, m.token, tuple(values), revision))
                payloads = payloads[len(values) :]
        except (MemberMustHalt, OtherCode) as error:
            self._fail(error, retry=True)
        finally:
            end(cells)

    def on_check(self, m: CheckCommands) -> None:
        begin(self.host.cells, OTHER, self.number, self.run)
        checks = enumerate(map(self.applier.check, m.payloads))
        objections = {place: as_text(why) for place, why in checks if why is not None}
        end(self.host.cells)
        self.host.answer(CommandsChecked(self.number, self.run, m.token, objections))

    def on_read_events(self, m: ReadEvents) -> None:
        self.host.answer(read_events(self.applier, m))

    def _effects(self) -> int:
        return self.applier.events.pending if self.executor.wants_effects else 0

    def on_ask_effects(self, m: AskEffects) -> None:
        effects = self.hooks.effects if self.hooks is not None else None
        if effects is not None and m.is_retry:
            effects.go_on()
        done, is_failing = ((0, 0), False) if effects is None else (effects.done, effects.is_failing)
        self.host.answer(EffectsTold(self.number, self.run, m.token, done, is_failing))

    def on_leave_events(self, m: LeaveEvents) -> None:
        self.applier.fresh_events = None

    # -- snapshots ---------------------------------------------------------------------------------

    def on_load(self, m: LoadState) -> None:
        self.dumps.cancel()
        take_fresh(self.applier)  # who wants to know reads them again
        if self.points is not None:
            self.points.forget()
        begin(self.host.cells, OTHER, self.number, self.run)
        try:
            self.applier.restore(m.state)
        except FleetError as error:
            self._fail(error, error.retry)
            return
        except MemoryError:
            self._fail(FleetError("too little memory for the state", group=self.group), retry=True)
            return
        finally:
            end(self.host.cells)
        about = self.number, self.run, self.applier.index, self.applier.revision
        self.host.answer(StateLoaded(*about, *self.applier.due(), self._effects()))

    def on_dump(self, m: DumpObject) -> None:
        if self.points is not None:
            self.points.cancel()
        self.dumps.on_dump(m)

    def on_dumped(self) -> None:
        """A child is done."""
        if self.points is None or not self.points.on_done():
            self.dumps.on_done()

    @property
    def other_code(self) -> OtherCode | None:
        """Why it executes nothing; None: it does."""
        return self.executor.why if isinstance(self.executor, SealedState) else None

    # -- leadership, and the end -------------------------------------------------------------------

    def on_leads(self, m: LeadsNow) -> None:
        self.leads = m.term != 0
        if m.term and self.hooks is not None:
            self.hooks.lead(m.term, m.is_restored, m.has_led)
        elif self.hooks is not None:
            self.hooks.leave()

    def on_show(self, m: ShowParts) -> None:
        if self.points is None:
            error = ErrorRecord.of(self.other_code or FleetError("it executes nothing"))
            self.host.answer(PartsShown(self.number, self.run, m.token, m.index, 0, (), (), error))
            return
        begin(self.host.cells, OTHER, self.number, self.run)
        self.points.show(m)
        end(self.host.cells)

    def on_keep(self, m: KeepState) -> None:
        if self.points is not None:
            self.points.pin(m.index)

    def close(self) -> None:
        """The member stops. Idempotent."""
        if self.failed:
            return
        self.failed = True
        self.dumps.cancel()
        if self.points is not None:
            self.points.forget()
        if self.hooks is not None:
            self.hooks.leave()

    handlers: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        ApplyEntries: on_apply,
        AskQueries: on_ask,
        CheckCommands: on_check,
        ReadEvents: on_read_events,
        AskEffects: on_ask_effects,
        LeaveEvents: on_leave_events,
        LoadState: on_load,
        DumpObject: on_dump,
        CopyState: lambda hosted, m: hosted.dumps.on_copy(m),
        ShowParts: on_show,
        KeepState: on_keep,
        LeadsNow: on_leads,
    }
