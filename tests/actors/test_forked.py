"""The child that encodes a big snapshot."""

import os
import select
import time

import pytest

from fleet.actors import forked
from fleet.actors.forked import ForkedDump

WAIT_S = 20


def outcome(dump: ForkedDump) -> bytes | None:
    assert select.select([dump.fileno()], [], [], WAIT_S)[0]
    return dump.take()


def test_what_it_encoded_is_the_whole_snapshot() -> None:
    data = bytes(range(256)) * 10_000
    assert outcome(ForkedDump(lambda: data)) == data


def test_one_that_fails_gives_nothing() -> None:
    assert outcome(ForkedDump(lambda: b"%d" % (1 // 0))) is None


def test_it_keeps_nothing_open_that_is_its_parents() -> None:
    """After a kill -9 of the node it held the port and the lock of the directory, until it was done."""
    read, write = os.pipe()
    others = outcome(ForkedDump(lambda: " ".join(os.listdir("/proc/self/fd")).encode()))
    assert others is not None
    open_there = {int(fd) for fd in others.split()}
    assert not open_there & {read, write}
    assert len(open_there - {0, 1, 2}) == 3, "its memory, its end of the pipe, and the listing's own"
    os.close(read)
    os.close(write)


def test_one_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "CHILD_S_MAX", 1)

    def hang() -> bytes:
        time.sleep(60)
        return b""

    assert outcome(ForkedDump(hang)) is None
