"""What a fleet costs: node processes with default timers, clients in this one. Run it from the checkout:

python tests/benchmarks/bench_fleet.py                  everything
python tests/benchmarks/bench_fleet.py create grow      some parts: add reject create grow lose
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import cloudpickle

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fleet
from fleet.raft.config import GroupConfig
from tests.processes.fleet_nodes import CountingLoad, NodeFleet, add_all, group_names, moved
from tests.support.classes import Counter

ELECTION_S = 2 * GroupConfig().election_ms / 1000
"""The longest that a follower waits before it campaigns."""


@contextmanager
def nodes(count: int) -> Iterator[NodeFleet]:
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as directory:
        yard = NodeFleet(Path(directory))
        try:
            yard.start(*(f"n{number}" for number in range(1, count + 1)), purge_after=600.0)
            yield yard
        finally:
            yard.close()


def show(what: str, figure: float, limit: float | None = None, unit: str = "s") -> None:
    verdict = "" if limit is None else f"   {'ok' if figure <= limit else 'MISSED'}, at most {limit:g}"
    print(f"{what:<64}{figure:8.2f} {unit}{verdict}", flush=True)


def timed_ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def bench_add() -> None:
    """New groups, as the caller of create_group sees it: until all members answer their leader."""
    with nodes(3) as yard:
        client = yard.client
        add = client.create_group

        def use(name: str) -> None:
            add(name, Counter).add(1)

        alone = [timed_ms(partial(add, f"one{number}", Counter)) for number in range(20)]
        show("create_group, 3 replicas: median of 20", statistics.median(alone), 30, "ms")
        show("  the slowest of them", max(alone), unit="ms")
        used = [timed_ms(partial(use, f"used{number}")) for number in range(20)]
        show("create_group and its first command: median of 20", statistics.median(used), unit="ms")
        each_ms = [timed_ms(partial(add, f"each{number}", Counter)) for number in range(50)]
        show("50 groups, one create_group after the other", sum(each_ms) / 1000)
        names = [f"many{number}" for number in range(50)]
        show("50 groups, one create_groups", timed_ms(lambda: client.create_groups(names, Counter)) / 1000)


class Accounts(fleet.Data):
    balance: dict[int, int] = {}

    @fleet.command
    def fill(self, count: int) -> None:
        self.balance = dict.fromkeys(range(count), 0)

    @fleet.command
    def put(self, account: int, n: int) -> int:
        self.balance[account] += n
        return self.balance[account]

    @fleet.command
    def take(self, account: int, n: int) -> int:
        if self.balance[account] < n:
            raise fleet.Reject("not enough")
        self.balance[account] -= n
        return self.balance[account]


def bench_reject() -> None:
    """A command that is refused before it changes anything, beside one that is carried out."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])

    def refused(accounts: Accounts) -> None:
        with suppress(fleet.Rejected):
            accounts.take(1, 1 << 40)

    with nodes(3) as yard:
        for count in (100, 1_000, 20_000, 200_000):
            accounts = yard.client.create_group(f"accounts{count}", Accounts)
            accounts.fill(count)
            puts = [timed_ms(lambda: accounts.put(1, 1)) for _ in range(200)]
            takes = [timed_ms(lambda: refused(accounts)) for _ in range(100)]
            show(f"{count:,} accounts: a command, 1 caller, median", statistics.median(puts), unit="ms")
            show("  a rejected one", statistics.median(takes), unit="ms")


def bench_create() -> None:
    """60 groups, until every member answers its leader where it should be."""
    names = group_names(60)
    with nodes(3) as yard:
        began = time.monotonic()
        yard.create(names)
        show("60 groups x 3 on 3 nodes, asked for at once", time.monotonic() - began, 10)
    with nodes(3) as yard:
        began = time.monotonic()
        for name in names:
            yard.client.create_group(name, Counter)
        yard.await_settled(names)
        show("60 groups x 3 on 3 nodes, one create_group after the other", time.monotonic() - began, 10)


def bench_grow() -> None:
    """A fourth node for 300 groups under load."""
    names = group_names(300)
    with nodes(3) as yard:
        began = time.monotonic()
        yard.create(names)
        show("300 groups x 3 on 3 nodes, asked for at once", time.monotonic() - began)
        before = yard.places(names)
        terms = {name: status.term for name, status in yard.statuses(names).items()}
        with CountingLoad(yard.client, names, pace_s=1.0) as load:
            load.await_more(3)
            show("longest command before", load.longest_s)
            load.longest_s, answers, began = 0.0, load.total(), time.monotonic()
            yard.start("n4", purge_after=600.0)
            yard.await_settled(names)
            took_s = time.monotonic() - began
            load.await_more()
            longest_s, answers = load.longest_s, load.total() - answers
        optimum = sum("n4" in yard.view().wanted(group) for group in yard.view().groups.values())
        show("a fourth node: settled, from the start of its process", took_s, 60)
        show("members moved / optimum", moved(before, yard.places(names)) / optimum, 1.05, "")
        show("longest command meanwhile", longest_s, ELECTION_S)
        after = {name: status.term for name, status in yard.statuses(names).items()}
        elections = sum(after.values()) - sum(terms.values())
        show("elections meanwhile, also those that handed over", elections, unit="")
        show("commands answered a second meanwhile", answers / took_s, unit="")


def bench_lose() -> None:
    """kill -9 of one of four nodes: until the last group has answered again, asked from the kill on."""
    names = group_names(60)
    with nodes(4) as yard:
        yard.create(names)
        add_all(yard, names, 1)
        led = yard.leads(names)["n1"]
        yard["n1"].kill()
        began = time.monotonic()
        add_all(yard, names, 2)
        took_s = time.monotonic() - began
        show(f"a node lost that led {led} of 60 groups: all answer again", took_s, 3 + ELECTION_S)


PARTS = {
    "add": bench_add,
    "reject": bench_reject,
    "create": bench_create,
    "grow": bench_grow,
    "lose": bench_lose,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
