"""The clocks of a real host."""

import time

from fleet.raft.ids import Millis


class SystemClock:
    """`fleet.interfaces.Clock` by the operating system. The wall clock stamps commands and nothing else.

    `now_ms` is Linux's monotonic clock that includes time during which the host was suspended: no lease may
    outlast a suspension.
    """

    def now_ms(self) -> Millis:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def wall_ms(self) -> Millis:
        return time.time_ns() // 1_000_000
