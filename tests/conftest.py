"""Work that only takes processor time is done beside the tests that wait for processes.

`pytest.mark.beside.with_args(function, *arguments)` marks a test whose fixture `beside` is a `Future` of what
that call returns. The calls of all tests that were asked for begin at once, one after the other, in a process
of their own that leaves the processor to others. Functions and arguments are pickled.
"""

import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

import pytest

from fleet.system.processes import end_with_parent

Calls = dict[str, "Future[Any]"]
CALLS = pytest.StashKey[Calls]()
POOL = pytest.StashKey[ProcessPoolExecutor]()
NICE = 10


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "beside(function, *arguments): calls it in another process: `beside`")


def pytest_collection_finish(session: pytest.Session) -> None:
    marked = [(item.nodeid, item.get_closest_marker("beside")) for item in session.items]
    asked = {nodeid: mark.args for nodeid, mark in marked if mark is not None}
    if not asked or session.config.option.collectonly:
        return
    directory = getattr(session.config, "_tmp_path_factory").mktemp("beside")
    pool = ProcessPoolExecutor(1, get_context("spawn"), stand_back, (str(directory),))
    session.stash[POOL] = pool
    session.stash[CALLS] = {nodeid: pool.submit(*call) for nodeid, call in asked.items()}


def pytest_sessionfinish(session: pytest.Session) -> None:
    pool = session.stash.get(POOL, None)
    if pool is not None:
        workers = list(getattr(pool, "_processes").values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            with suppress(ProcessLookupError):  # it has just been started, and has no group yet
                os.killpg(worker.pid, signal.SIGKILL)
            worker.kill()


def stand_back(directory: str) -> None:
    """In the process that calls. It ends with the tests, however these end; where they are killed, what it
    has started ends a minute later. What is left of its temporary files is among those of the tests."""
    tempfile.tempdir = directory
    end_with_parent()
    os.setpgid(0, 0)
    os.nice(NICE)


@pytest.fixture
def beside(request: pytest.FixtureRequest) -> Iterator["Future[Any]"]:
    yield request.session.stash[CALLS][request.node.nodeid]
