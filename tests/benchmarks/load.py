"""Callers: threads that block, one thread that pipelines, asyncio tasks; so many calls are under way."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle
from operator import methodcaller
from queue import SimpleQueue
from typing import Any, TypeAlias

from msgspec import Struct

from tests.benchmarks.figures import Figures, times_ms

TIMED_EVERY = 16
"""Of the calls of a pipeline, which has no time to look at its clock for each."""

Around: TypeAlias = AbstractContextManager[object]
"""Entered when all callers are ready, left when the last one is answered."""
Submit: TypeAlias = Callable[[Callable[[Any], None]], object]
"""Sends one call, which tells its outcome to the function given."""


class Load(Struct, frozen=True):
    count: int
    seconds: float
    times_ms: list[float]
    """Sorted."""

    def figures(self) -> Figures:
        return {"per_s": self.count / self.seconds} | times_ms(self.times_ms)


def turns(calls: Sequence[Any], caller: int) -> Iterator[Any]:
    """All of the calls, again and again; each caller begins elsewhere."""
    first = caller % len(calls)
    return cycle([*calls[first:], *calls[:first]])


def blocking(
    calls: Sequence[Callable[[], object]], callers: int, seconds: float, around: Around | None = None
) -> Load:
    """Threads, each with one call at a time."""
    times: list[list[float]] = [[] for _ in range(callers)]
    failures: list[BaseException] = []
    go = threading.Event()
    until = 0.0

    def work(caller: int) -> None:
        go.wait()
        try:
            for call in turns(calls, caller):
                begun = time.perf_counter()
                if begun >= until:
                    return
                call()
                times[caller].append((time.perf_counter() - begun) * 1000)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    with around or nullcontext():
        begun = time.perf_counter()
        until = begun + seconds
        go.set()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begun
    if failures:
        raise failures[0]
    answered = sorted(one for mine in times for one in mine)
    return Load(len(answered), took, answered)


def pipelined(
    submits: Sequence[Submit],
    callers: int,
    seconds: float,
    around: Around | None = None,
    check: Callable[[Any], object] = methodcaller("result"),
) -> Load:
    """One thread. `check` is given each outcome, and raises if the call has failed."""
    outcomes: SimpleQueue[Any] = SimpleQueue()
    times: list[float] = []

    def timed(begun: float) -> Callable[[Any], None]:
        def done(outcome: Any) -> None:
            times.append((time.perf_counter() - begun) * 1000)
            outcomes.put(outcome)

        return done

    with around or nullcontext():
        begun = now = time.perf_counter()
        until, count = begun + seconds, 0
        for submit in turns(submits, 0):
            if count >= callers:
                check(outcomes.get())
            if count % TIMED_EVERY == 0:
                now = time.perf_counter()
                if now >= until:
                    break
                submit(timed(now))
            else:
                submit(outcomes.put)
            count += 1
        for _ in range(min(callers, count) - (count >= callers)):
            check(outcomes.get())
        took = time.perf_counter() - begun
    return Load(count, took, sorted(times))


def awaited(
    calls: Sequence[Callable[[], Awaitable[object]]],
    callers: int,
    seconds: float,
    around: Around | None = None,
) -> Load:
    """Tasks of one asyncio loop, each with one call at a time."""
    return asyncio.run(await_calls(calls, callers, seconds, around))


async def await_calls(
    calls: Sequence[Callable[[], Awaitable[object]]],
    callers: int,
    seconds: float,
    around: Around | None = None,
) -> Load:
    times: list[float] = []
    clock = time.perf_counter

    async def work(caller: int) -> None:
        for call in turns(calls, caller):
            begun = clock()
            if begun >= until:
                return
            await call()
            times.append((clock() - begun) * 1000)

    with around or nullcontext():
        begun = clock()
        until = begun + seconds
        await asyncio.gather(*(work(caller) for caller in range(callers)))
        took = clock() - begun
    return Load(len(times), took, sorted(times))
