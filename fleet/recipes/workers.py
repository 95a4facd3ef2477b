"""Workers of a JobQueue: they take jobs that are pushed to them, run a function for each, and settle them."""

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from fleet.errors import ConfigError
from fleet.recipes.job_queue import JobQueue
from fleet.recipes.jobs import NAME_MAX, SECONDS_MAX, misnamed
from fleet.recipes.running_jobs import is_async
from fleet.recipes.worker_runs import WorkerOptions, WorkerRun

log = logging.getLogger("fleet.recipes")
T = TypeVar("T")
R = TypeVar("R")
RUN_BYTES = 6
"""Of chance, which tell one run of a worker from others of its name."""
LABEL_MAX = NAME_MAX - 2 * RUN_BYTES - 1


class QueueWorker(Generic[T, R]):
    """What `fleet.worker` makes of a function. Called, it is still that function.

    `run()` works in this thread until `stop()` is called in another one, or by a signal's handler; `start()`
    works in a thread of its own; `await run_aio()` in a task. A function that raises fails its job, whatever
    it raises: SystemExit and a CancelledError of its own, too. A worker that was stopped does not run again.
    """

    def __init__(
        self,
        function: Callable[[T], R],
        queue: JobQueue[T],
        concurrency: int,
        lease: float,
        prefetch: int,
        name: str,
    ) -> None:
        if concurrency < 1 or prefetch < 0 or not 0 < lease <= SECONDS_MAX:
            what = "a worker's concurrency is 1 at least, its prefetch 0, its lease more than 0 seconds"
            raise ConfigError(f"{what}, not {concurrency!r}, {prefetch!r}, {lease!r}")
        why = misnamed("a worker's name", name, LABEL_MAX) if name else None
        if why is not None:
            raise ConfigError(why)
        self.function = function
        self.__wrapped__ = function
        self.__doc__ = function.__doc__
        self.name = name or f"{socket.gethostname()[:100]}/{os.getpid()}"
        """The queue knows each run of it under this and some further characters."""
        self._queue = queue
        self._concurrency = concurrency
        self._prefetch = prefetch
        self._lease = lease
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._is_stopped = False
        self.ready = threading.Event()
        """Set once it is attached: jobs are pushed to it."""

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        return self.function(*args, **kwargs)

    # -- running ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """Raises: NoSuchGroup, ClientClosed: there is no queue any more. BadArguments: the group is none.
        ConfigError: it runs already."""
        asyncio.run(self.run_aio())

    def start(self) -> "QueueWorker[T, R]":
        """In a thread; returns when it is attached. Raises what `run` raises at once; ConfigError, too, when
        it was stopped."""
        if self._is_stopped:
            raise ConfigError(f"worker {self.name} was stopped: fleet.worker makes another one")
        self._check_idle()
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

    def _check_idle(self) -> None:
        thread = self._thread
        is_other = thread is not None and thread.is_alive() and thread is not threading.current_thread()
        if self._loop is not None or is_other:
            raise ConfigError(f"worker {self.name} runs already: fleet.worker makes another one")

    def stop(self, timeout: float | None = None) -> None:
        """Take no more jobs, finish those that run, give the others back. Waits for that after `start`.
        Idempotent."""
        self._is_stopped = True
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with suppress(RuntimeError):  # the loop is closed: it has ended
                loop.call_soon_threadsafe(stopping.set)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def __enter__(self) -> "QueueWorker[T, R]":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def run_aio(self) -> None:
        """As `run`. Cancelled, it stops at once, and its jobs are others' after the lease."""
        self._check_idle()
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            if not self._is_stopped:
                await WorkerRun(self._options(), self._stopping).work()
        finally:
            self._loop = self._stopping = None

    def _options(self) -> WorkerOptions:
        return WorkerOptions(
            self.function,
            is_async(self.function),
            self._queue,
            f"{self.name}/{secrets.token_hex(RUN_BYTES)}",
            self._concurrency,
            self._prefetch,
            self._lease,
            self.ready.set,
        )


def worker(
    queue: JobQueue[T],
    *,
    concurrency: int = 8,
    lease: float = 60.0,
    prefetch: int | None = None,
    name: str = "",
) -> Callable[[Callable[[T], R]], QueueWorker[T, R]]:
    """Make a worker of a function that takes a job's payload:

        @fleet.worker(emails, concurrency=8)
        def send(email: Email) -> None: ...

        send.run()

    An async function runs in a task, any other in a thread; `concurrency` of them at a time. A function that
    raises fails the job, which is tried again later. `lease`: seconds after which its jobs are others' when
    nothing is heard of it, as after a kill. `prefetch`: so many more jobs are pushed to it, by default as
    many as run at a time; they wait here, and not for a round to the group. `name`: what it is called in logs
    and errors; several may have one name. Raises ConfigError.
    """

    def make(function: Callable[[T], R]) -> QueueWorker[T, R]:
        ahead = concurrency if prefetch is None else prefetch
        return QueueWorker(function, queue, concurrency, lease, ahead, name)

    return make
