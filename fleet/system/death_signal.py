"""Ends a group of processes together with the one that has started it, however that ends.

Thespian's processes leave their parent on purpose, and would serve on without it. All of them and the
starting one have a pipe, of which it alone holds the write end.
"""

import fcntl
import os
import select
import signal
import sys
import threading

from fleet.system import PORTABLE

if sys.platform == "linux" and not PORTABLE:

    def _kill_at_end(fd: int) -> None:
        """The kernel does it: no thread and no timer has to look."""
        fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
        poll = select.poll()
        poll.register(fd, 0)
        if poll.poll(0):  # it has ended already
            os.killpg(os.getpgrp(), signal.SIGKILL)

else:

    def _kill_at_end(fd: int) -> None:
        def wait() -> None:
            os.read(fd, 1)
            os.killpg(os.getpgrp(), signal.SIGKILL)

        threading.Thread(target=wait, name="fleet-death-signal", daemon=True).start()


class DeathSignal:
    """Sent by `send`, or when the process that made it ends."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def arm(self) -> None:
        """Called once, by the first process of the group; its forks belong to it."""
        os.close(self._write)
        _kill_at_end(self._read)

    def send(self) -> None:
        """Idempotent."""
        write, self._write = self._write, -1
        if write >= 0:
            os.close(write)
            os.close(self._read)
