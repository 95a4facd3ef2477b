"""How a data class of the library's own is bytes: msgpack, read by the types that the class declares.

A call is the byte PACKED and [method, arguments, arguments by name]; each argument is read as the method's
annotation says. A state is a map of the fields. What a method answers is plain, or a Struct under a tag that
was given to `packed`. No module is named anywhere.
"""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, TypedDict, TypeVar, cast, get_origin, get_type_hints

import msgspec
from msgspec import Raw, Struct

from fleet.errors import BadArguments, FleetError, NotEncodable
from fleet.objects.declare import Data, shape_of
from fleet.objects.payload import (
    PACKED,
    encode_packed,
    encode_refused,
    encode_value,
    register_result,
)

C = TypeVar("C", bound=type[Data])
_MARK = bytes((PACKED,))
_encode = msgspec.msgpack.Encoder().encode
_read_call = msgspec.msgpack.Decoder(tuple[str, tuple[Raw, ...], dict[str, Raw]]).decode
_read_any = msgspec.msgpack.Decoder().decode


def packed(**results: type[Struct]) -> Callable[[C], C]:
    """Class decorator. `results`: by their tags, the Structs that methods answer with."""

    def decorate(cls: C) -> C:
        for tag, kind in results.items():
            register_result(f"fleet:{tag}", kind)
        cls.__fleet_codec__ = PackedCodec(cls)
        return cls

    return decorate


class PackedCodec:
    """A `fleet.objects.payload.Codec`."""

    name: ClassVar = "packed"

    def __init__(self, cls: type[Data]) -> None:
        shape = shape_of(cls)
        self._readers = {
            name: _argument_readers(function) for name, function in (shape.commands | shape.queries).items()
        }
        hints = {name: kind for name, kind in get_type_hints(cls).items() if get_origin(kind) is not ClassVar}
        state = cast(Any, TypedDict)(cls.__name__, hints, total=False)
        self._read_state = msgspec.msgpack.Decoder(state).decode

    def encode_call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Raises NotEncodable."""
        try:
            return _MARK + _encode((method, args, kwargs))
        except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
            raise NotEncodable(f"{method}: an argument cannot be encoded: {error}", method=method) from error

    def decode_call(self, payload: bytes) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Raises BadArguments. A method or argument that the class does not have is left to the caller."""
        if payload[:1] != _MARK:
            raise BadArguments("not a call of a built-in data class")
        try:
            method, raw, named = _read_call(memoryview(payload)[1:])
            readers = self._readers.get(method, {})
            in_order = list(readers.values())[: len(raw)]
            in_order += [_read_any] * (len(raw) - len(in_order))
            args = tuple(read(one) for read, one in zip(in_order, raw, strict=True))
            kwargs = {name: readers.get(name, _read_any)(one) for name, one in named.items()}
        except BaseException as error:  # of any kind: a few bytes may ask for any amount of memory
            raise BadArguments(f"the arguments cannot be read: {type(error).__name__}: {error}") from error
        return method, args, kwargs

    def encode_ok(self, value: Any) -> bytes:
        return encode_packed(value)

    def encode_rejected(self, value: Any) -> bytes:
        if not isinstance(value, FleetError):
            raise TypeError(f"a built-in data class refuses with an error of fleet.errors, not {value!r}")
        return encode_refused(value)

    def encode_event(self, value: Any) -> bytes:
        return encode_value(value)

    def result_reader(self, method: str) -> None:
        return None

    def encode_state(self, state: dict[str, Any]) -> bytes:
        return _encode(state)

    def decode_state(self, data: memoryview) -> dict[str, Any]:
        state: dict[str, Any] = self._read_state(data)
        return state


def _argument_readers(function: Callable[..., Any]) -> dict[str, Callable[[Raw], Any]]:
    """By the argument's name, in order, without self."""
    hints = get_type_hints(function)
    names = list(inspect.signature(function).parameters)[1:]
    return {name: msgspec.msgpack.Decoder(hints[name]).decode for name in names}
