"""What placement costs: `python tests/benchmarks/bench_placement.py [nodes] [groups]`, from the checkout."""

import platform
import sys
import time
import tracemalloc
from collections import Counter

from fleet.cluster.placement import Members, Placement, Site
from fleet.raft.ids import GroupName, NodeName

REPLICAS = 3


def show(what: str, figure: str) -> None:
    print(f"{what:<58}{figure}", flush=True)


def fleet(nodes: int, zones: int, weights: tuple[float, ...]) -> list[Site]:
    return [Site(NodeName(f"n{n}"), f"z{n % zones}", weights[n % len(weights)]) for n in range(nodes)]


def one_group_us(placement: Placement) -> float:
    best = float("inf")
    for run in range(5):
        start = time.perf_counter()
        for n in range(100):
            placement.members(GroupName(f"{run} {n}"), REPLICAS)
        best = min(best, (time.perf_counter() - start) / 100)
    return best * 1e6


def shapes(nodes: int) -> None:
    many = tuple(1 + n / nodes for n in range(nodes))
    kinds = {"one weight": (1.0,), "4 weights": (1.0, 2.0, 3.0, 4.0), "all different": many}
    for name, weights in kinds.items():
        for zones in (1, 3, 10):
            figure = one_group_us(Placement(fleet(nodes, zones, weights)))
            show(f"one group, {nodes} nodes, {zones} zones, {name}", f"{figure:10.0f} us")


def whole(nodes: int, count: int) -> None:
    tracemalloc.start()
    start = time.perf_counter()
    placement = Placement(fleet(nodes, 3, (1.0,)))
    show(f"Placement of {nodes} nodes", f"{(time.perf_counter() - start) * 1e3:10.1f} ms")
    show("  it holds", f"{tracemalloc.get_traced_memory()[0] / 1e3:10.0f} kB")
    tracemalloc.stop()
    wanted = {GroupName(f"group-{n}"): REPLICAS for n in range(count)}
    start = time.perf_counter()
    placed = placement.place(wanted)
    show(f"place {count} groups", f"{time.perf_counter() - start:10.2f} s")
    show("  the answer holds", f"{sum(map(sys.getsizeof, placed.values())) / 1e6:10.1f} MB")
    for what, taken in (
        ("leaders", Counter(members[0] for members in placed.values())),
        ("members", Counter(name for members in placed.values() for name in members)),
    ):
        low, high = min(taken.values()), max(taken.values())
        show(f"  {what} a node", f"{low:10} .. {high} of {sum(taken.values()) / nodes:.0f}")
    changes(placement, nodes, wanted, placed)


def changes(
    placement: Placement,
    nodes: int,
    wanted: dict[GroupName, int],
    placed: dict[GroupName, Members],
) -> None:
    newcomer = Site(NodeName("new"), "z0")
    grown = placement.with_site(newcomer)
    start = time.perf_counter()
    gained = grown.gained(newcomer.name, wanted, placed)
    show("which groups change as a node comes", f"{time.perf_counter() - start:10.2f} s")
    total = len(wanted) * REPLICAS
    show("  members that move (1 / (n + 1))", f"{len(gained) / total:10.3%} ({1 / (nodes + 1):.3%})")
    start = time.perf_counter()
    gone = NodeName("n0")
    lost = placement.without(gone).lost(gone, wanted, placed)
    show("which groups change as a node goes", f"{time.perf_counter() - start:10.3f} s")
    show("  members that move (1 / n)", f"{len(lost) / total:10.3%} ({1 / nodes:.3%})")


if __name__ == "__main__":
    print(f"Python {platform.python_version()}, {platform.machine()}")
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    shapes(nodes)
    whole(nodes, count)
