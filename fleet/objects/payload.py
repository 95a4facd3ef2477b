"""Encoding at the border: calls and results as bytes.

Arguments and results cross it as bytes, so no object is ever shared between a caller and a replicated
object. For users' classes plain pickle is used where it suffices (0.5 us against about 20 us for
cloudpickle), cloudpickle where a class or function has to travel by value. The library's own data never names
a module, so that moving a file leaves every disk readable: its data classes and the values of its calls
travel under registered tags (`fleet.objects.class_refs`, `fleet.objects.packed`), its errors by their name in
`fleet.errors`.

Decoding is not safe against a hostile sender: links authenticate their peers first.
"""

import pickle
import re
from types import TracebackType
from typing import Any, ClassVar, Protocol

import cloudpickle
import msgspec
from msgspec import Struct

import fleet.errors
from fleet.errors import (
    BadArguments,
    CommandFailed,
    FleetError,
    ImpureCommand,
    ImpureQuery,
    NotDecodable,
    NotDone,
    NotEncodable,
    QueryFailed,
    Rejected,
)
from fleet.objects.by_value import PROTOCOL, dumps, loads

FATAL = (MemoryError, RecursionError, SystemError)
"""Errors that may happen on one member only. They never become a result of a command."""

_GLOBAL = pickle.STACK_GLOBAL
"""In every pickle of this protocol that names a class or function, and by chance in others."""
_MAIN = b"\x8c\x08__main__"
"""How a pickle of this protocol names that module: a short text of 8 bytes."""

# A result is a pickle as it stands, which begins with 0x80, or one of these bytes and a pickle.
_PICKLE = 0x80
_PICKLE_MARK = bytes((_PICKLE,))
_REJECTED = 1
_COMMAND_FAILED = 2
_QUERY_FAILED = 3
_BAD_CALL = 4
_IMPURE = 5
PACKED = 6
"""A value of ours: tag and value, as msgpack."""
_PACKED_MARK = bytes((PACKED,))
_REFUSED = 7
"""A command of ours refused, with an error of `fleet.errors`."""
_TRACED = 8
"""A failure with its traceback, as msgpack: the text, and the failure as it is without."""
KEYED = 9
"""Of a command: it has a key of the client's own (`fleet.objects.keyed`)."""
_NOT_DONE = 10
"""The command was not executed: an error of `fleet.errors`."""

OURS = frozenset(
    f"fleet.objects.{name}" for name in ("payload", "by_value", "methods", "declare", "executor", "strict")
)
"""Modules between the call of a method and its first line."""
_MESSAGE_MAX = 2000
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


class Codec(Protocol):
    """How the calls of a data class, what they answer and its state are bytes."""

    name: ClassVar[str]

    def encode_call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes: ...

    def decode_call(self, payload: bytes) -> tuple[str, tuple[Any, ...], dict[str, Any]]: ...

    def encode_ok(self, value: Any) -> bytes: ...

    def encode_rejected(self, value: Any) -> bytes: ...

    def encode_state(self, state: Any) -> bytes: ...

    def decode_state(self, data: memoryview) -> Any: ...


# -- values -----------------------------------------------------------------------------------------


_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
"""Nothing in a value of these types travels by value."""


def encode_value(value: Any) -> bytes:
    """Plain pickle, unless a class or function in it must travel by value.

    Plain pickle names modules in clear, so their names can be searched for. A string with such a name costs a
    needless cloudpickle and nothing else.
    """
    if type(value) in _PLAIN:
        return pickle.dumps(value, PROTOCOL)
    try:
        data = pickle.dumps(value, PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        return dumps(value)  # local classes and lambdas; or raises
    if _GLOBAL in data and (_MAIN in data or _mentions_registered(data)):
        return dumps(value)
    return data


def _mentions_registered(data: bytes) -> bool:
    modules = cloudpickle.list_registry_pickle_by_value()
    return bool(modules) and any(module.encode() in data for module in modules)


# -- calls ------------------------------------------------------------------------------------------


def encode_call(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Raises NotEncodable, naming the argument. Plain values cost one call of pickle."""
    try:
        return encode_value((method, args, kwargs))
    except MemoryError:
        raise
    except Exception as error:
        raise NotEncodable(
            f"{method}: {_culprit(args, kwargs)} cannot be encoded: {message_of(error)}", method=method
        ) from error


def may_not_decode(payload: bytes) -> bool:
    """Whether some node may be unable to load this command's arguments, as far as its bytes tell: it is no
    pickle, or one that names a class or function."""
    return payload[:1] != _PICKLE_MARK or _GLOBAL in payload


def _culprit(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    named = [(f"argument {place}", arg) for place, arg in enumerate(args, start=1)]
    named += [(f"argument {name!r}", arg) for name, arg in kwargs.items()]
    for name, arg in named:
        try:
            encode_value(arg)
        except Exception:  # the caller has the reason; here only the place counts
            return f"{name} ({type(arg).__qualname__})"
    return "an argument"


def decode_call(payload: bytes) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Method, positional and named arguments. Raises BadArguments: not a call, or not loadable here."""
    try:
        method, args, kwargs = loads(payload)
    except BaseException as error:  # also MemoryError: a few bytes may ask for any amount of memory
        raise BadArguments(
            f"the arguments cannot be loaded on the node: {type(error).__name__}: {message_of(error)}; "
            "install the module there, or cloudpickle.register_pickle_by_value(module) before the call"
        ) from error
    if type(method) is not str or type(args) is not tuple or type(kwargs) is not dict:
        raise BadArguments("not a call: a method's name, a tuple and a dict are expected")
    return method, args, kwargs


# -- results ----------------------------------------------------------------------------------------

encode_ok = encode_value


class ErrorRecord(Struct, frozen=True, array_like=True):
    """A FleetError on its way to the caller: the class's name in `fleet.errors`, the words, the facts."""

    kind: str
    what: str
    facts: dict[str, str]

    @classmethod
    def of(cls, error: FleetError) -> "ErrorRecord":
        facts = {key: as_text(value) for key, value in error.facts.items()}
        return cls(type(error).__name__, as_text(error.what), facts)

    def to_error(self) -> FleetError:
        kind = getattr(fleet.errors, self.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, FleetError)):
            kind = FleetError
        return kind(self.what, **self.facts)


def as_text(value: object) -> str:
    """As it can travel: half a surrogate pair, say of a file's name, has no UTF-8."""
    return str(value).encode(errors="replace").decode()


_encode = msgspec.msgpack.Encoder().encode
_read_packed = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode
_read_traced = msgspec.msgpack.Decoder(tuple[str, bytes]).decode
_read_error = msgspec.msgpack.Decoder(ErrorRecord).decode
_result_tags: dict[type, str] = dict.fromkeys((type(None), bool, int, float, str, bytes), "")
_result_readers: dict[str, Any] = {"": msgspec.msgpack.Decoder().decode}


def register_result(tag: str, kind: type) -> None:
    """Let methods of built-in data classes answer with this Struct."""
    assert _result_tags.setdefault(kind, tag) == tag and tag not in _result_readers, f"{tag!r} is taken"
    _result_readers[tag] = msgspec.msgpack.Decoder(kind).decode


def encode_packed(value: Any) -> bytes:
    """Raises KeyError for a type that is not registered, or what msgspec raises."""
    return bytes((PACKED,)) + _encode((_result_tags[type(value)], value))


def encode_refused(error: FleetError) -> bytes:
    return bytes((_REFUSED,)) + _encode(ErrorRecord.of(error))


def encode_not_done(error: NotDone) -> bytes:
    return bytes((_NOT_DONE,)) + _encode(ErrorRecord.of(error))


def encode_rejected(value: Any) -> bytes:
    return bytes((_REJECTED,)) + encode_value(value)


def encode_failed(kind: str, error: str, message: str, where: str) -> bytes:
    """`kind` is "command" or "query"; the rest become the facts of CommandFailed or QueryFailed."""
    tag = _COMMAND_FAILED if kind == "command" else _QUERY_FAILED
    return bytes((tag,)) + pickle.dumps((error, message, where), PROTOCOL)


def with_traceback(failure: bytes, text: str) -> bytes:
    """A failed call as its caller is told: with `remote_traceback`."""
    return bytes((_TRACED,)) + _encode((text, failure)) if text else failure


def encode_bad_call(message: str) -> bytes:
    return bytes((_BAD_CALL,)) + pickle.dumps(message, PROTOCOL)


def encode_impure(message: str, changed: str) -> bytes:
    return bytes((_IMPURE,)) + pickle.dumps((message, changed), PROTOCOL)


def is_success(data: bytes) -> bool:
    """Whether it is a result, and no refusal or failure."""
    return data[:1] in (_PICKLE_MARK, _PACKED_MARK)


def decode_result(data: bytes) -> Any:
    """The value, or raises the error that the record holds.

    Raises NotDecodable when the value cannot be loaded here; the call was executed.
    """
    if data and data[0] == _PICKLE:
        return _loaded(data)
    if data and data[0] == PACKED:
        return _unpacked(data)
    raise _error_of(data)


def _unpacked(data: bytes) -> Any:
    try:
        tag, body = _read_packed(memoryview(data)[1:])
        return _result_readers[tag](body)
    except MemoryError:
        raise
    except Exception as error:
        raise NotDecodable(f"not a result that this version knows: {error!r}") from error


def _error_of(data: bytes) -> FleetError:
    tag, body = data[:1], data[1:]
    if tag in (bytes((_REFUSED,)), bytes((_NOT_DONE,))):
        try:
            error = _read_error(body).to_error()
        except (msgspec.MsgspecError, UnicodeDecodeError) as trouble:
            return NotDecodable(f"not the record of a refusal: {trouble}")
        return error if tag == bytes((_NOT_DONE,)) else Rejected(error)
    if tag == bytes((_TRACED,)):
        text, failure = _read_traced(body)
        error = _error_of(failure)
        error.facts["remote_traceback"] = text
        return error
    if tag == bytes((_REJECTED,)):
        return Rejected(_loaded(body))
    if tag == bytes((_COMMAND_FAILED,)):
        error_name, message, where = _loaded(body)
        if error_name == ImpureCommand.__name__:
            return ImpureCommand(message)
        return CommandFailed(message, error=error_name, where=where)
    if tag == bytes((_QUERY_FAILED,)):
        error_name, message, where = _loaded(body)
        return QueryFailed(message, error=error_name, where=where)
    if tag == bytes((_BAD_CALL,)):
        return BadArguments(_loaded(body))
    if tag == bytes((_IMPURE,)):
        message, changed = _loaded(body)
        return ImpureQuery(message, changed=changed)
    return NotDecodable(f"not a result: it begins with {tag!r}; is the node newer than this client?")


def decode_value(data: bytes) -> Any:
    """What `encode_value` was given. Raises NotDecodable."""
    return _loaded(data)


def _loaded(data: bytes) -> Any:
    try:
        return loads(data)
    except MemoryError:
        raise
    except Exception as error:
        raise NotDecodable(
            f"the result cannot be loaded here: {type(error).__name__}: {message_of(error)}",
            module=getattr(error, "name", None),
        ) from error


# -- errors, in words that are the same on every member -------------------------------------------


def describe(error: BaseException, home: str) -> tuple[str, str, str]:
    """(type name, message, where). `where` is module:function:line of the innermost frame in the
    package of `home`, the data class's module; no paths and no addresses, which differ by member.
    """
    return type(error).__qualname__, message_of(error), _where(error.__traceback__, home)


def message_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:
        text = f"its __str__ raised {type(broken).__name__}"
    return _ADDRESS.sub("", text)[:_MESSAGE_MAX]


def _where(traceback: TracebackType | None, home: str) -> str:
    package = home.partition(".")[0]
    found = ""  # a frame of another package, if the home has none
    step = traceback.tb_next if traceback else None  # the first frame is the one that caught it
    while step is not None:
        frame = step.tb_frame
        module = str(frame.f_globals.get("__name__", "?"))
        if module in OURS:
            pass
        elif not found or module.partition(".")[0] == package:
            found = f"{module}:{frame.f_code.co_qualname}:{step.tb_lineno}"
        step = step.tb_next
    return found


def is_in_call(error: BaseException) -> bool:
    """Whether the call itself raised it, before any frame of the user's code."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_globals.get("__name__") in OURS:
        step = step.tb_next
    return step is None


def no_result(error: BaseException, method: str, value: Any) -> FleetError:
    """The error to record instead of the encoder's own, whose text differs by version and encoder."""
    told = NotEncodable(f"{method}: the result ({type(value).__qualname__}) cannot be encoded")
    return told.with_traceback(error.__traceback__)


class _Pickled:
    """Of users' classes."""

    name: ClassVar = "cloudpickle"
    encode_call = staticmethod(encode_call)
    decode_call = staticmethod(decode_call)
    encode_ok = staticmethod(encode_ok)
    encode_rejected = staticmethod(encode_rejected)
    encode_state = staticmethod(encode_value)
    decode_state = staticmethod(loads)


PICKLED: Codec = _Pickled()
