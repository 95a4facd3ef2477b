"""A user's object on a member: `ObjectExecutor` executes encoded calls and returns encoded results.

The result of a command is the same on every member, or there is none: errors that may differ between members
(memory, stack) are raised as `MemberMustHalt`. Sizes, samples and kept dumps only decide how much is checked,
never the result of a command.
"""

from collections.abc import Sequence
from operator import is_
from typing import Any, NoReturn

from fleet.errors import (
    BadArguments,
    ConfigError,
    DataClassUnavailable,
    FleetError,
    NotEncodable,
    Reject,
    StateNotEncodable,
)
from fleet.interfaces import RESULTS_BYTES_MAX, Context
from fleet.objects.context import QUERYING, RUNNING
from fleet.objects.declare import Data, shape_of
from fleet.objects.handles import Function
from fleet.objects.payload import (
    FATAL,
    Codec,
    describe,
    encode_bad_call,
    encode_failed,
    encode_impure,
    encode_value,
)
from fleet.objects.signatures import CheckedCalls, misfit_of, no_such

SMALL_BYTES_MAX = 4 * 1024
"""A state up to this size is encoded before the first of the commands that are executed together, so that its
refusal can be shown to have changed nothing."""
WARY_BYTES_MAX = 256 * 1024
"""One up to this size is, before each of the `WARY_COUNT` commands after one that was refused or failed."""
WARY_COUNT = 64
CHECKED_BYTES_MAX = 16 * 1024
"""A state up to this is compared around every query; a larger one around the first
`CHECKED_FIRST` calls of each query and every `CHECKED_EVERY`th."""
CHECKED_FIRST = 16
CHECKED_EVERY = 256
_VERSION_BYTES = 4


class MemberMustHalt(FleetError):
    """The command ended in a way that may differ on other members. No result may be recorded for it: the
    member stops before a wrong result becomes part of its state. `error`, `where` as in CommandFailed.
    """

    hint = "check this member's memory and the line named; the other members go on"


class ObjectExecutor:
    """A `fleet.interfaces.Executor` around an instance of a data class; for one thread at a time.

    Invariant: `_dump` is None or the encoded state of `_object` as it is now.
    """

    def __init__(self, cls: type[Any]) -> None:
        if not (isinstance(cls, type) and issubclass(cls, Data)):
            raise ConfigError(f"{cls!r} is not a data class; derive it from fleet.Data")
        shape = shape_of(cls)
        self._class = cls
        self._shape = shape
        self._commands = shape.commands
        self._queries = shape.queries
        self._version: int = cls.__fleet_version__
        codec: Codec = cls.__fleet_codec__
        self._codec = codec
        self._decode_call, self._encode_ok = codec.decode_call, codec.encode_ok
        self._encode_state = codec.encode_state
        self._own_state: Function | None = getattr(cls, "__getstate__")
        if self._own_state is getattr(object, "__getstate__"):  # also the __dict__, or None if empty
            self._own_state = None
        self._object: Any = cls()
        self._dump: bytes | None = None
        self._dump_bytes = 0
        self._trouble: StateNotEncodable | None = None
        self._wary = 0
        self._query_counts: dict[str, int] = {}
        self._calls = CheckedCalls(shape, codec)

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
        try:
            for payload in payloads:
                RUNNING.context = context
                value, is_clean = self._apply(payload, is_first=not values)
                values.append(value)
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
        try:
            for payload in payloads:
                RUNNING.context = context
                self._execute_again(payload)
                context = context.next()
        except BaseException as error:
            self._halt(error, context)
        finally:
            RUNNING.context = None

    def _execute_again(self, payload: bytes) -> None:
        method, args, kwargs = self._decode_call(payload)
        function = self._commands.get(method)
        if function is None:
            return
        try:
            function(self._object, *args, **kwargs)
        except FATAL:
            raise
        except BaseException:  # as the first time, when it was shown to have changed nothing
            pass

    def _halt(self, error: BaseException, context: Context) -> NoReturn:
        name, message, where = describe(error, self._class.__module__)
        what = f"{name}: {message}"
        raise MemberMustHalt(what, error=name, where=where, revision=context.revision) from error

    def check(self, payload: bytes) -> str | None:
        """As in `fleet.interfaces.Executor`. Nodes with other modules than the leader's may still fail to
        decode a command that it accepted; they halt rather than differ."""
        return self._calls.check(payload)

    def _apply(self, payload: bytes, is_first: bool) -> tuple[bytes, bool]:
        method, args, kwargs = self._calls.take(payload)
        function = self._commands.get(method)
        if function is None:
            return encode_bad_call(no_such(self._shape, "command", method)), True
        before = self._state_before() if is_first or self._wary else None
        self._dump = None
        try:
            value = function(self._object, *args, **kwargs)
        except Reject as refusal:
            return self._refused(refusal, before)
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
            return self._failed(_no_result(error, method, value), before)

    def _state_before(self) -> bytes | None:
        """The state as it is, where it is encoded already or encoding it costs little."""
        if self._wary:
            self._wary -= 1
        if self._dump_bytes > (WARY_BYTES_MAX if self._wary else SMALL_BYTES_MAX):
            return self._dump
        return self._dump_if_possible()

    def _refused(self, refusal: Reject, before: bytes | None) -> tuple[bytes, bool]:
        try:
            result = self._codec.encode_rejected(refusal.value)
        except FATAL:
            raise
        except BaseException as error:
            return self._failed(_no_result(error, "Reject", refusal.value), before)
        return result, self._is_as(before)

    def _failed(self, error: BaseException, before: bytes | None) -> tuple[bytes, bool]:
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
        before = self._dump_if_possible() if is_checked and self._is_checked(method) else None
        held = None if self._own_state else list(self._object.__dict__.values())
        try:
            result = self._encode_ok(function(self._object, *args, **kwargs))
        except Reject as refusal:
            result = self._query_refused(refusal)
        except BaseException as error:
            misfit = misfit_of(error, method, function, args, kwargs)
            result = encode_bad_call(misfit) if misfit else self._query_failed(error)
        if held is not None:
            now = self._object.__dict__.values()
            if len(held) != len(now) or not all(map(is_, held, now)):
                return self._impure(method, before), False
        if before is not None and self._changed_since(before):
            return self._impure(method, before), False
        return result, True

    def _query_refused(self, refusal: Reject) -> bytes:
        try:
            return self._codec.encode_rejected(refusal.value)
        except BaseException as error:
            return self._query_failed(_no_result(error, "Reject", refusal.value))

    def _query_failed(self, error: BaseException) -> bytes:
        return encode_failed("query", *describe(error, self._class.__module__))

    def _is_checked(self, method: str) -> bool:
        if self._dump_bytes <= CHECKED_BYTES_MAX:
            return True
        count = self._query_counts[method] = self._query_counts.get(method, 0) + 1
        return count <= CHECKED_FIRST or count % CHECKED_EVERY == 0

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
        changed = "" if before is None else self._changed_fields(before)
        return encode_impure(f"{self._class.__name__}.{method} changed the object", changed)

    def _changed_fields(self, before: bytes) -> str:
        was, now = self._codec.decode_state(memoryview(before)), self._state()
        if not isinstance(was, dict) or not isinstance(now, dict):
            return ""
        return ", ".join(
            sorted(
                str(name)
                for name in was.keys() | now.keys()
                if name not in was or name not in now or encode_value(was[name]) != encode_value(now[name])
            )
        )

    # -- state ------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """The class's version and the state, encoded. Raises StateNotEncodable, with the field."""
        try:
            return self._version.to_bytes(_VERSION_BYTES) + self._encoded_state()
        except MemoryError:
            raise
        except Exception as error:
            raise self._trouble or error

    def trouble(self) -> FleetError | None:
        """As in `fleet.interfaces.Executor`. A small state is encoded with every execution of commands."""
        return self._trouble

    def load(self, state: bytes | None) -> None:
        """Raises DataClassUnavailable, and keeps the object, when this class cannot read the state."""
        loaded = self._class() if state is None else self._revived(state)
        self._object = loaded
        self._dump = self._trouble = None
        self._dump_bytes = 0 if state is None else len(state) - _VERSION_BYTES

    def copy_from(self, state: bytes) -> Any:
        """A private object in the state that `dump` returned. May be called in any thread."""
        return self._revived(state)

    @property
    def data_class(self) -> type[Data]:
        return self._class

    def _revived(self, state: bytes) -> Any:
        cls: Any = self._class
        version = int.from_bytes(state[:_VERSION_BYTES])
        if version > self._version:
            raise DataClassUnavailable(
                f"the state has version {version}, the class here only {self._version}",
                data_class=cls.__qualname__,
                module=cls.__module__,
            )
        try:
            raw = self._codec.decode_state(memoryview(state)[_VERSION_BYTES:])
            if version < self._version:
                raw = cls.migrate(version, raw)
            revived = cls.__new__(cls)
            if hasattr(cls, "__setstate__"):
                revived.__setstate__(raw)
            else:
                revived.__dict__.update(raw)
        except MemoryError:
            raise
        except Exception as error:
            raise DataClassUnavailable(
                f"the state of version {version} cannot be loaded: {type(error).__name__}: {error}",
                data_class=cls.__qualname__,
                module=cls.__module__,
            ) from error
        return revived

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
        return StateNotEncodable(what, field=self._culprit())

    def _culprit(self) -> str | None:
        for name, value in self._object.__dict__.items():
            try:
                encode_value(value)
            except Exception:  # `dump` gives the reason; here only the field counts
                return str(name)
        return None


def _no_result(error: BaseException, method: str, value: Any) -> FleetError:
    """The error to record instead of the encoder's own, whose text differs by version and encoder."""
    told = NotEncodable(f"{method}: the result ({type(value).__qualname__}) cannot be encoded")
    return told.with_traceback(error.__traceback__)
