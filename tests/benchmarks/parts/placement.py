"""What placement costs, as arithmetic: no nodes run."""

import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator

from fleet.cluster.placement import Members, Placement, Site
from fleet.raft.ids import GroupName, NodeName
from tests.benchmarks.figures import Row, Scale, once_ms, timed_ms

NODES = 1000
GROUPS_PER_REPEAT = 100
REPLICAS = 3


def sites(nodes: int, zones: int, weights: tuple[float, ...]) -> list[Site]:
    return [Site(NodeName(f"n{n}"), f"z{n % zones}", weights[n % len(weights)]) for n in range(nodes)]


def one_group_us(placement: Placement) -> float:
    def place(run: int) -> None:
        for n in range(100):
            placement.members(GroupName(f"{run} {n}"), REPLICAS)

    return min(timed_ms(lambda: place(run), 1)[0] for run in range(5)) * 10


def rows(scale: Scale) -> Iterator[Row]:
    """One group among 1,000 nodes, all groups, and what changes as a node comes or goes."""
    many = tuple(1 + n / NODES for n in range(NODES))
    kinds = {"one weight": (1.0,), "4 weights": (1.0, 2.0, 3.0, 4.0), "all different": many}
    for name, weights in kinds.items():
        for zones in (1, 3, 10):
            figure = one_group_us(Placement(sites(NODES, zones, weights)))
            yield Row(f"one group, {NODES} nodes, {zones} zones, {name}", {"each_us": figure})
    yield from whole(scale.repeats * GROUPS_PER_REPEAT)


def whole(count: int) -> Iterator[Row]:
    tracemalloc.start()
    placement = Placement(sites(NODES, 3, (1.0,)))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    making = once_ms(lambda: Placement(sites(NODES, 3, (1.0,))))
    yield Row(f"Placement of {NODES} nodes", making | {"held_mb": held / 1e6})
    wanted = {GroupName(f"group-{n}"): REPLICAS for n in range(count)}
    placed: dict[GroupName, Members] = {}
    figures = once_ms(lambda: placed.update(placement.place(wanted)))
    yield Row(f"place {count} groups", figures | {"held_mb": sum(map(sys.getsizeof, placed.values())) / 1e6})
    for what, taken in (
        ("leaders", Counter(members[0] for members in placed.values())),
        ("members", Counter(name for members in placed.values() for name in members)),
    ):
        average = sum(taken.values()) / NODES
        spread = {"lowest": min(taken.values()) / average, "highest": max(taken.values()) / average}
        yield Row(f"  {what} a node, by the average", spread)
    yield from changes(placement, wanted, placed)


def changes(
    placement: Placement, wanted: dict[GroupName, int], placed: dict[GroupName, Members]
) -> Iterator[Row]:
    """`moved`: the share of all members that move; 1 / (n + 1) and 1 / n are the fewest."""
    newcomer, gone = Site(NodeName("new"), "z0"), NodeName("n0")
    grown, shrunk = placement.with_site(newcomer), placement.without(gone)
    total, moved = len(wanted) * REPLICAS, 0

    def come() -> None:
        nonlocal moved
        moved = len(grown.gained(newcomer.name, wanted, placed))

    def go() -> None:
        nonlocal moved
        moved = len(shrunk.lost(gone, wanted, placed))

    took = once_ms(come)
    yield Row("groups that change as a node comes", took | {"moved_percent": moved / total * 100})
    took = once_ms(go)
    yield Row("groups that change as a node goes", took | {"moved_percent": moved / total * 100})
