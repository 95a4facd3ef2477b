"""Calls that only take processor time, in a process that leaves it to those that wait for real nodes."""

import os
import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from fleet.system.processes import end_with_parent

R = TypeVar("R")
NICE = 5


class Aside:
    """Makes calls in one process, started for the first of them. Functions and arguments are pickled."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, function: Callable[..., R], *args: Any) -> R:
        if self._pool is None:
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, initializer=stand_back, initargs=(self._directory,))
        return self._pool.submit(function, *args).result()

    def close(self) -> None:
        """With all that its process has started."""
        if self._pool is None:
            return
        workers = list(getattr(self._pool, "_processes").values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            with suppress(ProcessLookupError):  # it has just been started, and has no group yet
                os.killpg(worker.pid, signal.SIGKILL)
            worker.kill()


def stand_back(directory: Path) -> None:
    """In the process that calls. It ends with the tests, however these end; where they are killed, what it
    has started ends a minute later. What is left of its temporary files is among those of the tests."""
    tempfile.tempdir = str(directory)
    end_with_parent()
    os.setpgid(0, 0)
    os.nice(NICE)
