"""What became of an object's fields: compared, and named in errors."""

from operator import is_
from typing import Any

from fleet.objects.payload import encode_value

CHECKED_BYTES_MAX = 16 * 1024
"""A state up to this is compared around every query; a larger one around the first
`CHECKED_FIRST` calls of each query and every `CHECKED_EVERY`th."""
CHECKED_FIRST = 16
CHECKED_EVERY = 256
PLAIN = frozenset({type(None), bool, int, float, str, bytes})


def is_held(held: list[Any], obj: Any) -> bool:
    """Whether its fields are the very values that they were."""
    now = obj.__dict__.values()
    return len(held) == len(now) and all(map(is_, held, now))


def is_as_held(held: list[Any], obj: Any) -> bool:
    """Whether its fields are the very values that they were, or equal ones where that is the same to any
    member."""
    now = list(obj.__dict__.values())
    if len(held) != len(now):
        return False
    for old, new in zip(held, now, strict=True):
        if old is not new and not (type(old) is type(new) and type(new) in PLAIN and old == new):
            return False
    return True


def changed_fields(was: Any, now: Any) -> str:
    """Their names; "" where the states are no fields."""
    if not isinstance(was, dict) or not isinstance(now, dict):
        return ""
    return ", ".join(
        sorted(
            str(name)
            for name in was.keys() | now.keys()
            if name not in was or name not in now or encode_value(was[name]) != encode_value(now[name])
        )
    )


def unencodable_field(obj: Any) -> str | None:
    for name, value in obj.__dict__.items():
        try:
            encode_value(value)
        except Exception:  # encoding the state gives the reason; here only the field counts
            return str(name)
    return None


class CheckedQueries:
    """Which calls of queries the state is compared around."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def is_next(self, method: str, state_bytes: int) -> bool:
        if state_bytes <= CHECKED_BYTES_MAX:
            return True
        count = self._counts[method] = self._counts.get(method, 0) + 1
        return count <= CHECKED_FIRST or count % CHECKED_EVERY == 0
