"""A monotonic clock that goes on while the host is suspended."""

import sys
import time

if sys.platform == "linux":  # also where the rest is portable: a lease relies on it
    LASTING_CLOCK = time.CLOCK_BOOTTIME
else:
    LASTING_CLOCK = time.CLOCK_MONOTONIC
    """Which on macOS includes that time."""
