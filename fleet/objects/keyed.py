"""A command with a key of the client's own, as bytes: KEYED, and key, time and digest before the call itself.

The digest tells whether a later call with the same key is the same call. Equal arguments have one digest in
every process: pickles of them may differ, by the order of a set or by what is one object and what two.
"""

import pickle
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from fleet.errors import ConfigError
from fleet.objects.payload import KEYED
from fleet.raft.ids import Millis

KEY_MAX = 255
"""Characters."""
KEEP_S = 86_400.0
"""How long a key is kept where neither the class nor the call says: a day."""
KEEP_S_MAX = 10 * 366 * 86_400
DIGEST_BYTES = 16
_MARK = bytes((KEYED,))
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
_PROTOCOL = 4
"""Of pickle: the last one without buffers beside it."""
EncodeCall = Callable[[str, tuple[Any, ...], dict[str, Any]], bytes]


class KeyedCall(Struct, frozen=True, array_like=True, gc=False):
    key: Annotated[str, Meta(min_length=1, max_length=KEY_MAX)]
    keep_ms: Annotated[int, Meta(ge=0, le=KEEP_S_MAX * 1000)]
    """How long it is kept; 0: as the class says."""
    digest: Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
    payload: bytes
    """The call without the key."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeyedCall).decode


def is_keyed(payload: bytes) -> bool:
    return payload[:1] == _MARK


def read_keyed(payload: bytes) -> KeyedCall | None:
    """None: it is none."""
    try:
        return _decode(memoryview(payload)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def without_key(payload: bytes) -> bytes:
    """The call itself."""
    keyed = read_keyed(payload) if is_keyed(payload) else None
    return payload if keyed is None else keyed.payload


def keyed_payload(
    key: str, keep_ms: Millis, payload: bytes, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bytes:
    return _MARK + _encode(KeyedCall(key, keep_ms, digest_of(payload, method, args, kwargs), payload))


def keyed_encoder(encode_call: EncodeCall, key: str, keep: float | None) -> EncodeCall:
    """`encode_call` of commands with this key."""
    return partial(_encode_keyed, encode_call, key, keep_ms_of(keep))


def _encode_keyed(
    encode_call: EncodeCall,
    key: str,
    keep_ms: Millis,
    method: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> bytes:
    return keyed_payload(key, keep_ms, encode_call(method, args, kwargs), method, args, kwargs)


# -- checks ----------------------------------------------------------------------------------------


def check_key(key: object) -> None:
    """Raises ConfigError."""
    if type(key) is not str or not 0 < len(key) <= KEY_MAX:
        raise ConfigError(f"a key is a text of 1 to {KEY_MAX} characters, not {key!r:.60}")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"a key is UTF-8 text: {error.reason}") from None


def check_keep(name: str, seconds: object) -> None:
    """Raises ConfigError."""
    if type(seconds) not in (int, float) or not 0.001 <= seconds <= KEEP_S_MAX:  # type: ignore[operator]
        raise ConfigError(f"{name} must be from 0.001 to {KEEP_S_MAX} seconds, not {seconds!r}")


def keep_ms_of(keep: float | None) -> Millis:
    return 0 if keep is None else round(keep * 1000)


# -- the digest ------------------------------------------------------------------------------------


def digest_of(payload: bytes, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Of the call; of its bytes where the arguments are of a kind that cannot be looked into."""
    try:
        return _digest((method, args, kwargs))
    except Exception:  # of the arguments' own code, or they refer to each other in circles
        return blake2b(payload, digest_size=DIGEST_BYTES).digest()


def _digest(value: Any) -> bytes:
    kind = type(value)
    if kind in _PLAIN:
        parts = [pickle.dumps(value, _PROTOCOL)]
    elif kind is tuple or kind is list:
        parts = [kind.__name__.encode(), *map(_digest, value)]
    elif kind is set or kind is frozenset:
        parts = [kind.__name__.encode(), *sorted(map(_digest, value))]
    elif kind is dict:
        parts = [b"dict", *sorted(_digest(key) + _digest(held) for key, held in value.items())]
    elif isinstance(value, type | FunctionType | BuiltinFunctionType):
        if "<" in value.__qualname__:
            raise TypeError(f"{value!r} has no name of its own")
        parts = [b"name", f"{value.__module__}.{value.__qualname__}".encode()]
    else:
        parts = [b"object", *map(_digest, _reduced(value))]
    hash = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        hash.update(len(part).to_bytes(8) + part)
    return hash.digest()


def _reduced(value: Any) -> tuple[Any, ...]:
    reduced = value.__reduce_ex__(_PROTOCOL)
    if isinstance(reduced, str):
        return (type(value), reduced)
    made_by, args, *rest = reduced
    items = [None if one is None else list(one) for one in rest[1:3]]
    return (made_by, args, *rest[:1], *items)
