"""python -m tests.networks: what commands take, and which settings elect needlessly, by delay and loss.

Prints the tables of fleet/docs/networks.md. Takes about two minutes, and three more with `--elections`.
"""

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import fleet
from fleet.errors import FleetError
from fleet.raft.ids import node_of
from tests.support.classes import Counter
from tests.support.waiting import eventually

from .hosts import CLIENT, SwitchedFleet

NAMES = ("n1", "n2", "n3")
DELAYS_MS = (1, 10, 50, 100, 200)
LOSSES = (0.0, 0.02, 0.1)
SETTINGS = {
    "60/400": fleet.GroupConfig(heartbeat_ms=60, election_ms=400),
    "200/1000": fleet.GroupConfig(),
    "300/2000": fleet.GroupConfig(heartbeat_ms=300, election_ms=2000),
    "500/4000": fleet.GroupConfig(heartbeat_ms=500, election_ms=4000),
}
COPIES = 3
LOAD_S = 10.0


def terms(hosts: SwitchedFleet, names: list[str]) -> dict[str, int]:
    """From the nodes' members, whoever leads."""
    found = {}
    for name in names:
        statuses = eventually(lambda name=name: hosts.client.statuses(name, 3.0), 60)  # type: ignore[misc]
        found[name] = max(status.term for status in statuses.values())
    return found


def load(hosts: SwitchedFleet, names: list[str]) -> dict[str, list[float]]:
    """Milliseconds of each command, one at a time in each group."""
    took: dict[str, list[float]] = {name: [] for name in names}
    until = time.monotonic() + LOAD_S

    def run(name: str) -> None:
        counter = hosts.counter(name)
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                counter.add(1)
            except FleetError as error:
                print(f"{name}: {error}", file=sys.stderr)
            took[name].append(1000 * (time.monotonic() - began))
            time.sleep(0.05)

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def without_leader(hosts: SwitchedFleet, names: list[str], gone: str) -> dict[str, float]:
    """Seconds until each group acknowledges again after the host has vanished."""
    took: dict[str, float] = {}
    hosts.way([gone], [*hosts.others(gone), CLIENT], is_cut=True)
    began = time.monotonic()

    def run(name: str) -> None:
        try:
            hosts.counter(name).add.options(timeout=30.0)(1)
        except FleetError:
            pass
        took[name] = time.monotonic() - began

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def vanished(hosts: SwitchedFleet, groups: dict[str, list[str]], names: list[str], delay_ms: int) -> str:
    hosts.everywhere(delay_s=delay_ms / 1000)
    before = terms(hosts, names)
    leader = node_of(hosts.client.status(names[0]).member)
    took = without_leader(hosts, names, leader)
    hosts.everywhere(delay_s=delay_ms / 1000)
    cells = []
    for some in groups.values():
        longest = max(took[name] for name in some)
        rounds = max(after - before[name] for name, after in terms(hosts, some).items())
        cells.append(f"{longest:.1f} s, {rounds}" if longest < 30 else f"none in 30 s, {rounds}")
    hosts.heal()
    hosts.await_settled(names)
    return f"| {delay_ms} ms | {' | '.join(cells)} |"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fleet-networks-") as home:
        hosts = SwitchedFleet(Path(home))
        try:
            hosts.start(*NAMES, purge_after=600.0)
            groups = {}
            for kind, config in SETTINGS.items():
                groups[kind] = [f"{kind.replace('/', '-')}-{copy}" for copy in range(COPIES)]
                for name in groups[kind]:
                    hosts.client.create_group(name, Counter, nodes=NAMES, config=config)
            names = [name for some in groups.values() for name in some]
            hosts.await_settled(names)
            if "--elections" in sys.argv:
                print("Elections in groups whose leader is well:")
                print("| one way | loss | p50 | p99 |", " | ".join(SETTINGS), "|")
                for delay_ms in DELAYS_MS:
                    for loss in LOSSES:
                        print(row(hosts, groups, names, delay_ms, loss), flush=True)
            print("Seconds without a leader, after its host has vanished:")
            print("| one way |", " | ".join(SETTINGS), "|")
            for delay_ms in DELAYS_MS:
                print(vanished(hosts, groups, names, delay_ms), flush=True)
        finally:
            hosts.close()


def row(
    hosts: SwitchedFleet, groups: dict[str, list[str]], names: list[str], delay_ms: int, loss: float
) -> str:
    hosts.everywhere(delay_s=delay_ms / 1000, loss=loss)
    before = terms(hosts, names)
    took = load(hosts, names)
    after = terms(hosts, names)
    calm = sorted(ms for name in groups["500/4000"] for ms in took[name])
    cells = [str(sum(after[name] - before[name] for name in some)) for some in groups.values()]
    p99 = calm[min(len(calm) - 1, int(0.99 * len(calm)))]
    hosts.heal()
    hosts.await_settled(names)
    p50 = statistics.median(calm)
    return f"| {delay_ms} ms | {loss:.0%} | {p50:.0f} ms | {p99:.0f} ms | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
