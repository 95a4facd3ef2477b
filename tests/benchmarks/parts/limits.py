"""What the machine allows: the disk's sync, bare LMDB, round trips to another process."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import lmdb

from tests.benchmarks import echo
from tests.benchmarks.figures import Case, Figures, Row, Scale, measured, times_us

PAGE = bytes(4096)
RECORD = bytes(100)
MESSAGE = bytes(64)
CALLS = 256


def rows(scale: Scale) -> Iterator[Row]:
    """The disk, bare LMDB, TCP and a socket pair to another process: what nothing built on them can beat."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-bench-")))
        tcp, pair = stack.enter_context(echo.tcp()), stack.enter_context(echo.pair())
        env = stack.enter_context(lmdb.open(str(home), map_size=1 << 30))
        file = stack.enter_context((home / "log").open("wb", buffering=0))

        def append() -> None:
            file.write(PAGE)
            os.fdatasync(file.fileno())

        def case(name: str, act: Callable[[], object]) -> Case:
            return Case(name, lambda: bare(act, scale.repeats))

        cases = [
            case("append 4 KiB, fdatasync", append),
            case("LMDB commit of 1 record of 100 B", partial(commit, env, 1)),
            case("LMDB commit of 100 records", partial(commit, env, 100)),
            case("TCP on loopback, 64 B there and back", partial(echo.ask, tcp, MESSAGE)),
            case("socket pair, 1 call decoded, run, encoded", partial(echo.call, pair, [1])),
            case(f"socket pair, {CALLS} calls in a frame", partial(echo.call, pair, list(range(CALLS)))),
        ]
        yield from measured(cases, scale.rounds)


def bare(act: Callable[[], object], repeats: int) -> Figures:
    figures = times_us(act, repeats)
    return figures | {"per_s": 1e6 / figures["p50_us"]}


def commit(env: Any, count: int) -> None:
    with env.begin(write=True) as txn:
        next_key = int.from_bytes(txn.get(b"next", bytes(8)), "big")
        with txn.cursor() as cursor:
            cursor.putmulti([((next_key + n).to_bytes(8, "big"), RECORD) for n in range(count)])
        txn.put(b"next", (next_key + count).to_bytes(8, "big"))
