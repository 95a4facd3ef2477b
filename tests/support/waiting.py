"""Waiting for what other threads and processes do."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from fleet.errors import FleetError

T = TypeVar("T")
WAIT_S = 20.0


def eventually(
    condition: Callable[[], T | None], wait_s: float = WAIT_S, what: str = "it", every_s: float = 0.01
) -> T:
    """The first true value of `condition`, which is asked again and again. A FleetError is a no.

    Raises AssertionError after `wait_s`, with the last answer.
    """
    until = time.monotonic() + wait_s
    while True:
        last: object
        try:
            value = last = condition()
            if value:
                return value
        except FleetError as error:
            last = error
        if time.monotonic() >= until:
            raise AssertionError(f"waited {wait_s} s in vain for {what}; last: {last!r}")
        threading.Event().wait(every_s)
