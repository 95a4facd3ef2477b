"""`codec="msgspec"`: how a data class is bytes without pickles: msgpack, read by the types that the class
declares.

A call is the byte TYPED and [method, arguments, arguments by name]; each argument is read as the method's
annotation says, and so is what the method returns, by a handle. A state is a map of the fields. What the type
of a value cannot say is lost: a subclass, and what is one object and what two.

Nothing that is read here runs code of whoever has written it. What is not as declared is refused.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar, TypedDict, cast, get_type_hints

import msgspec
from msgspec import Raw

from fleet.errors import BadArguments, ConfigError, NotDecodable, NotEncodable
from fleet.objects.described import message_of
from fleet.objects.payload import TYPED, TYPED_REJECTED, decode_call, encode_typed, read_failure
from fleet.objects.state_digest import NoDigest, digests_of

NAME = "msgspec"
_MARK = bytes((TYPED,))
_REJECTED_MARK = bytes((TYPED_REJECTED,))
_encode = msgspec.msgpack.Encoder().encode
_read_call = msgspec.msgpack.Decoder(tuple[str, tuple[Raw, ...], dict[str, Raw]]).decode
_read_any = msgspec.msgpack.Decoder().decode
Reader = Callable[[Any], Any]


class TypedCodec:
    """A `fleet.objects.payload.Codec` of one data class.

    `functions`: its commands, queries and reminders, by the names under which they are called. `fields`: of
    its state.

    Raises: ConfigError: a type that msgspec does not know, or a field that does not say what it is.
    """

    name: ClassVar = NAME

    def __init__(
        self, cls: type, functions: Mapping[str, Callable[..., Any]], fields: Collection[str]
    ) -> None:
        self._class = cls
        self._calls = {name: _Signature(cls, name, function) for name, function in functions.items()}
        hints = _hints(cls, cls.__qualname__)
        state = {name: _known(hints[name], f"{cls.__qualname__}.{name}", is_exact=True) for name in fields}
        self._fields = frozenset(state)
        self._read_state = _decoder(cast(Any, TypedDict)(cls.__name__, state, total=False), cls.__qualname__)

    # -- calls -------------------------------------------------------------------------------------

    def encode_call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Raises NotEncodable."""
        return encode_typed_call(method, args, kwargs)

    def decode_call(self, payload: bytes) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Raises BadArguments. A method or argument that the class does not have is left to the caller."""
        if payload[:1] != _MARK:
            what = f"{self._class.__qualname__} takes no pickles: it has codec={NAME!r}"
            raise BadArguments(f"{what}; call it by a handle of its class")
        try:
            method, raw, named = _read_call(memoryview(payload)[1:])
            signature = self._calls.get(method, _UNKNOWN)
            args = tuple(signature.reader_at(place)(one) for place, one in enumerate(raw))
            kwargs = {name: signature.reader_of(name)(one) for name, one in named.items()}
        except BaseException as error:  # of any kind: a few bytes may ask for any amount of memory
            what = f"the arguments cannot be read: {type(error).__name__}: {message_of(error)}"
            raise BadArguments(what) from error
        return method, args, kwargs

    # -- what comes of them ------------------------------------------------------------------------

    def encode_ok(self, value: Any) -> bytes:
        return encode_typed(value)

    def encode_rejected(self, value: Any) -> bytes:
        return _REJECTED_MARK + _encode(value)

    def encode_event(self, value: Any) -> bytes:
        return encode_typed(value)

    def result_reader(self, method: str) -> Callable[[bytes], Any]:
        """What decodes the results of a method at a caller."""
        signature = self._calls.get(method, _UNKNOWN)

        def read(data: bytes) -> Any:
            """Raises the error that the record holds, or NotDecodable: it is none of this class."""
            if data[:1] != _MARK:
                raise read_failure(data)
            try:
                return signature.read_result(memoryview(data)[1:])
            except MemoryError:
                raise
            except Exception as error:
                what = f"{method}: the result is not what its annotation says: {message_of(error)}"
                raise NotDecodable(what) from error

        return read

    # -- states ------------------------------------------------------------------------------------

    def encode_state(self, state: dict[str, Any]) -> bytes:
        """Raises TypeError: a field that is not declared would be lost; and what msgspec raises."""
        if not state.keys() <= self._fields:
            other = min(state.keys() - self._fields)
            raise TypeError(f"{other} is no declared field: annotate it in the class")
        return _encode(state)

    def decode_state(self, data: memoryview) -> dict[str, Any]:
        """Raises ValueError: it is not a state of these types."""
        try:
            return cast(dict[str, Any], self._read_state(data))
        except msgspec.MsgspecError as error:
            raise ValueError(f"it is no state of the types that the class declares: {error}") from error

    def check_state(self, state: dict[str, Any], data: bytes) -> None:
        """Whether a member that loads `data` has the same state as this one. Raises TypeError: a field holds
        something that its annotation does not say, such as a tuple in a list[int]."""
        back = self.decode_state(memoryview(data))
        try:
            there, mine = digests_of(back), digests_of(state)
        except NoDigest:  # then members do not compare it, either
            return
        for name in state:
            if mine[name] != there.get(name):
                what = f"{name} holds {state[name]!r:.80}, and {back.get(name)!r:.80} once it was stored"
                raise TypeError(f"{what}: let it hold what its annotation says")


def encode_typed_call(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Raises NotEncodable."""
    try:
        return _MARK + _encode((method, args, kwargs))
    except MemoryError:
        raise
    except Exception as error:
        raise NotEncodable(
            f"{method}: an argument cannot be encoded: {message_of(error)}", method=method
        ) from error


def any_call(payload: bytes) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """A call of a class that is not known, to be shown: typed arguments as plain values. Raises
    BadArguments."""
    if payload[:1] != _MARK:
        return decode_call(payload)
    try:
        method, raw, named = _read_call(memoryview(payload)[1:])
        return method, tuple(map(_read_any, raw)), {name: _read_any(one) for name, one in named.items()}
    except msgspec.MsgspecError as error:
        raise BadArguments(f"the arguments cannot be read: {error}") from error


# -- types ---------------------------------------------------------------------------------------------


class _Signature:
    """The readers of a method's arguments and of what it returns."""

    def __init__(self, cls: type, name: str, function: Callable[..., Any]) -> None:
        where = f"{cls.__qualname__}.{name}"
        hints = _hints(function, where)
        self._at: list[Reader] = []
        self._of: dict[str, Reader] = {}
        self._more: Reader = _read_any
        self._others: Reader = _read_any
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            about = f"{where}: {parameter.name}"
            reader = _decoder(_known(hints.get(parameter.name, Any), about), about)
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._more = reader
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._others = reader
            else:
                self._of[parameter.name] = reader
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    self._at.append(reader)
        about = f"{where}: what it returns"
        self.read_result = _decoder(_known(hints.get("return", Any), about), about)

    def reader_at(self, place: int) -> Reader:
        return self._at[place] if place < len(self._at) else self._more

    def reader_of(self, name: str) -> Reader:
        return self._of.get(name, self._others)


def _hints(owner: Any, where: str) -> dict[str, Any]:
    try:
        return get_type_hints(owner, include_extras=True)
    except Exception as error:  # of the annotation's own
        what = f"{where}: codec={NAME!r} needs annotations that can be resolved: {message_of(error)}"
        raise ConfigError(what) from error


def _decoder(kind: Any, where: str) -> Reader:
    try:
        return msgspec.msgpack.Decoder(kind).decode
    except Exception as error:
        raise ConfigError(f"{where}: codec={NAME!r} cannot read {kind!r}: {message_of(error)}") from error


def _known(kind: Any, where: str, is_exact: bool = False) -> Any:
    """The type itself. `is_exact`: it says all that a value of it is.

    Raises: ConfigError: msgspec knows none such.
    """
    try:
        for found in _parts(msgspec.inspect.type_info(kind), set()):
            if isinstance(found, msgspec.inspect.CustomType):
                what = f"{where}: codec={NAME!r} does not know {found.cls!r}"
                raise ConfigError(f"{what}: use what msgspec does, such as a dataclass or a msgspec.Struct")
            if is_exact and isinstance(found, msgspec.inspect.AnyType):
                raise ConfigError(f"{where}: codec={NAME!r} needs all of its type, as in dict[str, int]")
    except (TypeError, NotImplementedError) as error:
        raise ConfigError(f"{where}: codec={NAME!r} cannot read {kind!r}: {message_of(error)}") from error
    return kind


def _parts(found: Any, seen: set[type]) -> Iterator[Any]:
    """A type, and those in it."""
    yield found
    cls = getattr(found, "cls", None)
    if cls is not None:
        if cls in seen:
            return
        seen.add(cls)
    for name in found.__struct_fields__:
        value = getattr(found, name)
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, msgspec.inspect.Field):
                yield from _parts(one.type, seen)
            elif isinstance(one, msgspec.inspect.Type):
                yield from _parts(one, seen)


def _unknown(self: Any) -> None:
    """Has no arguments that are known."""


_UNKNOWN = _Signature(object, "unknown", _unknown)
