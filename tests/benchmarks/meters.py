"""What processes and their threads cost, read from /proc (Linux)."""

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from tests.benchmarks.figures import Figures

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


def children(pid: int) -> list[int]:
    found: list[int] = []
    for path in PROC.glob(f"{pid}/task/*/children"):
        found += map(int, path.read_text().split())
    return found


def cpu_s(pid: int) -> float:
    """Processor time of a process and all its descendants, those it has waited for included.

    In steps of 10 ms (usually): measure for a second at least.
    """
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / TICKS_PER_S
    return own + sum(map(cpu_s, children(pid)))


def threads_cpu_s(pid: int) -> dict[str, float]:
    """Processor time of the threads that live, by name; empty where the kernel keeps none."""
    found: dict[str, float] = defaultdict(float)
    for task in PROC.glob(f"{pid}/task/*"):
        try:
            name = (task / "comm").read_text().strip()
            found[name] += int((task / "schedstat").read_text().split()[0]) / 1e9
        except FileNotFoundError:  # it has just ended
            continue
    return found


def rss_mb(pid: int) -> float:
    """Memory in use, of a process and all its descendants."""
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6 + sum(map(rss_mb, children(pid)))


class Meter:
    """The processor time that passes between `__enter__` and `__exit__`.

    `processes`: by pid, what the process is here ("leader", "follower", "node"). Figures of processes that
    are the same thing are averaged. This process is "client". `threads`: those that get a figure of their
    own, by name; it is part of their process's.
    """

    def __init__(self, processes: Mapping[int, str], threads: tuple[str, ...] = ()) -> None:
        self.processes = processes
        self.threads = threads
        self.spent: dict[str, list[float]] = {}
        """Seconds of each process, by what it is."""

    def _read(self) -> dict[tuple[str, int], float]:
        seen = {(role, pid): cpu_s(pid) for pid, role in self.processes.items()}
        seen["client", 0] = time.process_time()
        for pid, role in self.processes.items() if self.threads else ():
            each = threads_cpu_s(pid)
            for name in self.threads:
                seen[f"{role}_{name.removeprefix('fleet-')}", pid] = each.get(name, 0.0)
        return seen

    def __enter__(self) -> "Meter":
        self.begun = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        spent = defaultdict(list)
        for (role, pid), now in self._read().items():
            spent[role].append(now - self.begun[role, pid])
        self.spent = spent

    def each_us(self, count: int) -> Figures:
        """Microseconds for each of so many calls."""
        return {f"{role}_us": fmean(some) / count * 1e6 for role, some in self.spent.items()}

    def all_us(self, count: int) -> Figures:
        """The same, of all processes together."""
        roles = {*self.processes.values(), "client"}
        return {"cpu_us": sum(sum(self.spent[role]) for role in roles) / count * 1e6}
