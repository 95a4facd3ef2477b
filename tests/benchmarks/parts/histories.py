"""What judging a history costs."""

import time
from collections.abc import Hashable, Iterable, Iterator

from msgspec.structs import replace

from fleet.sim.checks.history import UNKNOWN, Operation
from fleet.sim.checks.linear import check
from fleet.sim.checks.models import Add, Counter, Get, Model, Read
from tests.benchmarks.figures import Row, Scale
from tests.sim.workloads import WORKLOADS, simulate

OPERATIONS_PER_REPEAT = 10
STEPS_MAX = 1_000_000
HARD = ("queue", "queue, few values", "keys and values, scanned")
"""These are judged in histories of a tenth of the length."""


def judge(what: str, history: Iterable[Operation], model: Model) -> Row:
    begun = time.perf_counter()
    verdict = check(history, model, steps_max=STEPS_MAX)
    return Row(what, {"once_ms": (time.perf_counter() - begun) * 1000}, note=type(verdict).__name__)


def rows(scale: Scale) -> Iterator[Row]:
    """Histories of one object, by workload, clients and operations of unknown outcome."""
    count = scale.repeats * OPERATIONS_PER_REPEAT
    for name, (model, pick) in WORKLOADS.items():
        for clients in (5, 10):
            for lost in (0.0, 0.01, 0.05):
                some = count // 10 if name in HARD else count
                history = simulate(model, pick, some, clients, seed=1, lost=lost)
                yield judge(f"{name}, {some}, {clients} clients, {lost:.0%} unknown", history, model)
    for name in ("register, unique writes", "register, few values", "counter"):
        model, pick = WORKLOADS[name]
        history = simulate(model, pick, count, 10, seed=2, lost=0.01)
        late = range(len(history) * 9 // 10, len(history))
        at = next(n for n in late if history[n].is_known and type(history[n].input) in (Read, Get))
        history[at] = replace(history[at], output=-1)
        yield judge(f"{name}, 10 clients, 1% unknown, one impossible read", history, model)
    hard = [op for key in range(7) for op in sums(key)]
    yield judge("counter, an impossible read behind 7 hard keys", [*hard, *sums("last", 0)], Counter())


def sums(key: Hashable, count: int = 24) -> list[Operation]:
    """As many unknown additions as `count`, and a total that none of them gives."""
    adds = [Operation(n, key, 0, None, Add(2 << n), UNKNOWN) for n in range(count)]
    return [*adds, Operation("r", key, 1, 2, Get(), 7)]
