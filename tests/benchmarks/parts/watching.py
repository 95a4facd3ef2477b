"""Events that are pushed to watchers, and jobs to workers."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import fleet
from fleet.recipes import JobQueue
from tests.benchmarks.figures import Case, Figures, Row, Scale, measured, share, timed_ms, times_ms
from tests.benchmarks.nodes import Bench, three_nodes
from tests.support.classes import Feed

WORKERS = 4
WORKING = 256
"""Jobs of a worker at a time, and as many that wait there."""
PUTTING = 1024
"""Under way."""
WATCHERS = 5000
CLIENTS = 5
SETTLED_S = 0.03
NUMBERS = count(1)


def rows(scale: Scale) -> Iterator[Row]:
    """A queue's jobs, from `put` to the worker and until they are settled; 5,000 watchers of one group."""
    with three_nodes() as bench:
        cases = [
            Case("a lone put, until it returns", lambda: times_ms(lone_puts(bench, scale.repeats // 4))),
            Case("a lone job, from put to its function", lambda: lone_jobs(bench, scale.repeats // 4)),
            Case(
                f"jobs put, pushed, settled; {WORKERS} workers, {PUTTING} puts under way",
                lambda: many_jobs(bench, scale.seconds),
            ),
            Case(
                "one watcher, from the command to the event",
                lambda: watch_times(bench, 1, scale.repeats // 4),
            ),
            Case(
                f"{WATCHERS} watchers of {CLIENTS} clients, until the last one has it",
                lambda: watch_times(bench, WATCHERS, 10),
            ),
        ]
        yield from measured(cases, scale.rounds)


@contextmanager
def working(bench: Bench, queue: str, workers: int, work: Any) -> Iterator[None]:
    """Async workers, each with a client of its own, in a thread with a loop."""
    clients = [bench.cluster.connect() for _ in range(workers)]
    made = [fleet.worker(client.group(queue, JobQueue), concurrency=WORKING)(work) for client in clients]
    try:
        for one in made:
            one.start()
        yield
    finally:
        for one in made:
            one.stop(30.0)
        for client in clients:
            client.close()


def new_queue(bench: Bench) -> JobQueue:
    name = f"queue-{next(NUMBERS)}"
    return bench.client.create_group(name, JobQueue)


def name_of(group: Any) -> str:
    return str(group.__dict__["_fleet_group"])


def lone_puts(bench: Bench, repeats: int) -> list[float]:
    queue = new_queue(bench)
    return timed_ms(lambda: queue.put(1), repeats)


def lone_jobs(bench: Bench, repeats: int) -> Figures:
    came = threading.Semaphore(0)
    times: list[float] = []

    async def work(sent_at: float) -> None:
        times.append((time.perf_counter() - sent_at) * 1000)
        came.release()

    queue = new_queue(bench)
    with working(bench, name_of(queue), 1, work):
        for _ in range(repeats):
            queue.put(time.perf_counter())
            assert came.acquire(timeout=30.0)
            time.sleep(SETTLED_S)  # else the next one shares its disk with the end of this one
    return times_ms(sorted(times))


def many_jobs(bench: Bench, seconds: float) -> Figures:
    async def work(payload: int) -> None:
        """Nothing: the queue is measured."""

    queue = new_queue(bench)
    room = threading.Semaphore(PUTTING)
    put = 0
    with working(bench, name_of(queue), WORKERS, work):
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            room.acquire()
            queue.put.submit(put).add_done_callback(lambda _: room.release())
            put += 1
        while queue.statistics().get("done", 0) < put:
            time.sleep(0.005)
        taken = time.perf_counter() - begun
    assert queue.statistics()["done"] == put
    return {"per_s": put / taken}


def watch_times(bench: Bench, watchers: int, repeats: int) -> Figures:
    """From the call of a command until the last watcher has its event."""
    clients = [bench.cluster.connect() for _ in range(min(watchers, CLIENTS))]
    feed = bench.client.create_group(f"feed-{next(NUMBERS)}", Feed)
    has_all, told = threading.Event(), 0
    is_ready = threading.Event()

    async def watch(group: Any, begun: asyncio.Semaphore) -> None:
        nonlocal told
        async with group.watch() as events:
            begun.release()
            async for _ in events:
                told += 1
                if told == watchers:
                    has_all.set()

    async def all_watch() -> None:
        begun = asyncio.Semaphore(0)
        groups = [client.group(name_of(feed), Feed) for client in clients]
        tasks = [
            asyncio.create_task(watch(groups[number % len(groups)], begun)) for number in range(watchers)
        ]
        for _ in tasks:
            await begun.acquire()
        is_ready.set()
        await stopping.wait()
        for task in tasks:
            task.cancel()

    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(all_watch(),))
    thread.start()
    try:
        assert is_ready.wait(30.0)
        times = []
        for _ in range(repeats):
            told = 0
            has_all.clear()
            begun = time.perf_counter()
            feed.write("kind", 1)
            assert has_all.wait(30.0)
            times.append((time.perf_counter() - begun) * 1000)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()
        for client in clients:
            client.close()
    return {"p50_ms": share(sorted(times), 0.5), "p99_ms": share(sorted(times), 0.99)}
