"""Workers of a queue, on one node in this process."""

import asyncio
import threading
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

import fleet
import fleet.aio
from fleet.errors import ConfigError, LeaseLost, NoSuchGroup
from fleet.recipes import JobQueue, current_job
from tests.support.waiting import eventually

NAMES = count(1)


@pytest.fixture
def queue(client: fleet.Fleet) -> JobQueue:
    return client.create_group(f"jobs-{next(NAMES)}", JobQueue)


@pytest.fixture
def stopping() -> Iterator[list[Any]]:
    """Workers to stop, however the test ends."""
    workers: list[Any] = []
    yield workers
    for worker in workers:
        worker.stop(5.0)


def test_a_function_works_in_threads(queue: JobQueue) -> None:
    done: list[int] = []
    together = threading.Barrier(4)

    @fleet.worker(queue, concurrency=4)
    def work(number: int) -> None:
        if number < 4:
            together.wait(5.0)
        done.append(number)

    work(9)
    assert done.pop() == 9, "it is still the function"
    for number in range(20):
        queue.put(number)
    with work:
        eventually(lambda: queue.statistics().get("done") == 20, what="all to be done")
    assert sorted(done) == list(range(20))
    counts = queue.statistics()
    assert counts["workers"] == counts["running"] == counts["waiting"] == 0


def test_an_async_function_works_in_tasks(node: fleet.Node, queue: JobQueue) -> None:
    done: list[int] = []

    async def main() -> None:
        begun = asyncio.Event()

        @fleet.worker(queue, concurrency=50)
        async def work(number: int) -> None:
            done.append(number)
            if len(done) == 50:
                begun.set()
            await begun.wait()

        working = asyncio.create_task(work.run_aio())
        await queue.put_many.aio(list(range(50)))
        while (await queue.statistics.aio()).get("done") != 50:
            await asyncio.sleep(0.005)
        work.stop()
        await working

    asyncio.run(asyncio.wait_for(main(), 14))
    assert sorted(done) == list(range(50))


def test_a_job_is_pushed_at_once(queue: JobQueue) -> None:
    came: list[float] = []
    arrived = threading.Semaphore(0)

    @fleet.worker(queue)
    def work(sent_at: float) -> None:
        came.append(time.monotonic() - sent_at)
        arrived.release()

    with work:
        for _ in range(20):
            queue.put(time.monotonic())
            assert arrived.acquire(timeout=5.0)
    assert sorted(came)[10] < 0.25


def test_a_function_that_raises_fails_its_job(queue: JobQueue) -> None:
    tried: list[int] = []

    @fleet.worker(queue)
    def work(payload: str) -> None:
        tried.append(current_job().attempt)
        raise ValueError(f"no {payload}")

    with work:
        number = queue.put("a", attempts=2, backoff=0.05)
        eventually(lambda: bool(queue.dead_letters()), what="it to die")
    assert tried == [1, 2] and queue.dead_letters()[number].error == "ValueError: no a"
    with pytest.raises(LookupError):
        current_job()


def test_delays_end_in_time_although_heartbeats_come_seldom(queue: JobQueue) -> None:
    came: list[float] = []

    @fleet.worker(queue)
    def work(number: int) -> None:
        came.append(time.monotonic())

    with work:
        begun = time.monotonic()
        for number in range(3):
            queue.put(number, delay=0.1 * (3 - number))
        eventually(lambda: len(came) == 3, 10.0)
    assert all(at - begun >= 0.09 * (number + 1) for number, at in enumerate(came))
    assert queue.statistics()["done"] == 3


def test_a_worker_that_stops_finishes_what_runs_and_gives_back_what_waits(queue: JobQueue) -> None:
    may_end, begun, done = threading.Event(), threading.Event(), []

    @fleet.worker(queue, concurrency=1, prefetch=5)
    def work(number: int) -> None:
        begun.set()
        may_end.wait(5.0)
        done.append(number)

    work.start()
    queue.put_many([1, 2, 3])
    assert begun.wait(5.0)
    eventually(lambda: queue.statistics()["running"] == 3, what="all to be pushed")
    threading.Timer(0.05, may_end.set).start()
    work.stop(10.0)
    assert done == [1]
    counts = queue.statistics()
    assert (counts["done"], counts["waiting"], counts["workers"]) == (1, 2, 0)


def test_a_cancelled_job_is_told_so(queue: JobQueue, stopping: list[Any]) -> None:
    begun, seen = threading.Event(), threading.Event()

    @fleet.worker(queue)
    def work(number: int) -> None:
        job = current_job()
        begun.set()
        eventually(lambda: job.is_lost, 5.0)
        with pytest.raises(LeaseLost):
            job.check()
        seen.set()

    stopping.append(work.start())
    number = queue.put(1)
    assert begun.wait(5.0) and queue.cancel(number) and seen.wait(5.0)
    assert "done" not in queue.statistics()


def test_a_worker_that_stood_still_for_too_long_is_refused(queue: JobQueue, stopping: list[Any]) -> None:
    """Its process stands still, as by SIGSTOP: its loop does, and so do its heartbeats."""
    begun, may_end, done = threading.Event(), threading.Event(), []
    stuck = threading.Event()

    @fleet.worker(queue, lease=0.5)
    def slow(number: int) -> None:
        begun.set()
        may_end.wait(10.0)

    @fleet.worker(queue, lease=0.5)
    def other(number: int) -> None:
        done.append(number)

    stopping.append(slow.start())
    queue.put(7, backoff=0.01)
    assert begun.wait(5.0)
    assert slow._loop is not None
    slow._loop.call_soon_threadsafe(stuck.wait, 10.0)
    stopping.append(other.start())
    eventually(lambda: queue.statistics().get("done") == 1, what="the other one to do it")
    may_end.set()
    stuck.set()
    eventually(lambda: queue.statistics()["workers"] == 2, what="it to attach again")
    queue.put(8)
    eventually(lambda: queue.statistics().get("done") == 2, what="both to work")
    assert done[0] == 7 and queue.statistics()["expired"] == 1


def test_a_worker_of_no_queue_says_so(client: fleet.Fleet, queue: JobQueue) -> None:
    with pytest.raises(NoSuchGroup):
        fleet.worker(client.group("nowhere", JobQueue))(print).start()
    with pytest.raises(ConfigError, match="concurrency"):
        fleet.worker(queue, concurrency=0)(print)
