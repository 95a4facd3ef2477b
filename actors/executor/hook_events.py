"""Which events a leader reports to its hooks, and how each reaches them."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fleet.actors.executor.effect_hooks import EffectHooks
from fleet.actors.executor.state_changes import StateChanges
from fleet.errors import FleetError
from fleet.objects.applier import Applier, Outcomes
from fleet.objects.due_reminders import Fired
from fleet.objects.event import received
from fleet.objects.executor import ObjectExecutor
from fleet.objects.hooks import Committed, HookCall, HookRunner, LeaderHooks, overridden
from fleet.objects.keyed import without_key
from fleet.objects.payload import Codec, ReadResult, decode_result
from fleet.raft.entries import Commands, Entry, MemberAdded, MemberRemoved
from fleet.raft.group_events import GroupEvent
from fleet.raft.ids import Revision, Term

log = logging.getLogger("fleet.actors")
CALL_BYTES = 500
"""Bytes that a waiting call takes besides its payloads."""


class HookTeller:
    """The user's hooks object, and decoding for it. Everything here runs in the hooks' thread."""

    def __init__(
        self, hooks: type[LeaderHooks[Any]], group: str, member: str, executor: ObjectExecutor
    ) -> None:
        self._class = hooks
        self._group = group
        self._member = member
        self._executor = executor
        self._codec: Codec = executor.data_class.__fleet_codec__
        self._object: LeaderHooks[Any] | None = None

    def hooks(self) -> LeaderHooks[Any]:
        """The hooks object; if its `__init__` raises, it is tried again with each event."""
        if self._object is None:
            made = self._class()
            made.group, made.member = self._group, self._member
            self._object = made
        return self._object

    def restored(self, state: bytes) -> None:
        self.hooks().on_restored(self._executor.copy_from(state))

    def elected(self, state: bytes, term: Term) -> None:
        self.hooks().on_elected(self._executor.copy_from(state), term)

    def stepped_down(self, term: Term) -> None:
        self.hooks().on_stepped_down(term)

    def committed(
        self, payload: bytes, result: bytes, revision: Revision, client: str, inherited: bool
    ) -> None:
        event = committed_event(self._codec, payload, result, revision, client, inherited)
        self.hooks().on_committed(event)

    def effect(self, event: GroupEvent) -> None:
        self.hooks().on_effect(received(event))

    def changed(
        self, payload: bytes, result: bytes, revision: Revision, client: str, before: bytes, after: bytes
    ) -> None:
        event = committed_event(self._codec, payload, result, revision, client, False)
        copy = self._executor.copy_from
        self.hooks().on_changed(event, copy(before), copy(after))

    def query_answered(self, payload: bytes, result: bytes) -> None:
        method, args, kwargs = self._codec.decode_call(payload)
        try:
            value = _read(self._codec, method)(result)
        except FleetError:  # the query failed, and its caller got the error
            return
        self.hooks().on_query_answered(method, args, kwargs, value)

    def member_added(self, member: str) -> None:
        self.hooks().on_member_added(member)

    def member_removed(self, member: str) -> None:
        self.hooks().on_member_removed(member)


def _read(codec: Codec, method: str) -> ReadResult:
    return codec.result_reader(method) or decode_result


def committed_event(
    codec: Codec, payload: bytes, result: bytes, revision: Revision, client: str, inherited: bool
) -> Committed:
    method, args, kwargs = codec.decode_call(without_key(payload))
    value, error = None, None
    try:
        value = _read(codec, method)(result)
    except FleetError as told:
        error = told
    return Committed(method, args, kwargs, value, error, revision, client, inherited)


class HookEvents:
    """Receives everything that is applied, in order, and elections; submits the hooks of a leader.

    Invariant: calls are in `inherited` only between the election and the first own entry.
    """

    def __init__(
        self,
        group: str,
        member: str,
        applier: Applier,
        executor: ObjectExecutor,
        runner: HookRunner,
    ) -> None:
        hooks = executor.data_class.__fleet_hooks__
        assert hooks is not None
        self.wanted = overridden(hooks)
        self.group = group
        self.applier = applier
        self.runner = runner
        self.teller = HookTeller(hooks, group, member, executor)
        self.changes = StateChanges(self._dump)
        self.effects: EffectHooks | None = None
        if "on_effect" in self.wanted:
            self.effects = EffectHooks(group, runner, self.teller.effect)
        self.has_led = False
        self.is_restored = False
        """Whether its member was started from its disk and has not led since."""
        self.term: Term = 0
        """The term in which it leads; 0: it does not."""
        self.is_elected = False
        """Whether it has applied an entry of its own term."""
        self.inherited: list[HookCall] = []

    # -- events ------------------------------------------------------------------------------

    def lead(self, term: Term, is_restored: bool, has_led: bool) -> None:
        """It leads, from now on, in this term; with `has_led`, it has executed an entry of it already."""
        self.leave()
        self.term, self.is_restored = term, is_restored and not self.has_led
        if has_led:
            self._settle()

    def leave(self) -> None:
        """It no longer leads. Idempotent."""
        if self.is_elected:
            self._tell("on_stepped_down", self.teller.stepped_down, self.term)
        self.term, self.is_elected = 0, False
        self.inherited.clear()
        self.applier.after_each = None
        self.changes.end()
        if self.effects is not None:
            self.effects.end()

    def on_applied(self, entry: Entry) -> None:
        if not self.term:
            return
        if not self.is_elected and entry.term == self.term:
            self._settle()
        if self.effects is not None and self.is_elected:
            events = self.applier.events
            if events.events and events.events[-1].position > self.effects.newest:
                self.effects.add(events.after(max(events.done, self.effects.newest)))
        body = entry.body
        if type(body) is MemberAdded:
            self._tell("on_member_added", self.teller.member_added, str(body.member))
        elif type(body) is MemberRemoved:
            self._tell("on_member_removed", self.teller.member_removed, str(body.member))

    def on_executed(self, commands: Commands, executed: Outcomes) -> None:
        """Some of `commands`, for the first time. Never the first entry of a leadership, which is empty."""
        if not self.term or self.wanted.isdisjoint(("on_committed", "on_changed")):
            return
        session = self.applier.sessions.sessions.get(commands.session)
        client = session.client if session is not None else ""
        first = executed.first - commands.first
        payloads = commands.payloads[first : first + len(executed.values)]
        for revision, (payload, value) in enumerate(
            zip(payloads, executed.values, strict=True), executed.revision
        ):
            self._tell_executed(payload, value, revision, client)

    def on_fired(self, fired: Fired) -> None:
        """As of a command that nobody has called."""
        if self.term:
            self._tell_executed(fired.reminder.payload, fired.value, fired.revision, "")

    def _tell_executed(self, payload: bytes, value: bytes, revision: Revision, client: str) -> None:
        told, size = (payload, value, revision, client), len(payload) + len(value)
        self._tell("on_committed", self.teller.committed, *told, not self.is_elected, size=size)
        states = self.changes.take(revision)
        if states is not None:
            self._tell("on_changed", self.teller.changed, *told, *states, size=size + len(states[1]))

    def on_read(self, queries: Sequence[bytes], answers: Sequence[bytes]) -> None:
        """Also a leader that has not begun yet, and a follower, may be asked for an old state."""
        if "on_query_answered" in self.wanted and self.is_elected:
            for payload, result in zip(queries, answers, strict=True):
                size = len(payload) + len(result)
                self._tell("on_query_answered", self.teller.query_answered, payload, result, size=size)

    # -- submitting --------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Everything committed before is applied: the leadership begins for the hooks."""
        assert not self.is_elected
        self.is_elected = self.has_led = True
        inherited, self.inherited = self.inherited, []
        wants_restored = self.is_restored and "on_restored" in self.wanted
        if wants_restored or "on_elected" in self.wanted:
            state = self._dump()
            if state is not None and wants_restored:
                self._tell("on_restored", self.teller.restored, state)
            if state is not None:
                self._tell("on_elected", self.teller.elected, state, self.term)
        self.is_restored = False
        for call in inherited:
            self.runner.submit(self.group, call)
        if "on_changed" in self.wanted:
            self.changes.begin()
            self.applier.after_each = self.changes.note
        if self.effects is not None:
            self.effects.begin(self.applier.events.after(self.applier.events.done))

    def _dump(self) -> bytes | None:
        try:
            return self.applier.executor.dump()
        except (FleetError, MemoryError) as error:
            log.error("group=%s hooks are not told of the state: %s", self.group, error)
            return None

    def _tell(self, hook: str, tell: Callable[..., None], *told: Any, size: int | None = None) -> None:
        """With a `size` it may be dropped when too much waits."""
        if hook not in self.wanted:
            return
        call = HookCall(hook, partial(tell, *told), CALL_BYTES + (size or 0), size is not None)
        if self.is_elected:
            self.runner.submit(self.group, call)
        else:
            self.inherited.append(call)


def open_hook_events(
    group: str, member: str, applier: Applier, executor: ObjectExecutor, runner: HookRunner | None
) -> HookEvents | None:
    """None: there are no hooks to run."""
    hooks = executor.data_class.__fleet_hooks__
    if runner is None or hooks is None or not overridden(hooks):
        return None
    return HookEvents(group, member, applier, executor, runner)
