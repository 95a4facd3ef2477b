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
from collections.abc import Callable
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
from fleet.objects.described import message_of
from fleet.objects.plain_pickle import is_plain

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
TYPED = 11
"""A call, a value or an event of a class with `codec="msgspec"` (`fleet.objects.typed`), as msgpack."""
TYPED_REJECTED = 12
_TYPED_MARK = bytes((TYPED,))


ReadResult = Callable[[bytes], Any]
"""Returns the value, or raises the error that the bytes hold."""


class Codec(Protocol):
    """How the calls of a data class, what they answer and its state are bytes."""

    name: ClassVar[str]

    def encode_call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes: ...

    def decode_call(self, payload: bytes) -> tuple[str, tuple[Any, ...], dict[str, Any]]: ...

    def encode_ok(self, value: Any) -> bytes: ...

    def encode_rejected(self, value: Any) -> bytes: ...

    def encode_event(self, value: Any) -> bytes: ...

    def result_reader(self, method: str) -> "ReadResult | None":
        """What decodes the results of this method at a caller; None: `decode_result`."""

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
    pickle, or one that names a class or function. Typed ones are the same for all that have the class."""
    first = payload[:1]
    return first != _TYPED_MARK and (first != _PICKLE_MARK or _GLOBAL in payload)


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
    return data[:1] in (_PICKLE_MARK, _PACKED_MARK, _TYPED_MARK)


def decode_result(data: bytes) -> Any:
    """The value, or raises the error that the record holds.

    Raises NotDecodable when the value cannot be loaded here; the call was executed.
    """
    if data and data[0] == _PICKLE:
        return _loaded(data)
    if data and data[0] == PACKED:
        return _unpacked(data)
    if data and data[0] == TYPED:
        return _typed(data)
    raise _error_of(data)


def read_failure(data: bytes) -> FleetError:
    """What a result of a class that exchanges no pickles stands for that is no value of it."""
    if data[:1] in (_PICKLE_MARK, _PACKED_MARK):
        return NotDecodable("a pickle for a result, from a class that makes none: it was not loaded")
    return _error_of(data, is_typed=True)


def encode_typed(value: Any) -> bytes:
    return _TYPED_MARK + _encode(value)


def _typed(data: bytes) -> Any:
    """As lists, dicts and plain values, where nobody says what it is."""
    try:
        return _result_readers[""](memoryview(data)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotDecodable(f"not a typed value: {error}") from error


def _unpacked(data: bytes) -> Any:
    try:
        tag, body = _read_packed(memoryview(data)[1:])
        return _result_readers[tag](body)
    except MemoryError:
        raise
    except Exception as error:
        raise NotDecodable(f"not a result that this version knows: {error!r}") from error


def _error_of(data: bytes, is_typed: bool = False) -> FleetError:
    tag, body = data[:1], data[1:]
    if tag in (bytes((_REFUSED,)), bytes((_NOT_DONE,))):
        try:
            error = _read_error(body).to_error()
        except (msgspec.MsgspecError, UnicodeDecodeError) as trouble:
            return NotDecodable(f"not the record of a refusal: {trouble}")
        return error if tag == bytes((_NOT_DONE,)) else Rejected(error)
    if tag == bytes((_TRACED,)):
        text, failure = _read_traced(body)
        error = _error_of(failure, is_typed)
        error.facts["remote_traceback"] = text
        return error
    if tag == bytes((TYPED_REJECTED,)):
        return Rejected(_typed(data))
    if tag == bytes((_REJECTED,)) and not is_typed:
        return Rejected(_loaded(body))
    if tag == bytes((_COMMAND_FAILED,)):
        error_name, message, where = _plain(body)
        if error_name == ImpureCommand.__name__:
            return ImpureCommand(message)
        return CommandFailed(message, error=error_name, where=where)
    if tag == bytes((_QUERY_FAILED,)):
        error_name, message, where = _plain(body)
        return QueryFailed(message, error=error_name, where=where)
    if tag == bytes((_BAD_CALL,)):
        return BadArguments(_plain(body))
    if tag == bytes((_IMPURE,)):
        message, changed = _plain(body)
        return ImpureQuery(message, changed=changed)
    return NotDecodable(f"not a result: it begins with {tag!r}; is the node newer than this client?")


def decode_value(data: bytes) -> Any:
    """What `encode_value` was given, or `encode_typed`. Raises NotDecodable."""
    return _typed(data) if data[:1] == _TYPED_MARK else _loaded(data)


def _plain(data: bytes) -> Any:
    """Of texts, which is all that a failure is made of. Nothing else is loaded. Raises NotDecodable."""
    if not is_plain(data):
        raise NotDecodable("a failure that has more than texts in it")
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


class _Pickled:
    """Of users' classes."""

    name: ClassVar = "cloudpickle"
    encode_call = staticmethod(encode_call)
    decode_call = staticmethod(decode_call)
    encode_ok = staticmethod(encode_ok)
    encode_rejected = staticmethod(encode_rejected)
    encode_event = staticmethod(encode_value)
    encode_state = staticmethod(encode_value)
    decode_state = staticmethod(loads)

    @staticmethod
    def result_reader(method: str) -> None:
        return None


PICKLED: Codec = _Pickled()
