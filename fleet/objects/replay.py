"""Executes recorded commands again: the same code on the same inputs gives the same states.

What a command reads besides its arguments (`ctx`) is made of what is in the log, so that a replay gives the
very same. Commands are executed one by one, for a `ReplayWatcher` to look at the object in between.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from fleet.errors import BadArguments, CannotReplay, FleetError
from fleet.interfaces import RESULTS_BYTES_MAX, Context
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.class_refs import check_code, class_name, decode_class, version_of
from fleet.objects.due_reminders import Fired
from fleet.objects.executor import ObjectExecutor
from fleet.objects.keyed import KEEP_S, keep_ms_of, without_key
from fleet.objects.payload import PICKLED
from fleet.objects.recording import Recording
from fleet.raft.config import GroupConfig
from fleet.raft.entries import ClassSwitched, Commands, Entry, Founded
from fleet.raft.group_events import GroupEvent
from fleet.raft.ids import Index, Millis, Revision, SessionId
from fleet.raft.reminders import ReminderTable


class PastCommand(Struct, frozen=True):
    """A command that took effect, or was skipped."""

    revision: Revision
    index: Index
    """Of its entry in the log."""
    now_ms: Millis
    """`ctx.now` in it, in milliseconds."""
    client: str
    session: SessionId
    seq: int
    payload: bytes
    """The call, encoded."""
    is_skipped: bool = False
    is_due: bool = False
    """It is a reminder, which nobody has called."""

    @property
    def context(self) -> Context:
        return Context(self.revision, self.now_ms, self.session, self.seq, self.client)


class Reached(Exception):
    """A watcher has seen enough."""


class ReplayWatcher:
    """Each method may raise `Reached`."""

    def before(self, replay: "Replay", command: PastCommand) -> None:
        """The object is as it was when that command began."""

    def after(self, replay: "Replay", command: PastCommand, value: bytes) -> None:
        """The object is as that command left it. `value`: its result, encoded."""

    def passed(self, replay: "Replay") -> None:
        """Everything up to `replay.revision` is executed."""


class Replay:
    """Invariant: between two entries, `applier` is as that of a member that has executed as many."""

    def __init__(
        self, recording: Recording, watcher: ReplayWatcher, *, executes: bool = True, instead: bytes = b""
    ) -> None:
        """`executes`: else commands are only counted, and no code is needed for them; how many reminders were
        due is known only to who executes. `instead`: a class that executes all of them, in the place of those
        that did.

        Raises: CannotReplay: the code of the class is not here, or it cannot load the state.
        """
        self.recording, self.watcher, self.executes, self.instead = recording, watcher, executes, instead
        self.executor: ObjectExecutor | _Counting
        self.applier: Applier
        self._command: tuple[PastCommand, bytes] | None = None
        """That was executed last, and its result, until nothing of it is left to do."""
        self._executed: Revision = 0
        """Of the last command or reminder that was executed."""
        self._seq = 0
        """Of the last command of the present entry that was executed."""
        self._open(recording.data_class)
        if recording.base.index:
            self._restore(recording.state)

    @property
    def revision(self) -> Revision:
        return self.applier.revision

    @property
    def has_object(self) -> bool:
        """Whether the class is known by which it begins."""
        return self.applier.index > 0

    @property
    def object(self) -> Any:
        """The instance of the data class as it is now; commands change it in place."""
        return self.executor.object

    def run(self) -> bool:
        """Execute everything that is recorded. Returns whether the watcher has stopped it.

        Raises: CannotReplay: code is missing, or a command cannot be executed here.
        """
        try:
            self.watcher.passed(self)
            for entry in self.recording.entries():
                self.take(entry)
        except Reached:
            return True
        return False

    def take(self, entry: Entry) -> None:
        body, self._seq = entry.body, 0
        is_new = not self.has_object  # else the group was founded with a backup's state
        if isinstance(body, Founded) and body.data_class and is_new:
            self._open(body.data_class)
        try:
            self.applier.apply(entry, lambda outcomes, is_new: self._note(entry, outcomes, is_new))
        except CannotReplay:
            raise
        except FleetError as error:
            raise self._cannot(f"a command cannot be executed here: {error.what}") from error
        if isinstance(body, ClassSwitched):
            self._switch(body.data_class)
        self.watcher.passed(self)

    # -- classes -----------------------------------------------------------------------------------

    def _open(self, data_class: bytes) -> None:
        """A new object of that class."""
        data_class = self.instead or data_class
        self.data_class = data_class
        if self.executes:
            self.executor = ObjectExecutor(self._load(data_class))
        else:
            self.executor = _Counting(data_class)
        self.applier = Applier(_OneByOne(self), GroupConfig(), tell_fired=self._note_fired)
        self.applier.skipped = self.recording.skipped
        self.applier.after_each = self._settle

    def _load(self, data_class: bytes) -> type:
        try:
            cls = decode_class(data_class)
            check_code(data_class, cls)
        except FleetError as error:
            version, _ = version_of(data_class)
            what = f"what follows was executed by {class_name(data_class)} of version {version}: {error.what}"
            raise self._cannot(what) from error
        return cls

    def _switch(self, data_class: bytes) -> None:
        try:
            state = self.applier.dump(version_of(data_class)[0])
        except FleetError as error:
            raise self._cannot(error.what) from error
        self._open(data_class)
        self._restore(state)

    def _restore(self, state: bytes) -> None:
        try:
            self.applier.restore(state)
        except FleetError as error:
            raise self._cannot(f"the state cannot be loaded: {error.what}") from error

    def _cannot(self, what: str) -> CannotReplay:
        revision = self.revision if hasattr(self, "applier") else self.recording.base.revision
        return CannotReplay(what, group=self.recording.group, after_revision=revision)

    # -- commands ----------------------------------------------------------------------------------

    def begin(self, context: Context, payload: bytes, is_due: bool) -> PastCommand:
        index, seq = self.applier.index, context.seq
        about = (context.revision, index, context.now_ms, context.client, context.session, seq)
        command = PastCommand(*about, payload, is_due=is_due)
        self.watcher.before(self, command)
        return command

    def end(self, command: PastCommand, value: bytes) -> None:
        self._command = command, value
        self._executed, self._seq = command.revision, command.seq

    def _settle(self, revision: Revision) -> None:
        """A command that failed is undone by now, and the key of one that has a key is recorded: a state may
        be taken here."""
        last, self._command = self._command, None
        if last is not None:
            self.watcher.after(self, *last)

    def _note(self, entry: Entry, outcomes: Outcomes, is_new: bool) -> None:
        """Commands that were skipped are not executed, and yet they count."""
        body = entry.body
        if not is_new or outcomes.first <= self._seq or not isinstance(body, Commands):
            return
        sessions = self.applier.sessions
        client, seq = sessions.sessions[outcomes.session].client, outcomes.first
        about = (outcomes.revision, entry.index, sessions.log_ms, client, outcomes.session, seq)
        command = PastCommand(*about, without_key(body.payloads[seq - body.first]), True)
        (value,) = outcomes.values
        self._command = command, value

    def _note_fired(self, fired: Fired) -> None:
        """A reminder that was skipped is not executed, and yet it counts."""
        if self._executed == fired.revision:
            return
        about = fired.revision, self.applier.index, self.applier.sessions.log_ms, "", 0, 0
        command = PastCommand(*about, fired.reminder.payload, is_skipped=True, is_due=True)
        self.watcher.after(self, command, fired.value)


class _OneByOne:
    """A `fleet.interfaces.Executor` that executes one command at a time, and tells before each."""

    def __init__(self, replay: Replay) -> None:
        self.owner, self.inner = replay, replay.executor
        self.keep_ms, self.wants_effects = self.inner.keep_ms, self.inner.wants_effects
        self.replay, self.check, self.query = self.inner.replay, self.inner.check, self.inner.query
        self.dump, self.trouble, self.load = self.inner.dump, self.inner.trouble, self.inner.load
        self.events_max, self.events_bytes_max = self.inner.events_max, self.inner.events_bytes_max
        self.take_events = self.inner.take_events
        self.effects_room = self.inner.effects_room

    @property
    def reminders(self) -> ReminderTable:
        return self.inner.reminders

    @property
    def weight(self) -> int:
        return self.inner.weight

    def apply(
        self,
        context: Context,
        payloads: Sequence[bytes],
        bytes_max: int = RESULTS_BYTES_MAX,
        is_due: bool = False,
        weigh: bool = False,
    ) -> tuple[list[bytes], bool]:
        self.inner.effects_room = self.effects_room
        command = self.owner.begin(context, payloads[0], is_due)
        values, is_clean = self.inner.apply(context, payloads[:1], bytes_max, is_due, weigh)
        self.owner.end(command, values[0])
        return values, is_clean


class _Counting:
    """Executes nothing. It has the class, if that is here, to read calls."""

    object = None
    events_max = events_bytes_max = 0
    weight = 0
    wants_effects = False

    def __init__(self, data_class: bytes) -> None:
        self.reminders = ReminderTable()
        self.effects_room = 0, 0
        self.data_class: type | None
        try:
            self.data_class = decode_class(data_class)
        except FleetError:
            self.data_class = None
        kept: float = getattr(self.data_class, "__fleet_keep_keys__", KEEP_S)
        self.keep_ms = keep_ms_of(kept)

    def apply(
        self,
        context: Context,
        payloads: Sequence[bytes],
        bytes_max: int = RESULTS_BYTES_MAX,
        is_due: bool = False,
        weigh: bool = False,
    ) -> tuple[list[bytes], bool]:
        return [b""] * len(payloads), True

    def take_events(self) -> Sequence[GroupEvent]:
        return ()

    def replay(self, context: Context, payloads: Sequence[bytes], is_due: bool = False) -> None:
        pass

    def check(self, payload: bytes) -> str | None:
        return None

    def query(self, payloads: Sequence[bytes]) -> tuple[list[bytes], bool]:
        return [b""] * len(payloads), True

    def dump(self, version: int = 0) -> bytes:
        return b""

    def trouble(self) -> FleetError | None:
        return None

    def load(self, state: bytes | None) -> None:
        pass


def call_of(replay: Replay, command: PastCommand) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """The method and its arguments. Raises BadArguments: what they are made of cannot be loaded here."""
    cls: Any = replay.executor.data_class
    codec = cls.__fleet_codec__ if cls is not None else PICKLED
    try:
        method, args, kwargs = codec.decode_call(command.payload)
    except BadArguments:
        raise
    except Exception as error:
        raise BadArguments(f"it is no call that can be read here: {error!r}") from error
    return method, args, kwargs
