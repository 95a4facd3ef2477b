"""A value as text that is the same for equal values in every process: sets in order, no addresses."""

import collections
import datetime
import decimal
import enum
import re
import uuid
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")

_SCALARS = (datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, decimal.Decimal, uuid.UUID)


def canonical(value: Any) -> str:
    """The order of a dict counts, since iteration shows it; that of a set does not."""
    return _text(value, ())


def _text(value: Any, above: tuple[int, ...]) -> str:
    if id(value) in above:
        return f"<the {type(value).__name__} {len(above) - above.index(id(value))} up>"
    above = (*above, id(value))
    if type(value) in (int, str, bytes, bool, float, complex, type(None)):
        return repr(value)
    if isinstance(value, dict):
        items = [f"{_text(key, above)}: {_text(one, above)}" for key, one in value.items()]
        return f"{_name(value, dict)}{{{', '.join(items)}}}"
    if isinstance(value, (set, frozenset)):
        return f"{_name(value, set)}{{{', '.join(sorted(_text(one, above) for one in value))}}}"
    if isinstance(value, tuple):
        return f"{_name(value, tuple)}({', '.join(_text(one, above) for one in value)})"
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, _SCALARS):
        return repr(value)
    if isinstance(value, list | collections.deque):
        return f"{_name(value, list)}[{', '.join(_text(one, above) for one in value)}]"
    if isinstance(value, BaseException):
        return f"{type(value).__qualname__}{_text(value.args, above)}"
    fields = getattr(value, "__struct_fields__", None) or getattr(value, "__slots__", None)
    if hasattr(value, "__dict__") and not isinstance(value, type):
        return f"{type(value).__qualname__}({_text(vars(value), above)})"
    if fields and not isinstance(fields, str):
        held = {name: getattr(value, name) for name in fields if hasattr(value, name)}
        return f"{type(value).__qualname__}({_text(held, above)})"
    return _ADDRESS.sub("", repr(value))


def _name(value: Any, plain: type) -> str:
    return "" if type(value) is plain else type(value).__qualname__
