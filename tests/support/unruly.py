"""A data class whose commands do what commands should not; nodes of the tests import this module by name."""

import ctypes
import os
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
    def hang(self) -> None:
        self.value += 1000
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


class Heavy(Unruly):
    """It takes its time to be made."""

    def __init__(self) -> None:
        time.sleep(0.1)
