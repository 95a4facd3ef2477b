"""The clocks of a real host."""

import time

from fleet.raft.ids import Millis


class SystemClock:
    """`fleet.ports.Clock` by the operating system. The wall clock stamps commands and nothing else."""

    def now_ms(self) -> Millis:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> Millis:
        return time.time_ns() // 1_000_000
