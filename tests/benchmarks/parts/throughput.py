"""Commands and linearizable reads of one group, of many groups, with larger arguments.

The cost of a call is the processor's time of the leader, of one follower and of the client, in microseconds;
`loop` and `writer` are the two threads of the leader, and part of it.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from tests.benchmarks import load
from tests.benchmarks.figures import Case, Figures, Row, Scale, measured
from tests.benchmarks.nodes import Bench, sender, three_nodes
from tests.support.classes import Counter

GROUP = "bench"
PAYLOADS = {"16 B": 16, "1 KiB": 1 << 10, "64 KiB": 1 << 16}
PAYLOAD_CALLERS = 64
GROUP_CALLERS = 256


def ways(methods: Sequence[Any], *args: object) -> dict[str, Any]:
    """The ways to call, by name: each takes the number of callers, then what `Bench.measure` gives it."""
    calls = [partial(method, *args) for method in methods]
    coroutines = [partial(method.aio, *args) for method in methods]
    return {
        "blocking": partial(load.blocking, calls),
        "pipelined": partial(load.pipelined, [sender(method, *args) for method in methods]),
        "asyncio": partial(load.awaited, coroutines),
    }


def sweep(bench: Bench, method: Any, scale: Scale, group: str = GROUP) -> list[Case]:
    return [
        Case(
            f"{name}, {callers}",
            partial(bench.measure, partial(run, callers), scale.seconds, group),
            series=name,
            at=callers,
        )
        for name, run in ways([method]).items()
        for callers in scale.callers
    ]


def commands(scale: Scale) -> Iterator[Row]:
    """Durable increments, by way of calling and number of calls under way."""
    with three_nodes() as bench:
        (counter,) = bench.create([GROUP], Counter)
        yield from measured(sweep(bench, counter.add, scale), scale.rounds)


def memory(scale: Scale) -> Iterator[Row]:
    """Increments of a group in memory only, beside those of one on disks, by the same callers."""
    with three_nodes() as bench:
        cases = []
        for where, persist in (("disk", True), ("memory", False)):
            counter = bench.client.create_group(where, Counter, persist=persist)
            cases += [
                replace(case, name=f"{where}, {case.name}", series=f"{where}, {case.series}")
                for case in sweep(bench, counter.add, scale, where)
            ]
        yield from measured(cases, scale.rounds)


def reads(scale: Scale) -> Iterator[Row]:
    """Linearizable reads, by way of calling and number of calls under way."""
    with three_nodes() as bench:
        (counter,) = bench.create([GROUP], Counter)
        yield from measured(sweep(bench, counter.get, scale), scale.rounds)


def stale_reads(scale: Scale) -> Iterator[Row]:
    """Reads of at most two seconds ago at one follower, beside linearizable ones, by the same callers."""
    with three_nodes() as bench:
        (counter,) = bench.create([GROUP], Counter)
        follower = bench.cluster.others(bench.leader(GROUP))[0]
        stale = bench.cluster.connect(follower).group(GROUP, Counter).get.stale(2.0)
        assert stale() == 0
        for name, method in (("leader, ", counter.get), ("follower, ", stale)):
            cases = [replace(case, name=name + case.name) for case in sweep(bench, method, scale)]
            yield from measured(cases, scale.rounds)


def payloads(scale: Scale) -> Iterator[Row]:
    """Commands with an argument of so many bytes, 64 under way."""
    with three_nodes() as bench:
        (counter,) = bench.create([GROUP], Counter)
        cases = []
        for words, size in PAYLOADS.items():
            by_name = ways([counter.swallow], bytes(size))
            for name in ("blocking", "pipelined"):
                run = partial(by_name[name], PAYLOAD_CALLERS)
                measure = partial(carried, bench, run, scale.seconds, size)
                cases.append(Case(f"{words}, {name}, {PAYLOAD_CALLERS}", measure, series=name, at=size))
        yield from measured(cases, scale.rounds)


def carried(bench: Bench, run: Any, seconds: float, size: int) -> Figures:
    figures = bench.measure(run, seconds, GROUP)
    return {"per_s": figures["per_s"], "mb_per_s": figures["per_s"] * size / 1e6} | figures


def groups(scale: Scale) -> Iterator[Row]:
    """Commands spread over all groups of a fleet, and over some of them with the others idle."""
    with three_nodes() as bench:
        counters: list[Counter] = []
        for count in scale.groups:
            names = [f"g{number}" for number in range(len(counters), count)]
            counters += bench.create(names, Counter)
            for reply in [counter.add.submit() for counter in counters]:  # sessions are opened
                reply.result()
            yield from measured(over(bench, counters, len(counters), scale), scale.rounds)
        busy = next((count for count in reversed(scale.groups[:-1]) if count > 1), 0)
        if busy:
            yield from measured(over(bench, counters[:busy], len(counters), scale), scale.rounds)


def over(bench: Bench, counters: Sequence[Counter], alive: int, scale: Scale) -> list[Case]:
    by_name = ways([counter.add for counter in counters])
    count = len(counters)
    words = f"groups: {count}" if count == alive else f"groups: {count} of {alive}"
    return [
        Case(
            f"{words}, {name}, {GROUP_CALLERS}",
            partial(bench.measure, partial(by_name[name], GROUP_CALLERS), scale.seconds, None),
            series=name if count == alive else "",
            at=count,
        )
        for name in ("blocking", "pipelined")
    ]
