"""Ends the processes of an actor system together with the one that has started it, however that ends.

Thespian's processes leave their parent on purpose, and would serve on without it. The kernel kills their
process group when the starting process holds the write end of a pipe no longer (O_ASYNC, F_SETSIG of fcntl):
no thread and no timer has to look.
"""

import fcntl
import os
import select
import signal


class DeathSignal:
    """Sent by `send`, or when the process that made it ends."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def arm(self) -> None:
        """Called once, by the first process of the group; its forks belong to it."""
        os.close(self._write)
        fcntl.fcntl(self._read, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(self._read, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(self._read, fcntl.F_SETFL, fcntl.fcntl(self._read, fcntl.F_GETFL) | os.O_ASYNC)
        poll = select.poll()
        poll.register(self._read, 0)
        if poll.poll(0):  # it was sent before
            os.killpg(os.getpgrp(), signal.SIGKILL)

    def send(self) -> None:
        """Idempotent."""
        write, self._write = self._write, -1
        if write >= 0:
            os.close(write)
            os.close(self._read)
