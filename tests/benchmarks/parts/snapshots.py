"""What snapshots of a big state cost its callers, and those of another group on the same nodes."""

import os
from collections.abc import Iterator
from itertools import count

import fleet
from tests.benchmarks import load
from tests.benchmarks.figures import Figures, Row, Scale, share
from tests.benchmarks.nodes import Bench, three_nodes
from tests.benchmarks.parts.faults import Watched
from tests.support.classes import Counter, Shelf

BLOCK = 512 * 1024
SMALL = 16 * 1024
CALLERS = 8
MIB = 1 << 20
SECONDS_FACTOR = 5
"""A round lasts so much longer than others, since it must hold some snapshots."""
NEVER = fleet.GroupConfig(snapshot_floor_bytes=1 << 40, snapshot_ceiling_bytes=1 << 40)
OFTEN = fleet.GroupConfig(snapshot_floor_bytes=8 * MIB, snapshot_ceiling_bytes=8 * MIB)


def rows(scale: Scale) -> Iterator[Row]:
    """Commands of a big group that snapshots never, then often, and those of another group beside it."""
    with three_nodes() as bench:
        (counter,) = bench.create(["other"], Counter)
        found: dict[str, Figures] = {}
        for name, config in (("never", NEVER), ("often", OFTEN)):
            (shelf,) = bench.create([name], Shelf, config)
            fill(shelf, scale.snapshot_mib)
            found[name] = pressed(bench, name, shelf, counter, scale.seconds * SECONDS_FACTOR)
            yield Row(f"{scale.snapshot_mib} MiB, snapshots {name}, {CALLERS} callers, 16 KiB", found[name])
            bench.client.remove_group(name)
        for column, words in (("p99_ms", "the group's own p99"), ("other_p99_ms", "p99 of the other group")):
            yield Row(f"  often / never: {words}", {"x": found["often"][column] / found["never"][column]})


def fill(shelf: Shelf, mib: int) -> None:
    body = os.urandom(BLOCK)
    for number in range(mib * MIB // BLOCK):
        shelf.put(str(number), body)


def pressed(bench: Bench, group: str, shelf: Shelf, counter: Counter, seconds: float) -> Figures:
    """`covered`: how much of what was written meanwhile is in a snapshot by now."""
    before, terms = bench.client.status(group), bench.terms([group, "other"])
    numbers, small = count(), os.urandom(SMALL)

    def put() -> None:
        shelf.put(str(next(numbers) % 2), small)

    with Watched([counter]) as other:
        ran = load.blocking([put], CALLERS, seconds)
    assert not other.unanswered
    after = bench.client.status(group)
    covered = float(after.snapshot_index - before.snapshot_index) / max(1, after.applied - before.applied)
    return ran.figures() | {
        "longest_ms": ran.times_ms[-1],
        "other_p99_ms": share(other.between(), 0.99),
        "elections": float(bench.terms([group, "other"]) - terms),
        "covered": covered,
    }
