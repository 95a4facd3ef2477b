"""Errors in words that are the same on every member."""

import re
from types import TracebackType
from typing import Any

from fleet.errors import FleetError, NotEncodable

OURS = frozenset(
    f"fleet.objects.{name}" for name in ("payload", "by_value", "methods", "declare", "executor", "strict")
)
"""Modules between the call of a method and its first line."""
_MESSAGE_MAX = 2000
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def describe(error: BaseException, home: str) -> tuple[str, str, str]:
    """(type name, message, where). `where` is module:function:line of the innermost frame in the
    package of `home`, the data class's module; no paths and no addresses, which differ by member.
    """
    return type(error).__qualname__, message_of(error), _where(error.__traceback__, home)


def message_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:
        text = f"its __str__ raised {type(broken).__name__}"
    return _ADDRESS.sub("", text)[:_MESSAGE_MAX]


def _where(traceback: TracebackType | None, home: str) -> str:
    package = home.partition(".")[0]
    found = ""  # a frame of another package, if the home has none
    step = traceback.tb_next if traceback else None  # the first frame is the one that caught it
    while step is not None:
        frame = step.tb_frame
        module = str(frame.f_globals.get("__name__", "?"))
        if module in OURS:
            pass
        elif not found or module.partition(".")[0] == package:
            found = f"{module}:{frame.f_code.co_qualname}:{step.tb_lineno}"
        step = step.tb_next
    return found


def is_in_call(error: BaseException) -> bool:
    """Whether the call itself raised it, before any frame of the user's code."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_globals.get("__name__") in OURS:
        step = step.tb_next
    return step is None


def no_result(error: BaseException, method: str, value: Any) -> FleetError:
    """The error to record instead of the encoder's own, whose text differs by version and encoder."""
    told = NotEncodable(f"{method}: the result ({type(value).__qualname__}) cannot be encoded")
    return told.with_traceback(error.__traceback__)
