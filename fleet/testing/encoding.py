"""Which part of a value cannot be encoded."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.objects.described import message_of
from fleet.objects.payload import encode_value


def culprit(value: Any, place: str) -> str:
    """The innermost part that cannot be encoded, by its place, its type and the reason; "" if all of it can.
    `place`: in words, where the value is."""
    reason = _reason(value)
    if not reason:
        return ""
    above: list[int] = []
    while id(value) not in above:
        above.append(id(value))
        for name, part in _parts(value):
            why = _reason(part)
            if why:
                place, value, reason = place + name, part, why
                break
    return f"{place} ({type(value).__qualname__}): {reason}"


def _reason(value: Any) -> str:
    try:
        encode_value(value)
    except Exception as error:  # its words are the answer
        return message_of(error) or type(error).__name__
    return ""


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield f"[{key!r}]", part
            yield f", the key {key!r}", key
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from ((f".{name}", getattr(value, name)) for name in value._fields)
    elif isinstance(value, list | tuple):
        yield from ((f"[{place}]", part) for place, part in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from ((", an item", part) for part in value)
    elif not isinstance(value, type):
        yield from ((f".{name}", getattr(value, name)) for name in _names(value) if hasattr(value, name))


def _names(value: Any) -> list[str]:
    if dataclasses.is_dataclass(value):
        return [one.name for one in dataclasses.fields(value)]
    return [*getattr(value, "__struct_fields__", ()), *getattr(value, "__dict__", ())]
