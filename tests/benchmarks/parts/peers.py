"""fleet beside PySyncObj and etcd, in the same run, round by round.

`cpu` is the processor's time of all nodes and the client for one call. PySyncObj's callers are inside its
leader's process, which saves it a hop; its journal is never synced. etcd's callers are asyncio tasks.
"""

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.benchmarks.figures import Case, Figures, Row, Scale, measured, ratio
from tests.benchmarks.load import Load
from tests.benchmarks.nodes import WARM_S, Bench, three_nodes
from tests.benchmarks.parts.throughput import GROUP, ways
from tests.benchmarks.peers import etcd, syncobj
from tests.support.classes import Counter

WORK = (("blocking", 1), ("blocking", 64), ("pipelined", 256), ("pipelined", 1024))


class System(Protocol):
    name: str
    has_reads: bool

    def run(self, way: str, callers: int, seconds: float, is_read: bool = False) -> Figures: ...


class Fleet:
    name = "fleet"
    has_reads = True

    def __init__(self, bench: Bench) -> None:
        (counter,) = bench.create([GROUP], Counter)
        self.bench = bench
        self.ways = {False: ways([counter.add]), True: ways([counter.get])}

    def run(self, way: str, callers: int, seconds: float, is_read: bool = False) -> Figures:
        meter = self.bench.meter(GROUP)
        ran: Load = self.ways[is_read][way](callers, seconds, meter)
        return ran.figures() | meter.all_us(ran.count)


def rows(scale: Scale) -> Iterator[Row]:
    """Commands and reads of fleet, PySyncObj and etcd, and fleet's rate by theirs."""
    home = tempfile.TemporaryDirectory(prefix="fleet-bench-")
    with home as path, ExitStack() as stack:
        systems: list[System] = [Fleet(stack.enter_context(three_nodes()))]
        for start in (start_syncobj, start_etcd):
            found = stack.enter_context(start(Path(path)))
            if isinstance(found, Row):
                yield found
            else:
                systems.append(found)
        for is_read in (False, True):
            for way, callers in WORK:
                if callers in scale.callers:
                    yield from beside(
                        [one for one in systems if one.has_reads or not is_read], way, callers, is_read, scale
                    )


def beside(systems: list[System], way: str, callers: int, is_read: bool, scale: Scale) -> Iterator[Row]:
    what = f"{'read' if is_read else 'command'}, {way}, {callers}"
    for system in systems:
        system.run(way, callers, min(WARM_S, scale.seconds), is_read)
    cases = [
        Case(f"{what}: {system.name}", partial(system.run, way, callers, scale.seconds, is_read))
        for system in systems
    ]
    ours, *theirs = measured(cases, scale.rounds)
    yield from (ours, *theirs)
    for system, row in zip(systems[1:], theirs, strict=True):
        yield ratio(f"  fleet / {system.name}", "per_s", ours, row)


@contextmanager
def start_syncobj(home: Path) -> Iterator[System | Row]:
    if importlib.util.find_spec("pysyncobj") is None:
        yield Row("PySyncObj", note="left out: not installed; it comes with the extra `bench`")
        return
    with syncobj.three(home) as found:
        yield found


@contextmanager
def start_etcd(home: Path) -> Iterator[System | Row]:
    program = shutil.which("etcd")
    if program is None:
        yield Row("etcd", note="left out: no `etcd` on the PATH")
    elif importlib.util.find_spec("aetcd") is None:
        yield Row("etcd", note="left out: aetcd is not installed; it comes with the extra `bench`")
    else:
        with etcd.three(home, program) as found:
            yield found
