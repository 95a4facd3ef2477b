"""How much a value counts in the limits of what a group keeps: about as many bytes as it takes.

All members must decide alike what is kept, dropped and refused, and encodings of equal values differ: by the
version of Python or cloudpickle, by the order of a set, by what is one object and what two. So the limits go
by weights. A weight depends on the value alone: equal parts weigh the same wherever they stand, and one that
stands in two places weighs twice, be it one object or two.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import chain
from typing import Any, Final, TypeAlias

from msgspec import Struct

from fleet.objects.payload import FATAL

BASE: Final = 8
"""Of every part of a value, besides its own bytes."""
OPAQUE: Final = 64
"""Of what is not looked into: classes and functions, objects of Python's own library such as dates, and those
of classes with a `__reduce__` of their own."""
FAILED: Final = 512
"""Of what is kept of a command that failed: the words of an error differ by the version of Python."""
DEPTH_MAX: Final = 100
"""Parts that are deeper down weigh nothing, so that a value that holds itself has a weight, too."""
WEIGHT_MAX: Final = 1 << 40
"""No value weighs more."""
_ROWS: Final = (tuple, list, set, frozenset, deque)
_REDUCE: Final = "__reduce__", "__reduce_ex__"
_Part: TypeAlias = tuple[Any, Iterable[Any], int]
"""What has parts, which is so kept alive; these; and in how many places of its depth it stands."""


def weight_of(value: Any) -> int:
    """Of any value. Of users' code, only a `__getstate__` is executed. Raises what `FATAL` has."""
    total = 0
    level: dict[int, _Part] = {0: (None, (value,), 1)}
    """By identity, so that nothing is looked into twice at the same depth."""
    for _ in range(DEPTH_MAX):
        deeper: dict[int, _Part] = {}
        for _, parts, times in level.values():
            for part in parts:
                weigh = _PLAIN.get(type(part))
                if weigh is not None:
                    total += times * weigh(part)
                    continue
                own, inner = _taken_apart(part)
                total += times * own
                if inner is not None:
                    known = deeper.get(id(part))
                    deeper[id(part)] = part, inner, times + (known[2] if known is not None else 0)
        if not deeper or total >= WEIGHT_MAX:
            break
        level = deeper
    return min(total, WEIGHT_MAX)


def _text(value: str) -> int:
    return BASE + len(value) * (1 if str.isascii(value) else 4)


def _number(value: int) -> int:
    return BASE + int.bit_length(value) // 8


_PLAIN: Final[dict[type, Callable[[Any], int]]] = {
    int: _number,
    str: _text,
    **dict.fromkeys((type(None), bool, float), lambda value: BASE),
}


def _taken_apart(value: Any) -> tuple[int, Iterable[Any] | None]:
    """What it weighs without its parts, and those, if it has any."""
    if isinstance(value, str):
        return _text(value), None
    if isinstance(value, int):
        return _number(value), None
    if isinstance(value, dict):
        return BASE, chain(dict.keys(value), dict.values(value))
    for kind in _ROWS:
        if isinstance(value, kind):
            return BASE, iter(getattr(kind, "__iter__")(value))
    size = _bytes_in(value)
    if size is not None:
        return BASE + size, None
    inner = _state_of(value)
    return (OPAQUE, None) if inner is None else (BASE, inner)


def _bytes_in(value: Any) -> int | None:
    """Of bytes, arrays and the like; None: it is none of these."""
    try:
        with memoryview(value) as view:
            return view.nbytes
    except FATAL:
        raise
    except Exception:  # NumPy raises ValueError for some
        return None


def _state_of(value: Any) -> Iterable[Any] | None:
    """None: it is not looked into. What Python's own objects are made of differs by version."""
    kind = type(value)
    if isinstance(value, Struct):
        return [getattr(value, name) for name in kind.__struct_fields__]
    has_own = any(getattr(kind, name) is not getattr(object, name) for name in _REDUCE)
    is_pythons = str(kind.__module__).partition(".")[0] in sys.stdlib_module_names
    if isinstance(value, type | Enum) or has_own or is_pythons:
        return None
    try:
        return (getattr(kind, "__getstate__")(value),)
    except FATAL:
        raise
    except Exception:  # then it cannot be encoded, or is by a function that is registered for it
        return None
