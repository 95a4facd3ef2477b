"""Encoding at the border: what a call, a result and a data class are as bytes.

Everything that crosses is bytes before anybody else can touch it, so an argument or a result is never
shared between a caller and a replicated object. Plain pickle is used where it can be (0.5 us against
about 20 us for cloudpickle), cloudpickle where a class or function has to travel by value.

Nothing here is safe against a hostile sender; links are authenticated before any of it is read.
"""

import pickle
import re
from types import TracebackType
from typing import Any

import cloudpickle
import msgspec
from msgspec import Struct

from fleet.blocking import importing
from fleet.errors import (
    BadArguments,
    CallsAtImport,
    CommandFailed,
    DataClassUnavailable,
    FleetError,
    ImpureQuery,
    NotDecodable,
    NotEncodable,
    QueryFailed,
    Rejected,
    WouldDeadlock,
)

PROTOCOL = 5
FATAL = (MemoryError, RecursionError, SystemError)
"""What may happen on one member and not on another. Never turned into a result of a command."""

_MAIN = b"\x8c\x08__main__"
"""How a pickle of this protocol names that module: a short text of 8 bytes."""

# A result is a pickle as it stands, which begins with 0x80, or one of these bytes and a pickle.
_PICKLE = 0x80
_REJECTED = 1
_COMMAND_FAILED = 2
_QUERY_FAILED = 3
_BAD_CALL = 4
_IMPURE = 5

_OURS = frozenset({"fleet.objects.payload", "fleet.objects.declare", "fleet.objects.executor"})
_MESSAGE_MAX = 2000
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


# -- values -----------------------------------------------------------------------------------------


def encode_value(value: Any) -> bytes:
    """Plain pickle, unless a class or function in it must travel by value.

    What plain pickle refers to by module is in its bytes in clear. A string that happens to hold such
    a name costs a needless cloudpickle and nothing else.
    """
    try:
        data = pickle.dumps(value, PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        return _by_value(value)  # local classes and lambdas; or raises what is wrong
    if _MAIN in data or _mentions_registered(data):
        return _by_value(value)
    return data


def _by_value(value: Any) -> bytes:
    data: bytes = cloudpickle.dumps(value, PROTOCOL)
    return data


def _mentions_registered(data: bytes) -> bool:
    modules = cloudpickle.list_registry_pickle_by_value()
    return bool(modules) and any(module.encode() in data for module in modules)


# -- calls ------------------------------------------------------------------------------------------


def encode_call(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Raises NotEncodable, naming the argument."""
    try:
        return encode_value((method, args, kwargs))
    except MemoryError:
        raise
    except Exception as error:
        raise NotEncodable(
            f"{method}: {_culprit(args, kwargs)} cannot be encoded: {_message(error)}", method=method
        ) from error


def _culprit(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    named = [(f"argument {place}", arg) for place, arg in enumerate(args, start=1)]
    named += [(f"argument {name!r}", arg) for name, arg in kwargs.items()]
    for name, arg in named:
        try:
            encode_value(arg)
        except Exception:  # which one fails is the answer; why, the caller has at hand
            return f"{name} ({type(arg).__qualname__})"
    return "an argument"


def decode_call(payload: bytes) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Raises BadArguments when this is no call, or a class in it cannot be loaded here."""
    try:
        method, args, kwargs = pickle.loads(payload)
    except BaseException as error:  # of any kind: a few bytes may ask for any amount of memory
        raise BadArguments(
            f"the arguments cannot be loaded on the node: {type(error).__name__}: {_message(error)}; "
            "install the module there, or cloudpickle.register_pickle_by_value(module) before the call"
        ) from error
    if type(method) is not str or type(args) is not tuple or type(kwargs) is not dict:
        raise BadArguments("not a call: a method's name, a tuple and a dict are expected")
    return method, args, kwargs


# -- results ----------------------------------------------------------------------------------------

encode_ok = encode_value


def encode_rejected(value: Any) -> bytes:
    return bytes((_REJECTED,)) + encode_value(value)


def encode_failed(kind: str, error: str, message: str, where: str) -> bytes:
    """`kind` is "command" or "query"; the rest become the facts of CommandFailed or QueryFailed."""
    tag = _COMMAND_FAILED if kind == "command" else _QUERY_FAILED
    return bytes((tag,)) + pickle.dumps((error, message, where), PROTOCOL)


def encode_bad_call(message: str) -> bytes:
    return bytes((_BAD_CALL,)) + pickle.dumps(message, PROTOCOL)


def encode_impure(message: str, changed: str) -> bytes:
    return bytes((_IMPURE,)) + pickle.dumps((message, changed), PROTOCOL)


def decode_result(data: bytes) -> Any:
    """The value, or raises what the record stands for.

    Raises NotDecodable when a class in the value cannot be loaded here; the call was executed.
    """
    if data and data[0] == _PICKLE:
        return _loaded(data)
    raise _error_of(data)


def _error_of(data: bytes) -> FleetError:
    tag, body = data[:1], data[1:]
    if tag == bytes((_REJECTED,)):
        return Rejected(_loaded(body))
    if tag == bytes((_COMMAND_FAILED,)):
        error, message, where = _loaded(body)
        return CommandFailed(message, error=error, where=where)
    if tag == bytes((_QUERY_FAILED,)):
        error, message, where = _loaded(body)
        return QueryFailed(message, error=error, where=where)
    if tag == bytes((_BAD_CALL,)):
        return BadArguments(_loaded(body))
    if tag == bytes((_IMPURE,)):
        message, changed = _loaded(body)
        return ImpureQuery(message, changed=changed)
    return NotDecodable(f"not a result: it begins with {tag!r}; is the node newer than this client?")


def _loaded(data: bytes) -> Any:
    try:
        return pickle.loads(data)
    except MemoryError:
        raise
    except Exception as error:
        raise NotDecodable(
            f"the result cannot be loaded here: {type(error).__name__}: {_message(error)}",
            module=getattr(error, "name", None),
        ) from error


# -- what went wrong, in words that are the same on every member -------------------------------------------


def describe(error: BaseException, home: str) -> tuple[str, str, str]:
    """(type name, message, where). `where` is module:function:line of the innermost frame in the
    package of `home`, the data class's module; no paths and no addresses, which differ by member.
    """
    return type(error).__qualname__, _message(error), _where(error.__traceback__, home)


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:
        text = f"its __str__ raised {type(broken).__name__}"
    return _ADDRESS.sub("", text)[:_MESSAGE_MAX]


def _where(traceback: TracebackType | None, home: str) -> str:
    package = home.partition(".")[0]
    found = ""  # a frame of another package stands in, if the home has none
    step = traceback.tb_next if traceback else None  # the first frame is the one that caught it
    while step is not None:
        frame = step.tb_frame
        module = str(frame.f_globals.get("__name__", "?"))
        if module in _OURS:
            pass
        elif not found or module.partition(".")[0] == package:
            found = f"{module}:{frame.f_code.co_qualname}:{step.tb_lineno}"
        step = step.tb_next
    return found


# -- data classes -----------------------------------------------------------------------------------


class ClassRef(Struct, frozen=True, array_like=True):
    """A data class as a node keeps it: what people call it, and what loads it."""

    name: str
    module: str
    pickled: bytes


_read_class_ref = msgspec.msgpack.Decoder(ClassRef).decode


def encode_class(cls: type) -> bytes:
    """By reference for importable modules; by value for `__main__`, local classes and modules
    registered with `cloudpickle.register_pickle_by_value`.
    """
    try:
        pickled = cloudpickle.dumps(cls, PROTOCOL)
    except MemoryError:
        raise
    except Exception as error:
        raise NotEncodable(
            f"the class {cls.__qualname__} cannot be sent by value: {_message(error)}", module=cls.__module__
        ) from error
    return msgspec.msgpack.encode(ClassRef(cls.__qualname__, cls.__module__, pickled))


def class_name(data: bytes) -> str:
    """For people: module and name. Loads nothing."""
    ref = _class_ref(data)
    return f"{ref.module}.{ref.name}"


def decode_class(data: bytes) -> type:
    """Raises DataClassUnavailable, naming class and module."""
    ref = _class_ref(data)
    try:
        with importing(f"{ref.module}.{ref.name}"):
            cls = pickle.loads(ref.pickled)
    except MemoryError:
        raise
    except WouldDeadlock as error:
        raise CallsAtImport(error.what, data_class=ref.name, module=ref.module) from error
    except Exception as error:
        raise DataClassUnavailable(
            f"{type(error).__name__}: {_message(error)}", data_class=ref.name, module=ref.module
        ) from error
    if not isinstance(cls, type):
        raise DataClassUnavailable("what was sent is not a class", data_class=ref.name, module=ref.module)
    return cls


def _class_ref(data: bytes) -> ClassRef:
    try:
        return _read_class_ref(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # the latter for a text that is not UTF-8
        raise DataClassUnavailable(f"not a data class reference: {error}") from error
