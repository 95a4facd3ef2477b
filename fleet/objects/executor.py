"""A user's object on a member: `ObjectExecutor` executes encoded calls and returns encoded results.

The result of a command is the same on every member, or there is none: errors that may differ between members
(memory, stack) are raised as `MemberMustHalt`. Sizes, samples and kept dumps only decide how much is checked,
never the result of a command.
"""

import logging
from collections.abc import Sequence
from typing import Any, NoReturn

from fleet.errors import (
    BadArguments,
    ConfigError,
    FleetError,
    Reject,
    StateNotEncodable,
)
from fleet.interfaces import RESULTS_BYTES_MAX, Context, MemberMustHalt
from fleet.objects.context import QUERYING, RUNNING
from fleet.objects.declare import Data, shape_of
from fleet.objects.fields import (
    CHECKED_BYTES_MAX,
    CheckedQueries,
    changed_fields,
    is_as_held,
    is_held,
    unencodable_field,
)
from fleet.objects.handles import Function
from fleet.objects.keyed import keep_ms_of
from fleet.objects.payload import (
    FATAL,
    Codec,
    describe,
    encode_bad_call,
    encode_failed,
    encode_impure,
    is_success,
    may_not_decode,
    no_result,
)
from fleet.objects.progress import METHOD, SEQ, STEPS, Cells, no_cells
from fleet.objects.signatures import CheckedCalls, misfit_of, no_such
from fleet.objects.stored_state import VERSION_BYTES, revived, turned_back
from fleet.objects.strict import commands_of
from fleet.objects.tracebacks import Tracebacks
from fleet.raft.group_events import GroupEvent

log = logging.getLogger("fleet.objects")

SMALL_BYTES_MAX = 4 * 1024
"""A state up to this size is encoded before the first of the commands that are executed together, so that its
refusal can be shown to have changed nothing."""
WARY_BYTES_MAX = 256 * 1024
"""One up to this size is, before each of the `WARY_COUNT` commands after one that was refused or failed."""
WARY_COUNT = 64


class ObjectExecutor:
    """A `fleet.interfaces.Executor` around an instance of a data class; for one thread at a time.

    Invariant: `_dump` is None or the encoded state of `_object` as it is now.
    """

    def __init__(self, cls: type[Any], cells: Cells | None = None, traced: Tracebacks | None = None) -> None:
        """`cells`: where it notes which method runs. `traced`: where it leaves the tracebacks of failures."""
        if not (isinstance(cls, type) and issubclass(cls, Data)):
            raise ConfigError(f"{cls!r} is not a data class; derive it from fleet.Data")
        shape = self._shape = shape_of(cls)
        self._class = cls
        self._commands, self._queries = commands_of(cls, shape.commands), shape.queries
        self._version: int = cls.__fleet_version__
        codec: Codec = cls.__fleet_codec__
        self._codec = codec
        self._decode_call, self._encode_ok = codec.decode_call, codec.encode_ok
        self._encode_state = codec.encode_state
        own: Function = getattr(cls, "__getstate__")
        self._own_state = None if own is getattr(object, "__getstate__") else own
        self._object: Any = cls()
        self._dump: bytes | None = None
        self._dump_bytes = 0
        self._trouble: StateNotEncodable | None = None
        self._wary = 0
        self._checked_queries = CheckedQueries()
        self._told: set[str] = set()
        """Methods that were seen to change the object before they rejected."""
        self._calls = CheckedCalls(shape, codec)
        self._cells = no_cells() if cells is None else cells
        self._tracebacks = Tracebacks(0) if traced is None else traced
        self.methods = (*shape.commands, *shape.queries)
        """Names, by the numbers that it notes, from 1 on."""
        self.keep_ms = keep_ms_of(cls.__fleet_keep_keys__)
        self.events_max, self.events_bytes_max = cls.__fleet_events_kept__, cls.__fleet_events_bytes_kept__
        self._emitted: list[GroupEvent] = []
        self._method_numbers = {name: number for number, name in enumerate(self.methods, 1)}

    # -- commands ---------------------------------------------------------------------------------

    def apply(
        self, context: Context, payloads: Sequence[bytes], bytes_max: int = RESULTS_BYTES_MAX
    ) -> tuple[list[bytes], bool]:
        """As in `fleet.interfaces.Executor`.

        Raises MemberMustHalt: the object is half changed and this member may not go on.
        """
        values: list[bytes] = []
        is_clean = True
        RUNNING.seeded = None  # a replay has the very context of the first run
        emitted = self._emitted = RUNNING.emitted = []
        count = 0
        try:
            for payload in payloads:
                RUNNING.context = context
                self._note(context)
                value, is_clean = self._apply(payload, is_first=not values)
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

    def replay(self, context: Context, payloads: Sequence[bytes]) -> None:
        """As in `fleet.interfaces.Executor`; nothing is checked. Raises MemberMustHalt."""
        self._dump = RUNNING.seeded = None
        RUNNING.emitted = []
        try:
            for payload in payloads:
                RUNNING.context = context
                self._note(context)
                self._execute_again(payload)
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

    def _execute_again(self, payload: bytes) -> None:
        method, args, kwargs = self._decode_call(payload)
        function = self._commands.get(method)
        if function is None:
            return
        self._cells[METHOD] = self._method_numbers[method]
        try:
            function(self._object, *args, **kwargs)
        except FATAL:
            raise
        except BaseException:  # as the first time, when it was shown to have changed nothing
            pass

    def _halt(self, error: BaseException, context: Context) -> NoReturn:
        name, message, where = describe(error, self._class.__module__)
        raise MemberMustHalt(
            f"{name}: {message}", error=name, where=where, revision=context.revision
        ) from error

    def check(self, payload: bytes) -> str | None:
        """As in `fleet.interfaces.Executor`. Nodes with other modules than the leader's may still fail to
        decode a command that it accepted; they halt rather than differ."""
        return self._calls.check(payload)

    def _apply(self, payload: bytes, is_first: bool) -> tuple[bytes, bool]:
        try:
            method, args, kwargs = self._calls.take(payload)
        except BadArguments as error:
            if may_not_decode(payload) or isinstance(error.__cause__, FATAL):
                raise
            return encode_bad_call("the arguments are not a call that can be read"), True
        function = self._commands.get(method)
        if function is None:
            return encode_bad_call(no_such(self._shape, "command", method)), True
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
            return self._encode_ok(value), True
        except FATAL:
            raise
        except BaseException as error:
            return self._failed(no_result(error, method, value), before)

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
            result = self._codec.encode_rejected(refusal.value)
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

    def _changed_since(self, before: bytes) -> bool:
        """False also for a state that is encoded differently each time: nothing can be concluded from it."""
        self._dump = None
        after = self._dump_if_possible()
        if after == before:
            return False
        self._dump = None
        return after is None or self._dump_if_possible() == after

    def _impure(self, method: str, before: bytes | None) -> bytes:
        self._dump = None
        was = None if before is None else self._codec.decode_state(memoryview(before))
        changed = "" if was is None else changed_fields(was, self._state())
        return encode_impure(f"{self._class.__name__}.{method} changed the object", changed)

    # -- state ------------------------------------------------------------------------------------

    def dump(self, version: int = 0) -> bytes:
        """The class's version and the state, encoded. Raises StateNotEncodable, with the field, or since the
        class has no way back to an older `version`; 0: its own."""
        if 0 < version < self._version:
            return turned_back(self._class, self._encoded_state(), version)
        try:
            return self._version.to_bytes(VERSION_BYTES) + self._encoded_state()
        except MemoryError:
            raise
        except Exception as error:
            raise self._trouble or error

    def trouble(self) -> FleetError | None:
        """As in `fleet.interfaces.Executor`."""
        return self._trouble

    def load(self, state: bytes | None) -> None:
        """Raises DataClassUnavailable, and keeps the object, when this class cannot read the state."""
        loaded = self._class() if state is None else revived(self._class, state)
        self._object = loaded
        self._dump = self._trouble = None
        self._dump_bytes = 0 if state is None else len(state) - VERSION_BYTES

    def copy_from(self, state: bytes) -> Any:
        """A private object in the state that `dump` returned. May be called in any thread."""
        return revived(self._class, state)

    @property
    def data_class(self) -> type[Data]:
        return self._class

    @property
    def object(self) -> Any:
        return self._object

    def _state(self) -> Any:
        return self._object.__dict__ if self._own_state is None else self._own_state(self._object)

    def _encoded_state(self) -> bytes:
        data = self._dump
        if data is None:
            try:
                data = self._encode_state(self._state())
            except MemoryError:
                raise
            except Exception as error:
                self._trouble = self._trouble or self._not_encodable(error)
                raise
            self._trouble = None
            self._dump_bytes = len(data)
            if len(data) <= WARY_BYTES_MAX:
                self._dump = data
        return data

    def _dump_if_possible(self) -> bytes | None:
        """None: it cannot be encoded, which is an error only in `dump`."""
        try:
            return self._encoded_state()
        except Exception:
            return None

    def _not_encodable(self, error: Exception) -> StateNotEncodable:
        what = f"the state of {self._class.__qualname__} cannot be encoded: {error}"
        return StateNotEncodable(what, field=unencodable_field(self._object))
