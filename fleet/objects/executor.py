"""A user's object on a member: `ObjectExecutor` executes encoded calls and returns encoded results.

The result of a command is the same on every member, or there is none: errors that may differ between members
(memory, stack) are raised as `MemberMustHalt`. Sizes, samples and kept dumps only decide how much is checked,
never the result of a command.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from fleet.errors import BadArguments, ConfigError, EffectsFull, NotDone, Reject
from fleet.interfaces import RESULTS_BYTES_MAX, Context, MemberMustHalt
from fleet.objects.asks import Asks
from fleet.objects.context import QUERYING, RUNNING
from fleet.objects.declare import Data, shape_of
from fleet.objects.described import describe, no_result
from fleet.objects.fields import (
    CHECKED_BYTES_MAX,
    CheckedQueries,
    changed_fields,
    is_as_held,
    is_held,
)
from fleet.objects.handles import Function
from fleet.objects.hooks import wants_effects
from fleet.objects.keyed import keep_ms_of
from fleet.objects.methods import MethodKind
from fleet.objects.object_state import WARY_BYTES_MAX, ObjectState
from fleet.objects.payload import (
    FATAL,
    encode_bad_call,
    encode_failed,
    encode_impure,
    encode_not_done,
    is_success,
    may_not_decode,
)
from fleet.objects.progress import METHOD, SEQ, STEPS, Cells, no_cells
from fleet.objects.signatures import CheckedCalls, misfit_of, no_such
from fleet.objects.strict import commands_of
from fleet.objects.tracebacks import Tracebacks
from fleet.objects.typed import TypedCodec
from fleet.objects.weights import FAILED, weight_of
from fleet.raft.group_events import GroupEvent

log = logging.getLogger("fleet.objects")

SMALL_BYTES_MAX = 4 * 1024
"""A state up to this size is encoded before the first of the commands that are executed together, so that its
refusal can be shown to have changed nothing."""
WARY_COUNT = 64
"""Before so many commands after one that was refused or failed, a state up to `WARY_BYTES_MAX` is, too."""


class ObjectExecutor(ObjectState):
    """A `fleet.interfaces.Executor` around an instance of a data class; for one thread at a time."""

    def __init__(self, cls: type[Any], cells: Cells | None = None, traced: Tracebacks | None = None) -> None:
        """`cells`: where it notes which method runs. `traced`: where it leaves the tracebacks of failures."""
        if not (isinstance(cls, type) and issubclass(cls, Data)):
            raise ConfigError(f"{cls!r} is not a data class; derive it from fleet.Data")
        super().__init__(cls)
        shape = self._shape = shape_of(cls)
        self._commands, self._queries = commands_of(cls, shape.commands), shape.queries
        self._reminders = commands_of(cls, shape.reminders)
        codec = self._codec
        self.asks = Asks(shape.reminders, encode_call=codec.encode_call)
        self.reminders = self.asks.reminders
        self._is_typed = isinstance(codec, TypedCodec)
        """Members with the class cannot differ in what they are able to read."""
        self._decode_call, self._encode_ok = codec.decode_call, codec.encode_ok
        self._wary = 0
        self._checked_queries = CheckedQueries()
        self._told: set[str] = set()
        """Methods that were seen to change the object before they rejected."""
        self._calls = CheckedCalls(shape, codec)
        self._cells = no_cells() if cells is None else cells
        self._tracebacks = Tracebacks(0) if traced is None else traced
        self.methods = (*shape.commands, *shape.queries, *shape.reminders)
        """Names, by the numbers that it notes, from 1 on."""
        self.keep_ms = keep_ms_of(cls.__fleet_keep_keys__)
        self.events_max, self.events_bytes_max = cls.__fleet_events_kept__, cls.__fleet_events_bytes_kept__
        self._emitted: list[GroupEvent] = []
        self.wants_effects = wants_effects(cls)
        self.effects_room = 1 << 62, 1 << 62
        self.weight = 0
        self._weighs = False
        self._method_numbers = {name: number for number, name in enumerate(self.methods, 1)}

    # -- commands ---------------------------------------------------------------------------------

    def apply(
        self,
        context: Context,
        payloads: Sequence[bytes],
        bytes_max: int = RESULTS_BYTES_MAX,
        is_due: bool = False,
        weigh: bool = False,
    ) -> tuple[list[bytes], bool]:
        """As in `fleet.interfaces.Executor`.

        Raises MemberMustHalt: the object is half changed and this member may not go on.
        """
        assert not weigh or len(payloads) == 1
        self._weighs, self.weight = weigh, FAILED
        values: list[bytes] = []
        is_clean = True
        RUNNING.seeded = None  # a replay has the very context of the first run
        RUNNING.asks, RUNNING.encode_event = self.asks, self._codec.encode_event
        functions = self._reminders if is_due else self._commands
        emitted = self._emitted = RUNNING.emitted = []
        count = 0
        try:
            for payload in payloads:
                RUNNING.context = context
                self._note(context)
                value, is_clean = self._apply(payload, functions, is_first=not values)
                values.append(value)
                if len(emitted) > count:
                    if not is_success(value):
                        del emitted[count:]
                    count = len(emitted)
                bytes_max -= len(value)
                if not is_clean or bytes_max < 0:
                    break
                context = context.next()
        except BaseException as error:
            self._halt(error, context)
        finally:
            RUNNING.context = None
        return values, is_clean

    def replay(self, context: Context, payloads: Sequence[bytes], is_due: bool = False) -> None:
        """As in `fleet.interfaces.Executor`; nothing is checked. Raises MemberMustHalt."""
        self._dump = RUNNING.seeded = None
        RUNNING.asks, RUNNING.emitted = self.asks, []
        RUNNING.encode_event = self._codec.encode_event
        functions = self._reminders if is_due else self._commands
        try:
            for payload in payloads:
                RUNNING.context = context
                self._note(context)
                self._execute_again(payload, functions)
                context = context.next()
        except BaseException as error:
            self._halt(error, context)
        finally:
            RUNNING.context = None

    def take_events(self) -> list[GroupEvent]:
        """As in `fleet.interfaces.Executor`."""
        emitted, self._emitted = self._emitted, []
        return emitted

    def _note(self, context: Context) -> None:
        cells = self._cells
        cells[METHOD], cells[SEQ] = 0, context.seq
        cells[STEPS] += 1

    def _execute_again(self, payload: bytes, functions: Mapping[str, Function]) -> None:
        try:
            method, args, kwargs = self._decode_call(payload)
        except BadArguments as error:
            self._check_none_can_read(payload, error)
            return
        function = functions.get(method)
        if function is None:
            return
        self._cells[METHOD] = self._method_numbers[method]
        try:
            function(self._object, *args, **kwargs)
        except FATAL:
            raise
        except BaseException:  # as the first time, when it was shown to have changed nothing
            pass
        self.asks.asked.clear()  # that was carried out the first time

    def _halt(self, error: BaseException, context: Context) -> NoReturn:
        name, message, where = describe(error, self._class.__module__)
        raise MemberMustHalt(
            f"{name}: {message}", error=name, where=where, revision=context.revision
        ) from error

    def check(self, payload: bytes) -> str | None:
        """As in `fleet.interfaces.Executor`. Nodes with other modules than the leader's may still fail to
        decode a command that it accepted; they halt rather than differ."""
        return self._calls.check(payload)

    def _apply(self, payload: bytes, functions: Mapping[str, Function], is_first: bool) -> tuple[bytes, bool]:
        asked = self.asks.asked
        asked.clear()  # of one that failed
        try:
            method, args, kwargs = self._calls.take(payload)
        except BadArguments as error:
            self._check_none_can_read(payload, error)
            return encode_bad_call("the arguments are not a call that can be read"), True
        function = functions.get(method)
        if function is None:
            kind: MethodKind = "command" if functions is self._commands else "reminder"
            return encode_bad_call(no_such(self._shape, kind, method)), True
        self._cells[METHOD] = self._method_numbers[method]
        before = self._state_before() if is_first or self._wary else None
        self._dump = None
        held = None if self._own_state else list(self._object.__dict__.values())
        try:
            value = function(self._object, *args, **kwargs)
        except Reject as refusal:
            return self._refused(refusal, method, held, before)
        except FATAL:
            raise
        except BaseException as error:  # also sys.exit(): every member executes the same call
            misfit = misfit_of(error, method, function, args, kwargs)
            if misfit:
                self._dump = before
                return encode_bad_call(misfit), True
            return self._failed(error, before)
        try:
            result, weight = self._encode_ok(value), self._weight_of(value)
        except FATAL:
            raise
        except BaseException as error:
            return self._failed(no_result(error, method, value), before)
        too_many: NotDone | None = self._too_many_effects() if self.wants_effects and self._emitted else None
        if too_many is None and asked:
            too_many = self.asks.settle()
        if too_many is not None:
            return encode_not_done(too_many), self._is_as(before)
        self.weight = weight
        return result, True

    def _check_none_can_read(self, payload: bytes, error: BadArguments) -> None:
        """Raises the error, unless a call that this member cannot read is one that no member can."""
        differs = may_not_decode(payload) and not self._is_typed
        if differs or isinstance(error.__cause__, FATAL):
            raise error

    def _weight_of(self, value: Any) -> int:
        """0 where nobody asks for it: it takes longer than encoding the value."""
        return weight_of(value) if self._weighs else 0

    def _too_many_effects(self) -> EffectsFull | None:
        """Why the command that has just run may not emit what it did."""
        context, (count_max, weight_max) = RUNNING.context, self.effects_room
        assert context is not None
        emitted = self._emitted
        if emitted[-1].revision != context.revision:
            return None
        if len(emitted) <= count_max and sum(event.weight for event in emitted) <= weight_max:
            return None
        return EffectsFull("too many events wait for on_effect")

    def _state_before(self) -> bytes | None:
        """The state as it is, where it is encoded already or encoding it costs little."""
        self._wary = max(0, self._wary - 1)
        if self._dump_bytes > (WARY_BYTES_MAX if self._wary else SMALL_BYTES_MAX):
            return self._dump
        return self._dump_if_possible()

    def _refused(
        self, refusal: Reject, method: str, held: list[Any] | None, before: bytes | None
    ) -> tuple[bytes, bool]:
        """A command rejects before it changes anything: a contract, so that rejecting costs no more than the
        command. What was assigned to the object's fields is taken back nevertheless; where the former state
        is at hand, a deeper change is logged, and stays on every member."""
        try:
            result, self.weight = self._codec.encode_rejected(refusal.value), self._weight_of(refusal.value)
        except FATAL:
            raise
        except BaseException as error:
            return self._failed(no_result(error, "Reject", refusal.value), before)
        is_clean = held is None or is_as_held(held, self._object)
        if is_clean and before is not None and self._changed_since(before) and method not in self._told:
            self._told.add(method)
            what = "%s.%s changed the object and then raised Reject: the change stays. Reject before changing"
            log.error(what, self._class.__name__, method)
        return result, is_clean

    def _failed(self, error: BaseException, before: bytes | None) -> tuple[bytes, bool]:
        self._tracebacks.keep(RUNNING.context, error)
        return encode_failed("command", *describe(error, self._class.__module__)), self._is_as(before)

    def _is_as(self, before: bytes | None) -> bool:
        """Whether the object is shown to be in the state `before`. Called after a refusal or failure."""
        self._wary = WARY_COUNT
        return before is not None and self._dump_if_possible() == before

    # -- queries ----------------------------------------------------------------------------------

    def query(self, payloads: Sequence[bytes]) -> tuple[list[bytes], bool]:
        """As in `fleet.interfaces.Executor`. Not intact: the last result says which query changed the object;
        or, where several small ones were executed together, there is none and they must be asked one by one.

        A query runs on one member and nothing is recorded for it, so running out of stack or memory,
        or `sys.exit`, is its failure and not the member's.
        """
        together = len(payloads) > 1 and self._dump_bytes <= CHECKED_BYTES_MAX
        before = self._dump_if_possible() if together else None
        values: list[bytes] = []
        size = 0
        RUNNING.context = QUERYING
        try:
            for payload in payloads:
                value, is_clean = self._query(payload, is_checked=not together)
                values.append(value)
                if not is_clean:
                    return ([], False) if together else (values, False)
                size += len(value)
                if size > RESULTS_BYTES_MAX:
                    break
        finally:
            RUNNING.context = None
        if before is not None and self._changed_since(before):
            return [], False
        return values, True

    def _query(self, payload: bytes, is_checked: bool) -> tuple[bytes, bool]:
        try:
            method, args, kwargs = self._decode_call(payload)
        except BadArguments as error:
            return encode_bad_call(str(error)), True
        except FATAL as error:
            return encode_bad_call(f"the arguments cannot be loaded: {type(error).__name__}"), True
        function = self._queries.get(method)
        if function is None:
            return encode_bad_call(no_such(self._shape, "query", method)), True
        self._cells[METHOD] = self._method_numbers[method]
        self._cells[STEPS] += 1
        is_checked = is_checked and self._checked_queries.is_next(method, self._dump_bytes)
        before = self._dump_if_possible() if is_checked else None
        held = None if self._own_state else list(self._object.__dict__.values())
        try:
            result = self._encode_ok(function(self._object, *args, **kwargs))
        except Reject as refusal:
            result = self._query_refused(refusal)
        except BaseException as error:
            misfit = misfit_of(error, method, function, args, kwargs)
            result = encode_bad_call(misfit) if misfit else self._query_failed(error)
        if held is not None and not is_held(held, self._object):
            return self._impure(method, before), False
        if before is not None and self._changed_since(before):
            return self._impure(method, before), False
        return result, True

    def _query_refused(self, refusal: Reject) -> bytes:
        try:
            return self._codec.encode_rejected(refusal.value)
        except BaseException as error:
            return self._query_failed(no_result(error, "Reject", refusal.value))

    def _query_failed(self, error: BaseException) -> bytes:
        record = encode_failed("query", *describe(error, self._class.__module__))
        return self._tracebacks.added_to_query(record, error)

    def _impure(self, method: str, before: bytes | None) -> bytes:
        self._dump = None
        was = None if before is None else self._codec.decode_state(memoryview(before))
        changed = "" if was is None else changed_fields(was, self._state())
        return encode_impure(f"{self._class.__name__}.{method} changed the object", changed)
