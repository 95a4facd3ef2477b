"""Tracebacks of users' code on their way to the caller.

They name files and lines, which may differ from member to member: they are told beside a command's result, by
the member that executed it first for this caller, and are no part of any state.
"""

import traceback
from typing import Final

import msgspec

from fleet.interfaces import Context
from fleet.objects.applier import Outcomes
from fleet.objects.described import OURS
from fleet.objects.payload import as_text, with_traceback

TEXT_MAX: Final = 4000
"""Characters of one; more are cut out of its middle."""
KEPT_MAX: Final = 4
"""So many of the commands that are executed together bring one: each takes 0.1 ms."""
FRAMES_MAX: Final = 64
_CUT = "\n  [...]\n"


def traceback_text(error: BaseException) -> str:
    """As Python prints it, from the first frame of users' code on. "" if it cannot be made."""
    start = error.__traceback__
    while start is not None and start.tb_frame.f_globals.get("__name__") in OURS:
        start = start.tb_next
    try:
        told = traceback.TracebackException(type(error), error, start, limit=-FRAMES_MAX, compact=True)
        _leave_columns_out(told)
        text = as_text("".join(told.format()))
    except Exception:  # somebody's __str__, or little memory: the error is told without it
        return ""
    half = (TEXT_MAX - len(_CUT)) // 2
    return text if len(text) <= TEXT_MAX else text[:half] + _CUT + text[-half:]


def _leave_columns_out(told: traceback.TracebackException | None) -> None:
    """Marks below the lines take three quarters of the time."""
    while told is not None:
        for frame in told.stack:
            frame.colno = frame.end_colno = None
        told = told.__cause__ or told.__context__


class Tracebacks:
    """Of the commands that failed since it was last asked, by their sequence numbers."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        """`kept_max`: of so many of them; 0: nobody asks, not of queries either."""
        self._kept_max = kept_max
        self._texts: dict[int, str] = {}

    def keep(self, context: Context | None, error: BaseException) -> None:
        if context is not None and len(self._texts) < self._kept_max:
            self._texts[context.seq] = traceback_text(error)

    def added_to_query(self, failure: bytes, error: BaseException) -> bytes:
        return with_traceback(failure, traceback_text(error)) if self._kept_max else failure

    def added_to(self, outcomes: Outcomes) -> Outcomes:
        """The outcomes as their caller is told."""
        texts, self._texts = self._texts, {}
        if not texts:
            return outcomes
        values = [
            with_traceback(value, texts[seq]) if seq in texts else value
            for seq, value in enumerate(outcomes.values, outcomes.first)
        ]
        return msgspec.structs.replace(outcomes, values=tuple(values))
