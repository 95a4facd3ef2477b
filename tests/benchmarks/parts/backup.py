"""What a backup of a big state takes, and what it costs callers of another group on the same nodes."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.figures import Row, Scale, share
from tests.benchmarks.nodes import three_nodes
from tests.benchmarks.parts.faults import Watched
from tests.benchmarks.parts.snapshots import NEVER, fill
from tests.support.classes import Counter, Shelf


def rows(scale: Scale) -> Iterator[Row]:
    """A backup of a big group and its restoring, the CPU that takes, and another group beside it."""
    with three_nodes() as bench, tempfile.TemporaryDirectory() as home:
        client = bench.client
        (counter,) = bench.create(["other"], Counter)
        (shelf,) = bench.create(["shelf"], Shelf, NEVER)
        fill(shelf, scale.snapshot_mib)
        name = f"{scale.snapshot_mib} MiB that nothing compresses"
        with Watched([counter]) as before:
            time.sleep(scale.seconds * 3)
        with Watched([counter]) as during, bench.meter("shelf") as meter:
            made = client.backup(Path(home) / "file", groups=["shelf"])
        quiet, busy = share(before.between(), 0.99), share(during.between(), 0.99)
        found = {
            "once_ms": made.seconds * 1000,
            "mb_per_s": made.state_bytes / 1e6 / made.seconds,
            "client_cpu_ms": meter.spent["client"][0] * 1000,
            "leader_cpu_ms": meter.spent["leader"][0] * 1000,
            "other_p99_ms": busy,
        }
        yield Row(f"backup of {name}", found)
        yield Row("  during / before: p99 of the other group", {"x": busy / quiet})
        begun = time.perf_counter()
        client.restore(Path(home) / "file", group="shelf", name="again")
        took = time.perf_counter() - begun
        yield Row(f"restoring {name}", {"once_ms": took * 1000, "mb_per_s": made.state_bytes / 1e6 / took})
