"""A cluster on Thespian's multiprocTCPBase, where every actor is a process, beside one on the fleet base.

The memory of a group is what the processes of all three nodes grow by, those that its members are included;
what processes share is counted once.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.figures import Case, Figures, Row, Scale, measured, ratio
from tests.benchmarks.load import blocking, pipelined
from tests.benchmarks.meters import children
from tests.benchmarks.nodes import Bench, MeteredCluster, sender, three_nodes
from tests.processes.nodes import NodeProcess
from tests.processes.stock_nodes import StockNodeProcess
from tests.support.classes import Counter

CALLERS = 64
GROUPS = 10


class StockCluster(MeteredCluster):
    node_class: type[NodeProcess] = StockNodeProcess


BASES = {"fleet base": MeteredCluster, "multiprocTCPBase": StockCluster}


def processes_of(node: NodeProcess) -> list[int]:
    assert node.process is not None
    if isinstance(node, StockNodeProcess):
        return node.processes()
    return [node.process.pid, *children(node.process.pid)]


def memory_mb(bench: Bench) -> float:
    """Proportional set sizes."""
    found = 0
    for process in (process for node in bench.cluster.nodes for process in processes_of(node)):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        found += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found * 1024 / 1e6


def create(bench: Bench) -> tuple[Counter, Figures]:
    before = memory_mb(bench)
    counters = bench.create([f"g{number}" for number in range(GROUPS)], Counter)
    for counter in counters:
        counter.add(1)
    return counters[0], {"mb_each": (memory_mb(bench) - before) / GROUPS}


def rows(scale: Scale) -> Iterator[Row]:
    """A lone caller's commands and reads, a pipeline's commands, and the memory of a group, on both bases."""
    taken: dict[str, list[Row]] = {}
    for base, kind in BASES.items():
        with three_nodes(kind) as bench:
            counter, grown = create(bench)
            runs = {
                "command, 1 caller": partial(blocking, [partial(counter.add, 1)], 1),
                "query, 1 caller": partial(blocking, [counter.get], 1),
                f"command, {CALLERS} pipelined": partial(pipelined, [sender(counter.add, 1)], CALLERS),
            }
            cases = [
                Case(f"{base}: {name}", lambda run=run: run(scale.seconds).figures())  # type: ignore[misc]
                for name, run in runs.items()
            ]
            taken[base] = [*measured(cases, scale.rounds), Row(f"{base}: memory of a group", grown)]
            yield from taken[base]
    for name, column, ours, theirs in zip(
        ("command, 1 caller", "query, 1 caller", f"command, {CALLERS} pipelined", "memory of a group"),
        ("p50_ms", "p50_ms", "per_s", "mb_each"),
        *taken.values(),
        strict=True,
    ):
        yield ratio(f"multiprocTCPBase / fleet base: {name}", column, theirs, ours)
