"""A data class whose commands do what commands should not; nodes of the tests import this module by name."""

import ctypes
import os
import stat
import sys
import time

import fleet


class Unruly(fleet.Data):
    value: int = 0

    @fleet.command
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @fleet.query
    def get(self) -> int:
        return self.value

    @fleet.command
    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    @fleet.command
    def hang(self, sign: str = "") -> None:
        """For ever, once a file of that name was made."""
        self.value += 1000
        if sign:
            open(sign, "w").close()
        while True:
            time.sleep(1.0)

    @fleet.command
    def recurse(self) -> None:
        def deeper(depth: int) -> int:
            return deeper(depth + 1)

        deeper(0)

    @fleet.command
    def leave(self) -> None:
        sys.exit(3)

    @fleet.command
    def end(self) -> None:
        os._exit(3)

    @fleet.command
    def reserve(self, size: int) -> int:
        return len(bytearray(size))

    @fleet.command
    def grow(self, megabytes: int) -> int:
        """Bit by bit, as a list that nobody bounded."""
        kept = [bytes([number % 256]) * (1 << 20) for number in range(megabytes)]
        return len(kept)

    @fleet.query
    def stall(self) -> None:
        while True:
            time.sleep(1.0)

    @fleet.query
    def fall(self) -> None:
        os._exit(3)

    @fleet.command
    def crash(self) -> None:
        ctypes.string_at(0)


class Writer(Unruly):
    """It takes every socket of its process for its own."""

    @fleet.command
    def write(self) -> None:
        for fd in sockets():
            os.write(fd, b"written by users' code")


class NeedsDescriptors(Unruly):
    """Hundreds of files are open while it is made."""

    def __init__(self) -> None:
        self.count = len([os.dup(0) for _ in range(1500)])


def sockets() -> list[int]:
    fds = [int(name) for name in os.listdir("/proc/self/fd")]
    return [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}") and stat.S_ISSOCK(os.fstat(fd).st_mode)]


class Heavy(Unruly):
    """It takes its time to be made."""

    def __init__(self) -> None:
        time.sleep(0.1)
