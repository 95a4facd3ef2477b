"""A job that a worker's function runs for, and what comes of the function."""

import asyncio
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from fleet.errors import LeaseLost
from fleet.objects.described import message_of
from fleet.recipes.jobs import Assigned

WORDS_MAX = 500
"""Characters of an error: many jobs are settled by one command."""


class RunningJob:
    """The job that a worker's function runs for: `fleet.recipes.current_job()`."""

    def __init__(self, assigned: Assigned, payload: Any) -> None:
        self.id, self.token, self.attempt, _ = assigned
        self.payload = payload
        self.is_lost = False
        """Whether somebody else may have it: whatever comes of it here is refused."""
        self.has_begun = False
        self.is_cancelled = False
        """Whether its task was cancelled by the worker, and not by the function itself."""
        self.task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raises LeaseLost."""
        if self.is_lost:
            what = f"job {self.id} was cancelled, or may be another worker's"
            raise LeaseLost(what, name=str(self.id), token=self.token)

    def cancel(self) -> None:
        self.is_cancelled = True
        if self.task is not None:
            self.task.cancel()


current: ContextVar[RunningJob] = ContextVar("fleet.recipes.job")


def current_job() -> RunningJob:
    """Raises LookupError outside of a worker's function."""
    return current.get()


def is_async(function: Callable[..., Any]) -> bool:
    """Also an object whose `__call__` is."""
    called = getattr(function, "__call__", None)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def error_of(function: Callable[[Any], Any], payload: Any) -> BaseException | None:
    """What it raises, of any kind: out of a pool, SystemExit would end the loop that waits for it, and
    StopIteration never reach it."""
    try:
        result = function(payload)
    except BaseException as error:
        return error
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        return TypeError(f"{function!r:.100} returned what is to be awaited: make it an async function")
    return None


async def error_of_async(function: Callable[[Any], Any], job: RunningJob) -> BaseException | None:
    """Raises what ends the worker: that this cancelled the job, and KeyboardInterrupt."""
    try:
        await function(job.payload)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        if job.is_cancelled:
            raise
        return error
    except BaseException as error:
        return error
    return None


def in_words(error: BaseException) -> str:
    """For the queue, which keeps it."""
    return f"{type(error).__name__}: {message_of(error)}"[:WORDS_MAX]
