"""Workers whose functions, threads, links or queues fail them."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count, repeat
from typing import Any

import pytest

import fleet
from fleet.errors import (
    BadArguments,
    ConfigError,
    NoSuchGroup,
    NotAllowed,
    OutcomeUnknown,
    Rejected,
    TooLarge,
    Unavailable,
)
from fleet.recipes import Counters, JobQueue, QueueWorker, current_job
from fleet.recipes.running_jobs import WORDS_MAX, in_words
from tests.support.waiting import eventually

NAMES = count(1)


@pytest.fixture
def queue(client: fleet.Fleet) -> JobQueue:
    return client.create_group(f"faulty-{next(NAMES)}", JobQueue)


def works(queue: Any, function: Any, **options: Any) -> QueueWorker[Any, Any]:
    return fleet.worker(queue, **options)(function)


class Flaky:
    """A queue, one of whose commands fails at times; `is_executed`: all the same."""

    def __init__(
        self,
        queue: JobQueue,
        method: str,
        errors: Iterator[fleet.errors.FleetError],
        is_executed: bool = False,
    ) -> None:
        self.queue, self.method, self.errors, self.is_executed = queue, method, errors, is_executed
        self.asked: list[tuple[str, float | None]] = []
        """Methods, and the timeouts that they were given."""

    def error_of(self, args: tuple[Any, ...]) -> fleet.errors.FleetError | None:
        return next(self.errors, None)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.queue, name)
        return found if name == "watch" else FlakyCall(self, found, name, None)


class FlakyCall:
    def __init__(self, flaky: Flaky, call: Any, name: str, timeout: float | None) -> None:
        self.flaky, self.call, self.name, self.timeout = flaky, call, name, timeout

    def options(self, timeout: float) -> "FlakyCall":
        return FlakyCall(self.flaky, self.call.options(timeout=timeout), self.name, timeout)

    async def aio(self, *args: Any) -> Any:
        return await self._ask(self.call.aio, args)

    async def aio_with_revision(self, *args: Any) -> Any:
        return await self._ask(self.call.aio_with_revision, args)

    async def _ask(self, call: Any, args: tuple[Any, ...]) -> Any:
        flaky = self.flaky
        flaky.asked.append((self.name, self.timeout))
        error = flaky.error_of(args) if self.name == flaky.method else None
        if error is None:
            return await call(*args)
        if flaky.is_executed:
            await call(*args)
        raise error


# -- what functions raise -------------------------------------------------------------------------------


async def cancels_itself(payload: Any) -> None:
    raise asyncio.CancelledError("its own")


async def is_cancelled_by_itself(payload: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("its own")
    await asyncio.sleep(5.0)


async def exits(payload: Any) -> None:
    raise SystemExit(3)


def raises(error: BaseException, payload: Any) -> None:
    raise error


class Callable:
    async def __call__(self, payload: Any) -> None:
        raise ValueError("of an object that is called")


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (cancels_itself, "CancelledError: its own"),
        (is_cancelled_by_itself, "CancelledError"),
        (exits, "SystemExit: 3"),
        (partial(raises, asyncio.CancelledError("its own")), "CancelledError: its own"),
        (partial(raises, SystemExit(3)), "SystemExit: 3"),
        (partial(raises, KeyboardInterrupt()), "KeyboardInterrupt: "),
        (partial(raises, StopIteration(3)), "StopIteration: 3"),
        (partial(raises, GeneratorExit()), "GeneratorExit: "),
        (lambda payload: exits(payload), "TypeError: "),
        (Callable(), "ValueError: of an object that is called"),
    ],
)
def test_whatever_a_function_raises_fails_its_job_and_nothing_else(
    queue: JobQueue, function: Any, error: str
) -> None:
    with works(queue, function, concurrency=1):
        first = queue.put("a", attempts=2, backoff=0.0)
        second = queue.put("b", attempts=1)
        eventually(lambda: queue.statistics()["dead"] == 2, what="both to die")
    letters = queue.dead_letters()
    assert letters[first].error.startswith(error) and letters[first].attempt == 2
    assert letters[second].error.startswith(error)
    assert queue.statistics()["workers"] == 0


def test_a_cancelled_job_of_an_async_function_costs_it_no_attempt(queue: JobQueue) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work(payload: Any) -> None:
        begun.set()
        try:
            await asyncio.sleep(30.0)
        finally:
            ended.set()

    with works(queue, work):
        number = queue.put("a")
        assert begun.wait(5.0) and queue.cancel(number) and ended.wait(5.0)
    assert queue.statistics().get("failed", 0) == 0


# -- payloads -------------------------------------------------------------------------------------------


class Strange:
    """No worker's thread can load it."""

    def __reduce__(self) -> Any:
        return load_strange, ()


def load_strange() -> Strange:
    if threading.current_thread().name.startswith("fleet.worker"):
        raise ImportError("no module named strange")
    return Strange()


def test_a_payload_that_cannot_be_loaded_fails_its_own_job(queue: JobQueue) -> None:
    done: list[Any] = []
    before = queue.put_many([1, Strange(), 2])[1]
    with works(queue, done.append):
        behind = queue.put(Strange(), attempts=1)
        queue.put(3)
        eventually(lambda: len(done) == 3 and queue.statistics()["dead"] == 1, what="all to be settled")
        assert "NotDecodable: " in queue.dead_letters()[behind].error
        job = queue.job(before)
        assert job is not None and "no module named strange" in job.error
        assert queue.statistics()["failed"] >= 2
    assert sorted(done) == [1, 2, 3]


# -- threads --------------------------------------------------------------------------------------------


def test_threads_that_begin_nothing_any_more_fail_no_job(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of the interpreter, when a worker's own thread still runs."""
    done: list[int] = []

    class Ending(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            if done:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            return super().submit(*args, **kwargs)

    monkeypatch.setattr("fleet.recipes.worker_runs.ThreadPoolExecutor", Ending)
    queue.put_many(list(range(20)))
    worker = works(queue, done.append, concurrency=1).start()
    assert worker._thread is not None
    worker._thread.join(10.0)
    counts = queue.statistics()
    assert not worker._thread.is_alive() and counts["workers"] == 0
    assert counts["waiting"] == 20 - counts["done"] and "failed" not in counts and done


# -- links and queues -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OutcomeUnknown("perhaps"), Unavailable("nobody leads")])
def test_a_job_is_settled_however_often_that_fails(queue: JobQueue, error: Any) -> None:
    flaky = Flaky(queue, "settle", iter([error] * 3))
    with works(flaky, lambda payload: None, lease=0.3):
        queue.put("a", attempts=1)
        eventually(lambda: queue.statistics().get("done") == 1, what="it to be settled")
    assert [name for name, _ in flaky.asked].count("settle") >= 4


def test_a_heartbeat_waits_no_longer_than_its_leases_last(queue: JobQueue) -> None:
    begun, lost = threading.Event(), threading.Event()

    def work(payload: Any) -> None:
        job = current_job()
        begun.set()
        eventually(lambda: job.is_lost, what="it to be lost")
        lost.set()

    lease = 0.6
    flaky = Flaky(queue, "heartbeat", (Unavailable("no link") for _ in range(6)))
    with works(flaky, work, lease=lease):
        queue.put("a", attempts=1)
        assert begun.wait(5.0) and lost.wait(5.0)
    timeouts = [timeout for name, timeout in flaky.asked if name == "heartbeat" and timeout]
    assert timeouts[0] < 0.75 * lease and timeouts[1] < 0.4 * lease


def test_jobs_that_a_worker_gave_up_and_the_queue_did_not_are_done(queue: JobQueue) -> None:
    """Heartbeats were executed and their answers lost: the worker, which heard of no renewal, gave up its
    jobs, the queue left them to it, and nobody did them as long as it lived."""
    tokens: list[int] = []

    def work(payload: Any) -> None:
        job = current_job()
        tokens.append(job.token)
        if len(tokens) == 1:
            eventually(lambda: job.is_lost, what="it to be lost")

    flaky = Flaky(queue, "heartbeat", repeat(OutcomeUnknown("no answer"), 4), is_executed=True)
    with works(flaky, work, lease=1.2, concurrency=1, prefetch=0):
        queue.put("a", attempts=9)
        eventually(lambda: queue.statistics().get("done") == 1, what="it to be done after all")
    assert len(tokens) == len(set(tokens)) > 1


def test_a_worker_that_stops_takes_no_new_lease(queue: JobQueue) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work(payload: Any) -> None:
        begun.set()
        may_end.wait(5.0)

    errors: list[fleet.errors.FleetError] = []
    flaky = Flaky(queue, "heartbeat", iter(errors.pop, None))
    errors += [Rejected("attach again")] * 100
    worker = works(flaky, work, lease=0.3, concurrency=1)
    may_stop = threading.Thread(target=worker.stop)
    flaky.method = ""
    worker.start()
    queue.put_many(["a", "b"])
    assert begun.wait(5.0)
    flaky.method = "heartbeat"
    may_stop.start()
    eventually(lambda: "heartbeat" in [name for name, _ in flaky.asked[1:]], what="a heartbeat")
    may_stop.join(5.0)
    may_end.set()
    assert not may_stop.is_alive()
    assert [name for name, _ in flaky.asked].count("attach") == 1


def test_a_worker_that_stops_ends_when_its_queue_is_gone(client: fleet.Fleet, queue: JobQueue) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work(payload: Any) -> None:
        begun.set()
        may_end.wait(5.0)

    worker = works(queue, work, lease=1.0).start()
    queue.put("a")
    assert begun.wait(5.0)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    client.remove_group(queue.__dict__["_fleet_group"])
    may_end.set()
    stopping.join(10.0)
    assert not stopping.is_alive()


def test_a_worker_of_what_is_no_queue_says_so(client: fleet.Fleet) -> None:
    name = f"faulty-{next(NAMES)}"
    client.create_group(name, Counters)
    with pytest.raises(BadArguments, match="attach"):
        works(client.group(name, JobQueue), print).start()
    with pytest.raises(NoSuchGroup):
        works(client.group("nowhere", JobQueue), print).run()


class Narrow(Flaky):
    """One outcome is as much as it takes."""

    def error_of(self, args: tuple[Any, ...]) -> fleet.errors.FleetError | None:
        _, outcomes = args
        return TooLarge("too many bytes") if len(outcomes) > 1 else None


def test_outcomes_that_are_too_large_together_are_settled_by_halves(queue: JobQueue) -> None:
    """They were sent again for ever, and the jobs stayed with the worker."""
    worker = works(Narrow(queue, "settle", iter(())), lambda payload: None, concurrency=8).start()
    try:
        queue.put_many([*range(200)])
        eventually(lambda: queue.statistics().get("done") == 200, what="all to be settled")
    finally:
        worker.stop(5.0)


def test_words_of_an_error_are_cut() -> None:
    assert len(in_words(ValueError("x" * 10_000))) == WORDS_MAX


def test_a_worker_that_may_not_send_commands_says_so(queue: JobQueue) -> None:
    """It attached again and again, and never returned."""
    flaky = Flaky(queue, "attach", repeat(NotAllowed("the role reader may not send commands")))
    worker, told = works(flaky, print), list[NotAllowed]()

    def start() -> None:
        try:
            worker.start()
        except NotAllowed as error:
            told.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    starting.join(5.0)
    worker.stop(5.0)
    assert len(told) == 1


# -- runs and names -------------------------------------------------------------------------------------


def test_two_workers_of_one_name_are_two(queue: JobQueue) -> None:
    together = threading.Barrier(3)

    def work(payload: Any) -> None:
        together.wait(5.0)

    with works(queue, work, name="sender", concurrency=1), works(queue, work, name="sender", concurrency=1):
        queue.put_many([1, 2])
        together.wait(5.0)
        eventually(lambda: queue.statistics().get("done") == 2, what="each to do one")
        assert queue.statistics()["workers"] == 2


def test_a_worker_runs_once(queue: JobQueue) -> None:
    worker = works(queue, print).start()
    with pytest.raises(ConfigError, match="runs already"):
        worker.start()
    with pytest.raises(ConfigError, match="runs already"):
        worker.run()
    worker.stop()
    worker.stop()
    with pytest.raises(ConfigError, match="was stopped"):
        worker.start()
    worker.run()
    assert queue.statistics()["workers"] == 0


@pytest.mark.parametrize("name", ["n" * 190, "\udc80", 7])
def test_a_name_that_no_queue_takes_is_refused_at_once(queue: JobQueue, name: Any) -> None:
    with pytest.raises(ConfigError, match="a worker's name is"):
        works(queue, print, name=name)
