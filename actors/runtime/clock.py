"""The clocks of a real host."""

import time
from time import clock_gettime_ns

from fleet.raft.ids import Millis
from fleet.system.clock import LASTING_CLOCK


class SystemClock:
    """`fleet.interfaces.Clock` of the operating system. The wall clock only stamps commands.

    `now_ms` is a monotonic clock that includes the time while the host was suspended: no lease may
    outlast a suspension.
    """

    def now_ms(self) -> Millis:
        return clock_gettime_ns(LASTING_CLOCK) // 1_000_000

    def wall_ms(self) -> Millis:
        return time.time_ns() // 1_000_000
