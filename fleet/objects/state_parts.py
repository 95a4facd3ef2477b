"""The parts of an object's state with their digests, to be shown where states differ.

A value with many parts has slices of them, `[1000:2000]`, and these have the parts, so that whoever compares
two states goes down to what differs in a few steps, however big they are. What a state too big to be kept was
like is remembered as its outline: the digests of its fields, and of the parts or the slices of each.
"""

import collections
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from fleet.objects.payload import as_text
from fleet.objects.state_digest import SLOTS, digest_of, fields_of, state_of

SLICE: Final = 1000
"""A value with more parts than this has slices of so many; one with more than that many, slices of slices."""
SHOWN_MAX: Final = 200
"""Characters of a value."""
OUTLINED_MAX: Final = 1000
"""When so many parts of fields are in an outline, those of further fields are left out."""
OUTLINED_CHARS_MAX: Final = 60
"""Of a value in an outline."""


class StatePart(Struct, frozen=True, array_like=True, gc=False):
    """A part of a state: a field, an element."""

    label: str
    digest: bytes
    """Equal on members where the part is."""
    text: str
    """For people."""
    has_parts: bool


class Slice:
    """Some of the parts of a value, one after the other, with their labels."""

    def __init__(self, parts: Sequence[tuple[str, Any]]) -> None:
        self.parts = parts

    def __repr__(self) -> str:
        return f"({len(self.parts)} parts: {self.parts[0][0]} to {self.parts[-1][0]})"


def parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value holds, with labels that are the same on every member; nothing, if it is shown whole."""
    inner = list(_all_parts_of(value))
    size = SLICE
    while len(inner) > size * SLICE:
        size *= SLICE
    if len(inner) <= SLICE:
        yield from inner
        return
    for first in range(0, len(inner), size):
        yield f"[{first}:{first + size}]", Slice(inner[first : first + size])


def _all_parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Slice):
        yield from value.parts
    elif isinstance(value, dict):
        for key, part in value.items():
            yield f"[{_shown(key)}]", part
    elif isinstance(value, list | tuple | collections.deque):
        for at, part in enumerate(value):
            yield f"[{at}]", part
    elif hasattr(value, "__struct_fields__"):
        for name in value.__struct_fields__:
            yield f".{name}", getattr(value, name)
    else:
        for name, part in sorted(fields_of(state_of(value)).items()):
            if name:
                yield f".{name.removeprefix(SLOTS)}", part


def part_at(state: Any, path: tuple[str, ...]) -> Any:
    """Raises KeyError: there is no such part here."""
    found: Any = fields_of(state)[path[0]] if path else state
    for label in path[1:]:
        found = next((part for one, part in parts_of(found) if one == label), found_nothing)
        if found is found_nothing:
            raise KeyError(label)
    return found


found_nothing: Final = object()


def parts_shown(state: Any, path: tuple[str, ...] = ()) -> list[StatePart]:
    """The parts of the value at `path`, one step down; a value without parts is not looked into."""
    inner = fields_of(state).items() if not path else parts_of(part_at(state, path))
    return [_part(label, part) for label, part in inner]


def _part(label: str, part: Any) -> StatePart:
    digest = digest_of(list(part.parts) if isinstance(part, Slice) else part)
    has_parts = next(_all_parts_of(part), None) is not None
    return StatePart(as_text(label), digest, as_text(shown(part, SHOWN_MAX)), has_parts)


class Outline(Struct, frozen=True, array_like=True, gc=False):
    """Of a state that is not kept."""

    fields: list[StatePart]
    parts: dict[str, list[StatePart]]
    """Of fields, by their labels."""

    def at(self, path: tuple[str, ...]) -> list[StatePart]:
        """As `parts_shown`. Raises KeyError."""
        if not path:
            return self.fields
        (label,) = path
        return self.parts[label]


def outline_of(state: Any) -> Outline:
    """Raises what `digest_of` does."""
    fields, parts, count = [], {}, 0
    for field in parts_shown(state):
        has_parts = field.has_parts and count < OUTLINED_MAX
        if has_parts:
            inner = [_without_parts(one) for one in parts_shown(state, (field.label,))]
            parts[field.label], count = inner, count + len(inner)
        fields.append(field if has_parts else _without_parts(field))
    return Outline(fields, parts)


def _without_parts(part: StatePart) -> StatePart:
    return StatePart(part.label, part.digest, shortened(part.text, OUTLINED_CHARS_MAX), False)


encode_outline = msgspec.msgpack.Encoder().encode
decode_outline = msgspec.msgpack.Decoder(Outline).decode


def shown(value: Any, chars_max: int) -> str:
    """As text, for people: sets in order, shortened."""
    if isinstance(value, set | frozenset):
        text = "{" + ", ".join(sorted(map(_shown, value))) + "}" if value else "set()"
    else:
        text = _shown(value)
    return shortened(text, chars_max)


def shortened(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 3]}..."


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # the user's
        return f"<a {type(value).__qualname__} whose repr raises {type(error).__name__}>"
