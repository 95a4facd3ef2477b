"""What a log record is about, by name: whatever its text names as `group=%s`, `term=%d` and so on."""

import logging
import re
from functools import lru_cache
from typing import Any

NAMES = ("node", "group", "member", "term")
_PLACEHOLDER = re.compile(rf"(?:\b({'|'.join(NAMES)})=)?%(?:%|[-+ #0\d.*]*[a-zA-Z])")


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The values come from the record's arguments: a name of a group may have any character."""
    found: dict[str, Any] = dict(getattr(record, "fields", {}))
    if isinstance(record.args, tuple) and isinstance(record.msg, str):
        for name, place in _named(record.msg):
            if place < len(record.args):
                value = record.args[place]
                found[name] = value if isinstance(value, int) else str(value)
    return found


@lru_cache(maxsize=1000)
def _named(text: str) -> tuple[tuple[str, int], ...]:
    """The names, and the places of their arguments."""
    matches = [match for match in _PLACEHOLDER.finditer(text) if not match[0].endswith("%%")]
    return tuple((match[1], place) for place, match in enumerate(matches) if match[1])
