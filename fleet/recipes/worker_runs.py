"""One run of a queue's worker: it attaches, takes the jobs that are pushed to it, and settles them."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from fleet.errors import (
    BadArguments,
    ClientClosed,
    FleetError,
    NoSuchGroup,
    NotAllowed,
    NotDecodable,
    Rejected,
    TooLarge,
)
from fleet.objects.payload import decode_value
from fleet.recipes.jobs import CANCELLED, Assigned, Outcome, kind_of
from fleet.recipes.running_jobs import RunningJob, current, error_of, error_of_async, in_words

log = logging.getLogger("fleet.recipes")
BATCH_MAX = 256
"""Jobs that are settled by one command."""
SETTLING_MAX = 8
"""Such commands under way."""
RENEWALS = 3
"""Heartbeats in the time of a lease."""
SETTLED_MAX = 10_000
PAUSE_S = (0.1, 5.0)
"""Before the group is asked again that could not answer: at first, and at most."""


class WorkerOptions(NamedTuple):
    """What a worker does, and how."""

    function: Callable[[Any], Any]
    is_async: bool
    queue: Any
    name: str
    """Under which the queue knows this run of it, and no other."""
    concurrency: int
    prefetch: int
    lease: float
    on_attached: Callable[[], None]


class WorkerRun:
    def __init__(self, options: WorkerOptions, stopping: asyncio.Event) -> None:
        self.options = options
        self.queue = options.queue
        self.name = options.name
        self.stopping = stopping
        self.jobs: dict[int, RunningJob] = {}
        """That it has and that are not settled, by number."""
        self.settled: dict[int, int] = {}
        """Tokens of jobs that were settled since it attached, by number, the latest."""
        self.has_attached = False
        self.attached_at = 0
        """The revision of its last `attach`: what was assigned before is in that answer."""
        self.heard_at = monotonic()
        """When the last request left that renewed its leases."""
        self.gave_up = False
        """Whether it lost jobs by its own clock since it attached: the queue may still leave them to it."""
        self.room = asyncio.Semaphore(options.concurrency)
        self.outcomes: asyncio.Queue[tuple[RunningJob, str | None]] = asyncio.Queue()
        self.settling: set[asyncio.Task[None]] = set()
        self.threads = (
            None if options.is_async else ThreadPoolExecutor(options.concurrency, f"job of {self.name}")
        )

    async def work(self) -> None:
        """Until it is stopped. Raises what no further attempt would change."""
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
            for task in (*own, stop, *self.settling):
                task.cancel()
            for job in self.jobs.values():
                job.cancel()
            if self.threads is not None:
                self.threads.shutdown(wait=False, cancel_futures=True)

    async def _finish(self) -> None:
        """Jobs that have not begun are given back; those that run come to their end."""
        for job in list(self.jobs.values()):
            if job.task is not None and not job.has_begun:
                job.cancel()
                self.jobs.pop(job.id, None)
        while self.jobs or self.settling or not self.outcomes.empty():
            await asyncio.sleep(0.005)
        try:
            await self.queue.detach.aio(self.name)
        except FleetError as error:
            log.warning("worker %s did not detach, its lease ends that: %s", self.name, error)

    # -- what it is told -------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Again from the beginning, whatever goes wrong: what it has is told when it attaches."""
        kind = kind_of(self.name)
        while True:
            try:
                async with self.queue.watch(kinds=(kind,)) as events:
                    await self._attach()
                    self.has_attached = True
                    self.options.on_attached()
                    async for event in events:
                        if event.revision > self.attached_at:
                            self._take(Assigned(*event.value))
            except (NoSuchGroup, ClientClosed, Rejected, BadArguments, NotAllowed):
                raise
            except FleetError as error:
                log.warning("worker %s attaches again: %s", self.name, error)
                await asyncio.sleep(PAUSE_S[0])

    async def _attach(self) -> None:
        options, asked_at = self.options, monotonic()
        capacity = options.concurrency + options.prefetch
        if self.gave_up:
            await self.queue.detach.aio(self.name)  # one that it gets again has a new token
            self.gave_up = False
        call = self.queue.attach.aio_with_revision(self.name, capacity, options.lease)
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
        if assigned.attempt == CANCELLED:
            if known is not None and known.token == assigned.token:
                self._lose(known)
        elif known is None or known.token < assigned.token:
            if known is not None:
                self._lose(known)
            self._begin(assigned)

    def _begin(self, assigned: Assigned) -> None:
        try:
            job = RunningJob(assigned, decode_value(assigned.payload))
        except NotDecodable as error:
            log.warning("worker %s cannot load job %d: %s", self.name, assigned.id, error)
            job = self.jobs[assigned.id] = RunningJob(assigned, None)
            self.outcomes.put_nowait((job, in_words(error)))
            return
        self.jobs[assigned.id] = job
        job.task = asyncio.create_task(self._run(job))

    def _lose(self, job: RunningJob) -> None:
        job.is_lost = True
        if self.jobs.get(job.id) is job:
            del self.jobs[job.id]
        if self.threads is None:
            job.cancel()

    def _lose_all(self) -> None:
        for job in list(self.jobs.values()):
            self._lose(job)

    # -- leases ----------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Renew its leases. Jobs of leases that could not be renewed in time are lost, and given back."""
        lease = self.options.lease
        while True:
            await asyncio.sleep(lease / RENEWALS)
            if not self.has_attached:
                continue
            asked_at = monotonic()
            left = self.heard_at + lease - asked_at
            try:
                await self.queue.heartbeat.options(timeout=left if left > 0 else lease).aio(self.name)
                self.heard_at = asked_at
                if self.gave_up:
                    await self._attach_again()
            except Rejected:
                self._lose_all()
                await self._attach_again()
            except (NoSuchGroup, ClientClosed):
                raise
            except FleetError as error:
                log.warning("worker %s could not renew its leases: %s", self.name, error)
            if monotonic() - self.heard_at >= lease:
                self.gave_up = True
                self._lose_all()

    async def _attach_again(self) -> None:
        if self.stopping.is_set():
            return  # it would be given more
        try:
            await self._attach()
        except FleetError as error:  # the next heartbeat is rejected, too
            log.warning("worker %s could not attach again: %s", self.name, error)

    # -- jobs ------------------------------------------------------------------------------------------

    async def _run(self, job: RunningJob) -> None:
        async with self.room:
            if job.is_lost:
                return
            job.has_begun = True
            current.set(job)
            error = await self._outcome_of(job)
        if error is not None and not job.is_lost:
            log.warning("job %d of worker %s failed", job.id, self.name, exc_info=error)
        if not job.is_lost:
            self.outcomes.put_nowait((job, None if error is None else in_words(error)))

    async def _outcome_of(self, job: RunningJob) -> BaseException | None:
        if self.threads is None:
            return await error_of_async(self.options.function, job)
        called = partial(copy_context().run, error_of, self.options.function, job.payload)
        try:
            outcome = self.threads.submit(called)
        except RuntimeError:  # the interpreter ends, and begins nothing any more: no fault of the job
            job.has_begun = False
            self.stopping.set()
            raise asyncio.CancelledError from None
        return await asyncio.wrap_future(outcome)

    async def _settle_all(self) -> None:
        """Many by one command, and as many commands under way as are good for both."""
        limit = asyncio.Semaphore(SETTLING_MAX)
        while True:
            await limit.acquire()
            some = [await self.outcomes.get()]
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
            log.warning("worker %s could not settle %d jobs: %s", self.name, len(some), error)
            refused = []
        if refused:
            what = "worker %s: jobs %s were cancelled, or others', or settled before, by the time they ended"
            log.warning(what, self.name, refused)
        for job, _ in some:
            self.settled[job.id] = job.token
            if len(self.settled) > SETTLED_MAX:
                del self.settled[next(iter(self.settled))]
            if self.jobs.get(job.id) is job:
                del self.jobs[job.id]

    async def _settled(self, outcomes: list[Outcome]) -> list[int]:
        """Until the group answers: it would leave these jobs to this worker for as long as that lives. Asking
        twice does no harm: a token is valid once. A worker that stops gives up when its leases are over."""
        lease = self.options.lease
        call = self.queue.settle.options(timeout=lease)
        pause, longest = PAUSE_S
        while True:
            try:
                told: list[int] = await call.aio(self.name, outcomes)
                return told
            except (NoSuchGroup, ClientClosed, NotAllowed):
                raise
            except TooLarge:
                if len(outcomes) == 1:
                    raise
                half = len(outcomes) // 2
                return [*await self._settled(outcomes[:half]), *await self._settled(outcomes[half:])]
            except FleetError as error:
                if self.stopping.is_set() and monotonic() - self.heard_at > lease:
                    raise
                log.warning("worker %s settles %d jobs again: %s", self.name, len(outcomes), error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
