"""Plans: what the caller's side of a recipe does, as data.

A plan is a generator that yields calls to make and pauses to take. So one and the same plan is run by a
thread, by an asyncio task, and in tests by a simulated client on virtual time.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

R = TypeVar("R")
Clock: TypeAlias = Callable[[], float]
"""Seconds that never go back."""


class Ask(NamedTuple):
    """Make this call of a handle; the plan continues with its result or its error."""

    call: Any
    args: tuple[Any, ...]
    timeout: float | None = None
    """Seconds; None: as the client was opened."""

    @property
    def made(self) -> Any:
        return self.call if self.timeout is None else self.call.options(timeout=self.timeout)


class Pause(NamedTuple):
    seconds: float


Plan: TypeAlias = Generator[Ask | Pause, Any, R]


def run(plan: Plan[R]) -> R:
    """Carry it out in this thread."""
    resume: Callable[[], Ask | Pause] = plan.__next__
    try:
        while True:
            step = resume()
            try:
                value = None
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                else:
                    value = step.made(*step.args)
            except BaseException as error:
                resume = partial(plan.throw, error)
            else:
                resume = partial(plan.send, value)
    except StopIteration as end:
        result: R = end.value
        return result


async def run_aio(plan: Plan[R]) -> R:
    """Carry it out in this task."""
    resume: Callable[[], Ask | Pause] = plan.__next__
    try:
        while True:
            step = resume()
            try:
                value = None
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                else:
                    value = await step.made.aio(*step.args)
            except BaseException as error:
                resume = partial(plan.throw, error)
            else:
                resume = partial(plan.send, value)
    except StopIteration as end:
        result: R = end.value
        return result
