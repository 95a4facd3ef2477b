"""What a child process arranges for itself: its end with its parent, its limits, its open descriptors."""

import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress

from fleet.system import PORTABLE

LOOK_EVERY_S = 0.2
"""How often a process that the kernel does not end looks for its parent."""
DESCRIPTORS_MAX = 10_240
"""What macOS allows at most, where it says "without limit"."""

if sys.platform == "linux" and not PORTABLE:
    from ctypes import CDLL

    OPEN_DESCRIPTORS = "/proc/self/fd"
    """The directory that lists those of this process."""
    _PR_SET_PDEATHSIG = 1

    def end_with_parent() -> None:
        """Be killed when the parent ends, even within a call that never returns."""
        CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def limit_memory(size: int) -> None:
        """Bytes that this process may take for data; more is a MemoryError."""
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))

else:
    OPEN_DESCRIPTORS = "/dev/fd"

    def end_with_parent() -> None:
        """Be killed soon after the parent has ended, unless native code keeps the interpreter to itself."""
        threading.Thread(target=_watch, args=(os.getppid(),), name="fleet-parent", daemon=True).start()

    def limit_memory(size: int) -> None:
        """Nothing: macOS has no limit that a process's allocations are held to."""


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGKILL)


def raise_descriptor_limit() -> None:
    """To the most that this process may have open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_MAX, most))


def close_all_but(*kept: int) -> None:
    """Close all descriptors but these and standard input, output and error."""
    for fd in map(int, os.listdir(OPEN_DESCRIPTORS)):
        if fd > 2 and fd not in kept:
            with suppress(OSError):  # the descriptor of the listing
                os.close(fd)
