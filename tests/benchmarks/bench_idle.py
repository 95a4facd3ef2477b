"""What idle groups cost: three node processes with default timers, a client in this one. From the checkout:

python tests/benchmarks/bench_idle.py [groups ...]      300 and 1,000 without arguments
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.processes.fleet_nodes import NodeFleet
from tests.support.classes import Counter

QUIET_S = 15.0
"""After this the groups sleep, whatever their creation has left to do."""
MEASURED_S = 30.0
CALLED = 50
"""Groups whose first command is timed."""
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def show(what: str, figure: str) -> None:
    print(f"{what:<64}{figure}", flush=True)


def idle(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as directory:
        yard = NodeFleet(Path(directory))
        try:
            yard.start("n1", "n2", "n3", purge_after=600.0)
            pids = [node.process.pid for node in yard.nodes.values() if node.process is not None]
            empty = measured(pids)
            began = time.monotonic()
            names = [f"g{number}" for number in range(count)]
            for first in range(0, count, 250):
                yard.client.create_groups(names[first : first + 250], Counter)
            show(f"{count} groups x 3 are created in", f"{time.monotonic() - began:8.2f} s")
            time.sleep(QUIET_S)
            cores = measured(pids)
            show("  idle, CPU of a node", "  ".join(f"{share * 100:6.2f} %" for share in cores))
            show("  of which without groups", "  ".join(f"{share * 100:6.2f} %" for share in empty))
            show("  resident memory of a node", "  ".join(f"{resident_mb(pid):5.0f} MB" for pid in pids))
            took = [first_command_ms(yard, name) for name in names[:: max(1, count // CALLED)]]
            show("  the first command to a group: median", f"{statistics.median(took):8.2f} ms")
            show("  the slowest of them", f"{max(took):8.2f} ms")
        finally:
            yard.close()


def measured(pids: list[int]) -> list[float]:
    """The share of a core that each uses."""
    before, began = [cpu_s(pid) for pid in pids], time.monotonic()
    time.sleep(MEASURED_S)
    seconds = time.monotonic() - began
    return [(cpu_s(pid) - start) / seconds for pid, start in zip(pids, before, strict=True)]


def first_command_ms(yard: NodeFleet, name: str) -> float:
    group = yard.client.group(name, Counter)
    began = time.perf_counter()
    group.add(1)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    for groups in map(int, sys.argv[1:] or ("300", "1000")):
        idle(groups)
