"""The clocks of a real host."""

import time
from time import CLOCK_BOOTTIME, clock_gettime_ns

from fleet.raft.ids import Millis


class SystemClock:
    """`fleet.interfaces.Clock` of the operating system. The wall clock only stamps commands.

    `now_ms` is Linux's monotonic clock that includes the time while the host was suspended: no lease may
    outlast a suspension.
    """

    def now_ms(self) -> Millis:
        return clock_gettime_ns(CLOCK_BOOTTIME) // 1_000_000

    def wall_ms(self) -> Millis:
        return time.time_ns() // 1_000_000
