"""A digest of an object's state that is equal on members whose states are equal.

Pickled bytes are not: the order of a set differs with the hash seed of its process and its past, and equal
values that are one object here are two there. So the state is walked: sets in the order of their elements'
bytes, dicts in their own order, since iteration shows it, the fields of objects by name, and anything else by
what pickle takes it apart into (`__reduce_ex__`). What identity tells is left out.

Plain containers are left to `marshal`, in C: since CPython 3.11 it sorts sets. Its bytes, and what
`__reduce_ex__` gives, may differ in other versions of Python: `KIND` begins every digest, and digests with
other kinds are not compared.
"""

import copyreg
import enum
import marshal
import sys
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

from fleet.errors import FleetError

KIND: Final = bytes((1, sys.version_info[1]))
"""The version of this walk, and of Python."""
DIGEST_BYTES: Final = 16
_MARSHAL: Final = 2
"""The format without references, whose bytes do not depend on what is interned or shared."""
_DEPTH_MAX: Final = 400
_PLAIN: Final = frozenset((type(None), bool, int, float, complex, str, bytes))
_CONTAINERS: Final = frozenset((dict, list, tuple, set, frozenset))
SLOTS: Final = "[1]."
"""Before the name of a slot of a state that has fields, too: one may have both by the same name."""


class NoDigest(FleetError):
    """The state holds something that has no digest: `field` has it."""

    retry = False


class _CannotWalk(Exception):
    """Of this value: why."""


def fields_of(state: Any) -> dict[str, Any]:
    """The parts of a state that are compared by themselves; one with the name "" if it has no fields."""
    if _is_fields(state):
        return state  # type: ignore[no-any-return]
    if not _is_pair_of_fields(state):
        return {"": state}
    fields, slots = state
    if fields is None:
        return slots  # type: ignore[no-any-return]
    return {**fields, **{f"{SLOTS}{name}": value for name, value in slots.items()}}


def _is_fields(state: Any) -> bool:
    return type(state) is dict and all(type(name) is str for name in state)


def _is_pair_of_fields(state: Any) -> bool:
    """As `__getstate__` gives it of an object with slots: its fields or None, and its slots."""
    if type(state) is not tuple or len(state) != 2:
        return False
    return (state[0] is None or _is_fields(state[0])) and _is_fields(state[1])


def digests_of(state: Any) -> dict[str, bytes]:
    """Of each field. Raises NoDigest."""
    found: dict[str, bytes] = {}
    for name, value in sorted(fields_of(state).items()):
        try:
            found[name] = digest_of(value)
        except _CannotWalk as error:
            raise NoDigest(f"the state cannot be compared: {error}", field=name) from error
        except RecursionError:
            raise NoDigest("the state cannot be compared: it is nested too deeply", field=name) from None
        except Exception as error:  # the user's __getstate__ or __reduce__
            what = f"the state cannot be compared: {type(error).__name__}: {error}"
            raise NoDigest(what, field=name) from error
    return found


def joined(digests: dict[str, bytes], revision: int) -> bytes:
    """One digest of all fields, and of the revision that the state has."""
    whole = blake2b(str(revision).encode(), digest_size=DIGEST_BYTES)
    for name, digest in sorted(digests.items()):
        whole.update(name.encode(errors="surrogatepass") + b"\0" + digest)
    return KIND + whole.digest()


def digest_of(value: Any) -> bytes:
    """Raises _CannotWalk, RecursionError, or what a `__reduce_ex__` of the user's raises."""
    walk = _Walk()
    walk.value(value)
    return walk.hash.digest()


class _Walk:
    def __init__(self, above: tuple[Any, ...] = ()) -> None:
        self.hash = blake2b(digest_size=DIGEST_BYTES)
        self.above = list(above)
        """The containers that hold what is walked now, which keeps them alive: no id is used twice."""

    def value(self, value: Any) -> None:
        kind = type(value)
        if kind in _PLAIN:
            self._piece(b"p", marshal.dumps(value, _MARSHAL))
            return
        if kind in _CONTAINERS:
            plain = _marshalled(value)
            if plain is not None:
                self._piece(b"p", plain)
                return
        place = next((at for at, one in enumerate(self.above) if one is value), None)
        if place is not None:
            self._piece(b"^", str(len(self.above) - place).encode())
            return
        if len(self.above) >= _DEPTH_MAX:
            raise _CannotWalk("it is nested too deeply")
        self.above.append(value)
        try:
            self._held(kind, value)
        finally:
            self.above.pop()

    def _held(self, kind: type, value: Any) -> None:
        if kind is dict:
            self._pairs(b"d", value.items())
        elif kind is list or kind is tuple:
            self._parts(b"l" if kind is list else b"t", value)
        elif kind is set or kind is frozenset:
            self._elements(b"s" if kind is set else b"f", value)
        elif isinstance(value, type):
            self._piece(b"c", value.__qualname__.encode())
        elif isinstance(value, enum.Enum):
            self._piece(b"e", f"{kind.__qualname__}.{value.name}".encode())
        elif kind is bytearray:
            self._piece(b"b", bytes(value))
        else:
            self._object(kind, value)

    def _piece(self, tag: bytes, data: bytes) -> None:
        self.hash.update(tag + len(data).to_bytes(8) + data)

    def _parts(self, tag: bytes, parts: Any) -> None:
        self._piece(tag, b"")
        for part in parts:
            self.value(part)
        self._piece(b".", b"")

    def _pairs(self, tag: bytes, items: Any) -> None:
        self._piece(tag, b"")
        for key, part in items:
            self.value(key)
            self.value(part)
        self._piece(b".", b"")

    def _elements(self, tag: bytes, elements: Any) -> None:
        digests = []
        for element in elements:
            walk = _Walk(tuple(self.above))
            walk.value(element)
            digests.append(walk.hash.digest())
        self._piece(tag, b"".join(sorted(digests)))

    # -- any other object --------------------------------------------------------------------------

    def _object(self, kind: type, value: Any) -> None:
        if isinstance(value, set | frozenset):  # of the user's own class
            self._piece(b"S", kind.__qualname__.encode())
            self._elements(b"s", value)
            self.value(getattr(value, "__dict__", None))
            return
        reduced = _reduced(kind, value)
        if type(reduced) is str:
            self._piece(b"g", reduced.encode())
            return
        make, args, state, items, pairs = (*reduced, None, None, None)[:5]
        self._piece(b"o", _name_of(make))
        self.value(args)
        if type(state) is dict:
            self._pairs(b"a", sorted(state.items(), key=by_name))
        elif _is_pair_of_fields(state):
            for part in state:
                self._pairs(b"a", sorted((part or {}).items(), key=by_name))
        else:
            self.value(state)
        if items is not None:
            self._parts(b"l", items)
        if pairs is not None:
            self._pairs(b"d", pairs)


def by_name(pair: tuple[Any, Any]) -> str:
    return str(pair[0])


def _marshalled(value: Any) -> bytes | None:
    """None: it holds more than plain values."""
    try:
        return marshal.dumps(value, _MARSHAL)
    except ValueError:
        return None


def _reduced(kind: type, value: Any) -> Any:
    reduce: Callable[[Any], Any] | None = copyreg.dispatch_table.get(kind)
    if reduce is not None:
        return reduce(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return _name_of(value).decode()
    try:
        return value.__reduce_ex__(4)
    except TypeError as error:
        raise _CannotWalk(f"a {kind.__qualname__} has no state to compare") from error


def _name_of(function: Any) -> bytes:
    """Of a class, a function or a method. Raises _CannotWalk for one without a lasting name."""
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    if name is None or "<lambda>" in name or "<locals>" in name and not isinstance(function, type):
        raise _CannotWalk(f"a {type(function).__qualname__} without a name has no state to compare")
    return str(name).encode()


def state_of(value: Any) -> Any:
    """What the digest of an object is taken of, as far as it has names."""
    if type(value) in _PLAIN or isinstance(value, type | enum.Enum):
        return None
    try:
        reduced = _reduced(type(value), value)
    except Exception:  # the digest says why
        return None
    return reduced[2] if type(reduced) is tuple and len(reduced) > 2 else None
