"""Creating groups, having idle ones, refusing commands, and moving groups as nodes come and go."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from statistics import fmean

import fleet
from fleet.raft.config import GroupConfig
from tests.benchmarks.classes import Accounts
from tests.benchmarks.figures import Figures, Row, Scale, timed_ms, times_ms
from tests.benchmarks.meters import cpu_s, rss_mb
from tests.benchmarks.nodes import Bench, three_nodes
from tests.processes.fleet_nodes import CountingLoad, NodeFleet, add_all, group_names, moved
from tests.support.classes import Counter

ELECTION_S = 2 * GroupConfig().election_ms / 1000
"""The longest that a follower waits before it campaigns."""
SINGLE_GROUPS = 20
ACCOUNTS = (100, 1_000, 20_000, 200_000)
SETTLE_S = 2.0
IDLE_S = 5.0
MOVED_PACE_S = 1.0


def create(scale: Scale) -> Iterator[Row]:
    """New groups of three, until their members answer their leader: one by one, and all at once."""
    with three_nodes() as bench:
        add = bench.client.create_group

        def use(name: str) -> None:
            add(name, Counter).add(1)

        alone = each_ms(lambda name: add(name, Counter), "one")
        yield Row(f"create_group, {SINGLE_GROUPS} one by one", times_ms(alone))
        yield Row("create_group and its first command", times_ms(each_ms(use, "used")))
        names = group_names(scale.created_groups)
        begun = time.perf_counter()
        bench.create(names, Counter)
        took_s = time.perf_counter() - begun
        figures = {"all_s": took_s, "per_s": len(names) / took_s}
        yield Row(f"{len(names)} groups, one create_groups", figures)


def each_ms(act: Callable[[str], object], prefix: str) -> list[float]:
    return sorted(timed_ms(partial(act, f"{prefix}{n}"), 1)[0] for n in range(SINGLE_GROUPS))


def idle(scale: Scale) -> Iterator[Row]:
    """What a node costs with so many groups of three, of which none is used."""
    with three_nodes() as bench:
        made = 0
        for count in scale.idle_groups:
            bench.create([f"g{number}" for number in range(made, count)], Counter)
            made = max(made, count)
            time.sleep(SETTLE_S)
            yield Row(f"{count} groups", idle_figures(bench))


def idle_figures(bench: Bench) -> Figures:
    pids = bench.cluster.pids().values()
    before, begun = {pid: cpu_s(pid) for pid in pids}, time.monotonic()
    time.sleep(IDLE_S)
    took_s = time.monotonic() - begun
    return {
        "core_percent": fmean(cpu_s(pid) - before[pid] for pid in pids) / took_s * 100,
        "rss_mb": fmean(map(rss_mb, pids)),
    }


def rejects(scale: Scale) -> Iterator[Row]:
    """A command that is refused before it changes anything, beside one that is carried out."""

    def refused(accounts: Accounts) -> None:
        with suppress(fleet.Rejected):
            accounts.take(1, 1 << 40)

    with three_nodes() as bench:
        for count in ACCOUNTS:
            (accounts,) = bench.create([f"accounts{count}"], Accounts)
            accounts.fill(count)
            timed_ms(lambda: accounts.put(1, 1), 20)
            yield Row(
                f"{count:,} accounts, carried out",
                times_ms(timed_ms(lambda: accounts.put(1, 1), scale.repeats)),
            )
            yield Row(
                f"{count:,} accounts, rejected", times_ms(timed_ms(lambda: refused(accounts), scale.repeats))
            )


# -- nodes that come and go -------------------------------------------------------------------------


@contextmanager
def nodes(count: int) -> Iterator[NodeFleet]:
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as directory:
        yard = NodeFleet(Path(directory))
        try:
            yard.start(*(f"n{number}" for number in range(1, count + 1)), purge_after=600.0)
            yield yard
        finally:
            yard.close()


def moves(scale: Scale) -> Iterator[Row]:
    """A fourth node for groups under load; then one of four nodes that led some of them is killed."""
    names = group_names(scale.moved_groups)
    with nodes(3) as yard:
        yard.create(names)
        yield Row(f"a fourth node for {len(names)} groups", grown(yard, names))
    with nodes(4) as yard:
        yard.create(names)
        add_all(yard, names, 1)
        led = yard.leads(names)["n1"]
        yard["n1"].kill()
        begun = time.monotonic()
        add_all(yard, names, 2)
        figures = {"all_s": time.monotonic() - begun, "wanted_s": 3 + ELECTION_S}
        yield Row(f"kill -9 of a node that led {led} of {len(names)}: all answer", figures)


def grown(yard: NodeFleet, names: list[str]) -> Figures:
    """`of_optimum`: members moved, by the fewest that could have been."""
    before = yard.places(names)
    terms = terms_of(yard, names)
    with CountingLoad(yard.client, names, pace_s=MOVED_PACE_S) as counting:
        counting.await_more(3)
        usual_s = counting.longest_s
        counting.longest_s, answers, begun = 0.0, counting.total(), time.monotonic()
        yard.start("n4", purge_after=600.0)
        yard.await_settled(names)
        took_s = time.monotonic() - begun
        counting.await_more()
        longest_s, answers = counting.longest_s, counting.total() - answers
    optimum = sum("n4" in yard.view().wanted(group) for group in yard.view().groups.values())
    return {
        "all_s": took_s,
        "of_optimum": moved(before, yard.places(names)) / optimum,
        "longest_before_s": usual_s,
        "longest_s": longest_s,
        "elections": float(terms_of(yard, names) - terms),
        "per_s": answers / took_s,
    }


def terms_of(yard: NodeFleet, names: list[str]) -> int:
    return sum(status.term for status in yard.statuses(names).values())
