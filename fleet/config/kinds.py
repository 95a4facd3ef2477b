"""How values of settings are written: as text in a flag or an environment variable, and in TOML."""

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Any

from msgspec import Struct

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Kind(Struct, frozen=True):
    metavar: str
    words: str
    """What to write, for errors."""
    toml: Any
    """The types that it may have in a file."""
    from_text: Callable[[str], Any]
    """Raises ValueError."""
    from_toml: Callable[[Any], Any]
    """Of a value of one of the types `toml`. Raises ValueError."""
    to_toml: Callable[[Any], str]
    """As it would be written in a file."""


def _text(value: str) -> str:
    if not value.isprintable():
        raise ValueError
    return value


def _listed(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"[,\s]+", text.strip(" ,\t\n"))) if text.strip(" ,\t\n") else ()


def _finite(number: float) -> float:
    """Hundreds of digits are read as infinity."""
    if not isfinite(number):
        raise ValueError
    return number


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(\w*)", text.strip())
    if match is None or match[2] not in SECONDS and match[2]:
        raise ValueError
    return _finite(float(match[1]) * SECONDS.get(match[2], 1.0))


def _duration(value: str | int | float) -> float:
    return _seconds(value if isinstance(value, str) else str(value))


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError
    return int(_finite(float(match[1]) * BYTES.get(match[2].upper(), 1)))


def _size(value: str | int) -> int:
    return _bytes(value if isinstance(value, str) else str(value))


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE + FALSE:
        raise ValueError
    return word in TRUE


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(value: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_quoted, value))}]"


def _in_units(value: float, units: dict[str, Any], plain: str) -> str:
    """With the largest unit of which it is a whole number."""
    for unit, size in sorted(units.items(), key=lambda one: -one[1]):
        count = round(value / size)
        if count and abs(count * size - value) < 1e-9:
            return f'"{count}{unit}"'
    return f'"{value:g}{plain}"' if plain and value else f"{value:g}"


TEXT = Kind("TEXT", 'a text in quotation marks, such as "n1"', str, _text, _text, _quoted)
PATH = Kind("PATH", 'a path in quotation marks, such as "data/n1"', str, _text, _text, _quoted)
ENDPOINT = Kind("HOST:PORT", '"host:port", such as "10.0.0.1:7400"', str, _text, _text, _quoted)
ENDPOINTS = Kind(
    "HOST:PORT", 'a list of "host:port", such as ["10.0.0.1:7400"]', list[str], _listed, tuple, _list
)
TEXTS = Kind("NAME", 'a list of texts, such as ["myapp.accounts"]', list[str], _listed, tuple, _list)
NUMBER = Kind("NUMBER", "a number, such as 1.5", float, float, float, "{:g}".format)
COUNT = Kind("COUNT", "a whole number, such as 2", int, int, int, str)
DURATION = Kind(
    "DURATION", 'a duration, such as "250ms", "30s", "10m" or "1h"', str | int | float, _seconds, _duration,
    lambda value: _in_units(value, SECONDS, "s"),
)  # fmt: skip
SIZE = Kind(
    "BYTES", 'a number of bytes, such as "500M" or "2G"', str | int, _bytes, _size,
    lambda value: _in_units(value, BYTES, ""),
)  # fmt: skip
SWITCH = Kind("BOOLEAN", "true or false", bool, _switch, bool, lambda value: str(value).lower())


def one_of(*words: str) -> Kind:
    def check(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Kind("|".join(words), " or ".join(map(_quoted, words)), str, check, check, _quoted)
