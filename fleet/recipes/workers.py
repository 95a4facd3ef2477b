"""Workers of a JobQueue: they take jobs that are pushed to them, run a function for each, and settle them."""

import asyncio
import inspect
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar, copy_context
from time import monotonic
from typing import Any, Generic, TypeVar

from fleet.errors import (
    ClientClosed,
    ConfigError,
    FleetError,
    LeaseLost,
    NoSuchGroup,
    OutcomeUnknown,
    Rejected,
)
from fleet.objects.payload import message_of
from fleet.recipes.job_queue import CANCELLED, SAY, Assigned, JobQueue, Outcome, kind_of

log = logging.getLogger("fleet.recipes")
F = TypeVar("F", bound=Callable[..., Any])
BATCH_MAX = 256
"""Jobs that are settled by one command."""
SETTLING_MAX = 8
"""Such commands under way."""
RENEWALS = 3
"""Heartbeats in the time of a lease."""
SETTLED_MAX = 10_000
SOON_S = 0.005
"""After a time that the group named: the clocks differ."""
PAUSE_S = 0.1
"""Before the group is asked again that could not answer."""


class RunningJob:
    """The job that a worker's function runs for: `fleet.recipes.current_job()`."""

    def __init__(self, assigned: Assigned) -> None:
        self.id, self.token, self.attempt, self.payload = assigned
        self.is_lost = False
        """Whether somebody else may have it: whatever comes of it here is refused."""
        self.has_begun = False
        self.task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raises LeaseLost."""
        if self.is_lost:
            what = f"job {self.id} was cancelled, or may be another worker's"
            raise LeaseLost(what, name=str(self.id), token=self.token)


_current: ContextVar[RunningJob] = ContextVar("fleet.recipes.job")


def current_job() -> RunningJob:
    """Raises LookupError outside of a worker's function."""
    return _current.get()


class QueueWorker(Generic[F]):
    """What `fleet.worker` makes of a function. Called, it is still that function.

    `run()` works in this thread until `stop()` is called in another one, or by a signal's handler; `start()`
    works in a thread of its own; `await run_aio()` in a task. A function that raises fails its job.
    """

    def __init__(
        self, function: F, queue: JobQueue, concurrency: int, lease: float, prefetch: int, name: str
    ) -> None:
        if concurrency < 1 or prefetch < 0 or not lease > 0:
            raise ConfigError("a worker's concurrency is 1 at least, its lease more than 0 seconds")
        self.function = function
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.name = name or f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(6)}"
        """Under which the queue knows it."""
        self._queue = queue
        self._concurrency = concurrency
        self._capacity = concurrency + prefetch
        self._lease = lease
        self._is_async = inspect.iscoroutinefunction(function)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._is_stopped = False
        self.ready = threading.Event()
        """Set once it is attached: jobs are pushed to it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    # -- running ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """Raises NoSuchGroup, ClientClosed: there is no queue any more."""
        asyncio.run(self.run_aio())

    def start(self) -> "QueueWorker[F]":
        """In a thread; returns when it is attached. Raises what `run` raises at once."""
        failed: list[BaseException] = []

        def run() -> None:
            try:
                self.run()
            except BaseException as error:
                failed.append(error)
                log.error("worker %s ends: %s", self.name, error)
            finally:
                self.ready.set()

        self._thread = threading.Thread(target=run, name=f"fleet.worker {self.name}", daemon=True)
        self._thread.start()
        self.ready.wait()
        if failed:
            raise failed[0]
        return self

    def stop(self, timeout: float | None = None) -> None:
        """Take no more jobs, finish those that run, give the others back. Waits for that after `start`.
        Idempotent."""
        self._is_stopped = True
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stopping.set)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def __enter__(self) -> "QueueWorker[F]":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def run_aio(self) -> None:
        """As `run`. Cancelled, it stops at once, and its jobs are others' after the lease."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        if self._is_stopped:
            return
        shift = Shift(self, self._stopping)
        try:
            await shift.work()
        finally:
            self._loop = self._stopping = None


class Shift:
    """One run of a worker."""

    def __init__(self, worker: "QueueWorker[Any]", stopping: asyncio.Event) -> None:
        self.worker = worker
        self.queue: Any = worker._queue
        self.stopping = stopping
        self.jobs: dict[int, RunningJob] = {}
        """That it has and that are not settled, by number."""
        self.settled: dict[int, int] = {}
        """Tokens of jobs that were settled since it attached, by number, the latest."""
        self.attached_at = 0
        """The revision of its last `attach`: what was assigned before is in that answer."""
        self.heard_at = monotonic()
        self.say = asyncio.Event()
        """Set when the group is to hear of it before the next heartbeat."""
        self.room = asyncio.Semaphore(worker._concurrency)
        self.outcomes: asyncio.Queue[tuple[RunningJob, str | None]] = asyncio.Queue()
        self.settling: set[asyncio.Task[None]] = set()
        self.threads = (
            None if worker._is_async else ThreadPoolExecutor(worker._concurrency, f"job of {worker.name}")
        )

    async def work(self) -> None:
        parts = self._receive(), self._keep(), self._settle_all()
        own: list[asyncio.Task[Any]] = [asyncio.create_task(part) for part in parts]
        stop: asyncio.Task[Any] = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait((*own, stop), return_when=asyncio.FIRST_COMPLETED)
            for task in own:
                if task.done():
                    task.result()  # raises
            own[0].cancel()
            await self._finish()
        finally:
            for task in (*own, stop, *(job.task for job in self.jobs.values() if job.task is not None)):
                task.cancel()
            if self.threads is not None:
                self.threads.shutdown(wait=False, cancel_futures=True)

    async def _finish(self) -> None:
        """Jobs that have not begun are given back; those that run come to their end."""
        for job in list(self.jobs.values()):
            if job.task is not None and not job.has_begun:
                job.task.cancel()
                self.jobs.pop(job.id, None)
        while self.jobs or self.settling or not self.outcomes.empty():
            await asyncio.sleep(0.005)
        try:
            await self.queue.detach.aio(self.worker.name)
        except FleetError as error:
            log.warning("worker %s did not detach, its lease ends that: %s", self.worker.name, error)

    # -- what it is told -------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Again from the beginning, whatever goes wrong: what it has is told when it attaches."""
        kind = kind_of(self.worker.name)
        while True:
            try:
                async with self.queue.watch(kinds=(kind,)) as events:
                    await self._attach()
                    self.worker.ready.set()
                    async for event in events:
                        if event.revision > self.attached_at:
                            self._take(Assigned(*event.value))
            except (NoSuchGroup, ClientClosed):
                raise
            except FleetError as error:
                log.warning("worker %s attaches again: %s", self.worker.name, error)
                await asyncio.sleep(PAUSE_S)

    async def _attach(self) -> None:
        worker, asked_at = self.worker, monotonic()
        call = self.queue.attach.aio_with_revision(worker.name, worker._capacity, worker._lease)
        held, self.attached_at = await call
        self.heard_at = asked_at
        tokens = {one.id: one.token for one in held}
        for job in list(self.jobs.values()):
            if job.token <= self.attached_at and tokens.get(job.id) != job.token:
                self._lose(job)
        for one in held:
            if self.settled.get(one.id) != one.token:
                self._take(one)
        self.settled.clear()

    def _take(self, assigned: Assigned) -> None:
        known = self.jobs.get(assigned.id)
        if assigned.attempt == SAY:
            asyncio.get_running_loop().call_later(assigned.payload + SOON_S, self.say.set)
        elif assigned.attempt == CANCELLED:
            if known is not None and known.token == assigned.token:
                self._lose(known)
        elif known is None or known.token < assigned.token:
            if known is not None:
                self._lose(known)
            job = self.jobs[assigned.id] = RunningJob(assigned)
            job.task = asyncio.create_task(self._run(job))

    def _lose(self, job: RunningJob) -> None:
        job.is_lost = True
        if self.jobs.get(job.id) is job:
            del self.jobs[job.id]
        if job.task is not None and self.threads is None:
            job.task.cancel()

    async def _keep(self) -> None:
        """Renew its leases. Jobs of leases that could not be renewed in time are lost."""
        worker = self.worker
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.say.wait(), worker._lease / RENEWALS)
            self.say.clear()
            if not worker.ready.is_set():
                continue
            asked_at = monotonic()
            try:
                await self.queue.heartbeat.options(timeout=worker._lease).aio(worker.name)
                self.heard_at = asked_at
            except Rejected:
                for job in list(self.jobs.values()):
                    self._lose(job)
                await self._attach_again()
            except (NoSuchGroup, ClientClosed):
                raise
            except FleetError as error:
                log.warning("worker %s could not renew its leases: %s", worker.name, error)
                if monotonic() - self.heard_at > worker._lease:
                    for job in list(self.jobs.values()):
                        self._lose(job)

    async def _attach_again(self) -> None:
        try:
            await self._attach()
        except FleetError as error:  # the next heartbeat is rejected, too
            log.warning("worker %s could not attach again: %s", self.worker.name, error)

    # -- jobs ------------------------------------------------------------------------------------------

    async def _run(self, job: RunningJob) -> None:
        async with self.room:
            if job.is_lost:
                return
            job.has_begun = True
            error = await self._error_of(job)
        if not job.is_lost:
            self.outcomes.put_nowait((job, error))

    async def _error_of(self, job: RunningJob) -> str | None:
        _current.set(job)
        try:
            if self.threads is None:
                await self.worker.function(job.payload)
            else:
                context = copy_context()
                run = self.worker.function
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self.threads, context.run, run, job.payload)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("job %d of worker %s failed", job.id, self.worker.name, exc_info=True)
            return f"{type(error).__name__}: {message_of(error)}"
        return None

    async def _settle_all(self) -> None:
        """Many by one command, and as many commands under way as are good for both."""
        limit = asyncio.Semaphore(SETTLING_MAX)
        while True:
            some = [await self.outcomes.get()]
            await limit.acquire()
            while len(some) < BATCH_MAX and not self.outcomes.empty():
                some.append(self.outcomes.get_nowait())
            task = asyncio.create_task(self._settle(some))
            self.settling.add(task)
            task.add_done_callback(self.settling.discard)
            task.add_done_callback(lambda _: limit.release())

    async def _settle(self, some: list[tuple[RunningJob, str | None]]) -> None:
        outcomes: list[Outcome] = [(job.id, job.token, error) for job, error in some]
        try:
            refused = await self._settled(outcomes)
        except FleetError as error:
            log.warning("worker %s could not settle %d jobs: %s", self.worker.name, len(some), error)
            refused = []
        if refused:
            log.warning("worker %s: jobs %s were others' by the time they ended", self.worker.name, refused)
        for job, _ in some:
            self.settled[job.id] = job.token
            if len(self.settled) > SETTLED_MAX:
                del self.settled[next(iter(self.settled))]
            if self.jobs.get(job.id) is job:
                del self.jobs[job.id]

    async def _settled(self, outcomes: list[Outcome]) -> list[int]:
        """Until the group answers, or the leases are over for sure."""
        call = self.queue.settle.options(timeout=self.worker._lease)
        pause = PAUSE_S
        while True:
            try:
                told: list[int] = await call.aio(self.worker.name, outcomes)
                return told
            except OutcomeUnknown as error:
                told = await error.again_aio(self.worker._lease)
                return told
            except (NoSuchGroup, ClientClosed):
                raise
            except FleetError:
                if monotonic() - self.heard_at > 2 * self.worker._lease:
                    raise
                await asyncio.sleep(pause)


def worker(
    queue: JobQueue, *, concurrency: int = 8, lease: float = 60.0, prefetch: int | None = None, name: str = ""
) -> Callable[[F], QueueWorker[F]]:
    """Make a worker of a function that takes a job's payload:

        @fleet.worker(emails, concurrency=8)
        def send(email: Email) -> None: ...

        send.run()

    An async function runs in a task, any other in a thread; `concurrency` of them at a time. A function that
    raises fails the job, which is tried again later. `lease`: seconds after which its jobs are others' when
    nothing is heard of it, as after a kill. `prefetch`: so many more jobs are pushed to it, by default as
    many as run at a time; they wait here, and not for a round to the group. `name`: under which the queue
    knows it; two that run at a time need two.
    """

    def make(function: F) -> QueueWorker[F]:
        ahead = concurrency if prefetch is None else prefetch
        return QueueWorker(function, queue, concurrency, lease, ahead, name)

    return make
