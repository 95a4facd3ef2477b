"""What a job queue keeps and tells: jobs, workers, assignments; and which values of these it takes."""

from math import ceil
from typing import Any, Final, NamedTuple, TypeAlias

from fleet.errors import Reject
from fleet.objects.context import ctx

NAME_MAX: Final = 200
"""Characters of a worker's name."""
KEY_MAX: Final = 255
"""Characters of a job's key."""
SECONDS_MAX: Final = 10 * 366 * 86_400
"""Of a delay, a lease, a pause: ten years."""
WHOLE_MAX: Final = 1 << 53
CANCELLED: Final = 0
"""In place of an attempt: what the worker does was cancelled."""
Outcome: TypeAlias = tuple[int, int, str | None]
"""Job, token, and why it failed; None: it was done."""


class Assigned(NamedTuple):
    """What a worker is told."""

    id: int
    token: int
    """The revision at which it was assigned, which grows: what the job writes to may compare it."""
    attempt: int
    """From 1 on."""
    payload: bytes
    """Encoded by itself: one that the worker cannot load fails its own job, and no other."""


class Job(NamedTuple):
    payload: Any
    priority: int
    attempts: int
    """So many at most."""
    backoff: float
    key: str | None
    attempt: int = 0
    """The one that is under way, or was the last."""
    worker: str = ""
    """That has it; "": it waits."""
    token: int = 0
    until: float = 0.0
    """When its delay is over; 0.0: it has none."""
    error: str = ""
    """Why the last attempt failed."""


class Worker(NamedTuple):
    capacity: int
    lease: float
    until: float
    look_at: float
    """The time of its entry in `JobQueue.leases`; other entries of it are stale."""


def kind_of(worker: str) -> str:
    """Of the events that tell a worker of its jobs."""
    return f"job/{worker}"


def time_after(seconds: float) -> float:
    """In the group's clock, in whole milliseconds as that, so that a reminder for it is not too early."""
    return ceil((ctx.now + seconds) * 1000) / 1000


# -- what callers give ------------------------------------------------------------------------------


def misnamed(what: str, name: object, most: int) -> str | None:
    """Why this is no name for a worker, or a key; None: it is one."""
    if type(name) is not str or not 0 < len(name) <= most:
        return f"{what} is a text of 1 to {most} characters, not {name!r:.60}"
    try:
        name.encode()
    except UnicodeEncodeError as error:
        return f"{what} is UTF-8 text: {error.reason} at character {error.start}"
    return None


def check_name(what: str, name: object, most: int) -> None:
    """Raises Reject."""
    why = misnamed(what, name, most)
    if why is not None:
        raise Reject(why)


def seconds(what: str, value: object, may_be_zero: bool = True) -> float:
    """Raises Reject."""
    if not isinstance(value, int | float) or not 0 <= value <= SECONDS_MAX or not (value or may_be_zero):
        least = "from" if may_be_zero else "above"
        raise Reject(f"{what} is a number of seconds {least} 0 to {SECONDS_MAX}, not {value!r:.60}")
    return float(value)


def whole(what: str, value: object, least: int) -> int:
    """Raises Reject."""
    if not isinstance(value, int) or not least <= value <= WHOLE_MAX:
        raise Reject(f"{what} is a whole number from {least} to {WHOLE_MAX}, not {value!r:.60}")
    return int(value)
