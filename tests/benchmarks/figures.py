"""Rows of a table: figures by column, medians of interleaved rounds, shares of sorted times."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

Figures: TypeAlias = dict[str, float]
"""By column. A column's last word is its unit: `per_s`, `p50_ms`, `leader_us`; `x` is a ratio."""


class Row(Struct, frozen=True):
    name: str
    figures: Figures = {}
    """Medians of the rounds."""
    note: str = ""
    rounds: tuple[Figures, ...] = ()
    """What each round gave."""
    series: str = ""
    """The line of a chart that it is a point of; `at` is where."""
    at: float = 0.0


class Case(Struct, frozen=True):
    """A row that is still to be measured; each call of `measure` is a round."""

    name: str
    measure: Callable[[], Figures]
    note: str = ""
    series: str = ""
    at: float = 0.0


class Scale(Struct, frozen=True):
    """How much is measured."""

    rounds: int
    seconds: float
    """Of one round of one row."""
    callers: tuple[int, ...]
    groups: tuple[int, ...]
    """How many groups share a load, ascending."""
    kills: int
    idle_groups: tuple[int, ...]
    created_groups: int
    snapshot_mib: int
    moved_groups: int
    repeats: int
    """Of a thing that is timed one by one."""


QUICK = Scale(
    rounds=1,
    seconds=1.0,
    callers=(1, 64, 256),
    groups=(1, 30),
    kills=3,
    idle_groups=(0, 100),
    created_groups=100,
    snapshot_mib=16,
    moved_groups=30,
    repeats=200,
)
WHOLE = Scale(
    rounds=3,
    seconds=3.0,
    callers=(1, 8, 64, 256, 1024),
    groups=(1, 30, 300, 1000),
    kills=10,
    idle_groups=(0, 300, 1000),
    created_groups=1000,
    snapshot_mib=200,
    moved_groups=300,
    repeats=1000,
)


def measured(cases: Sequence[Case], rounds: int) -> list[Row]:
    """A row for each case. Each round measures every case once, so that another load hits all of them."""
    taken: list[list[Figures]] = [[] for _ in cases]
    for _ in range(rounds):
        for case, some in zip(cases, taken, strict=True):
            some.append(case.measure())
    return [
        Row(case.name, medians(some), case.note, tuple(some), case.series, case.at)
        for case, some in zip(cases, taken, strict=True)
    ]


def medians(rounds: Sequence[Figures]) -> Figures:
    return {column: statistics.median(one[column] for one in rounds) for column in rounds[0]}


def ratio(name: str, column: str, above: Row, below: Row) -> Row:
    """One row's figure by another's of the same run."""
    return Row(name, {"x": above.figures[column] / below.figures[column]})


def share(times: Sequence[float], part: float) -> float:
    """The time that `part` of the sorted times do not exceed."""
    return times[min(len(times) - 1, int(len(times) * part))]


def timed_ms(act: Callable[[], object], count: int) -> list[float]:
    """Sorted milliseconds of so many calls, one after the other."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        act()
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


def times_ms(times: Sequence[float]) -> Figures:
    return {"p50_ms": share(times, 0.5), "p99_ms": share(times, 0.99)}


def times_us(act: Callable[[], object], count: int) -> Figures:
    times = timed_ms(act, count)
    return {"p50_us": share(times, 0.5) * 1000, "p99_us": share(times, 0.99) * 1000}


def once_ms(act: Callable[[], object]) -> Figures:
    return {"once_ms": timed_ms(act, 1)[0]}


Part: TypeAlias = Callable[[Scale], Iterator[Row]]
