"""What snapshots of a big state cost its callers: three node processes, one group. Run it from the checkout:

python tests/benchmarks/bench_snapshot.py [MIB]      128 MiB unless told otherwise
"""

import os
import sys
from pathlib import Path

import cloudpickle

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fleet
from tests.benchmarks.bench_group import at, group, pressed, show, show_times

cloudpickle.register_pickle_by_value(sys.modules[__name__])

BLOCK = 512 * 1024
CALLERS = 8
SECONDS = 20.0
MIB = 1 << 20
NEVER = fleet.GroupConfig(snapshot_floor_bytes=1 << 40, snapshot_ceiling_bytes=1 << 40)
OFTEN = fleet.GroupConfig(snapshot_floor_bytes=8 * MIB, snapshot_ceiling_bytes=8 * MIB)


class Shelf(fleet.Data):
    blocks: dict[int, bytes] = {}

    @fleet.command
    def put(self, slot: int, body: bytes) -> int:
        self.blocks[slot] = body
        return len(self.blocks)


def bench(mib: int) -> None:
    with group() as (_, client, _counter):
        tails = []
        for name, config in (("never", NEVER), ("often", OFTEN)):
            shelf = client.create_group(name, Shelf, config=config)
            body = os.urandom(BLOCK)
            for slot in range(mib * MIB // BLOCK):
                shelf.put(slot, body)
            before = client.status(name)
            small = os.urandom(16 * 1024)
            rate, times = pressed(lambda: shelf.put(-1, small), CALLERS, SECONDS)
            after = client.status(name)
            tails.append(at(times, 0.99))
            show_times(f"{mib} MiB, snapshots {name}, {CALLERS} callers, 16 KiB: {rate:,.0f}/s", times)
            show("  longest", f"{times[-1]:.0f} ms")
            show("  changes of leader", str(after.term - before.term))
            moved = (after.snapshot_index - before.snapshot_index) if name == "often" else 0
            show("  newest snapshot moved by", f"{moved} revisions of {after.applied - before.applied}")
            client.remove_group(name)
        show("p99 with snapshots beside p99 without; wanted: less than 3 x", f"{tails[1] / tails[0]:.1f} x")


if __name__ == "__main__":
    bench(int(sys.argv[1]) if len(sys.argv) > 1 else 128)
