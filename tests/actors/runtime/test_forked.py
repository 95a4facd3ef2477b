"""The child that encodes a big snapshot."""

import os
import select
import time
from zlib import crc32

import pytest

from fleet.actors.runtime import forked_dump as forked
from fleet.actors.runtime.forked_dump import ForkedDump
from fleet.errors import NotEncodable

WAIT_S = 20


def outcome(dump: ForkedDump) -> bytes:
    assert select.select([dump.fileno()], [], [], WAIT_S)[0]
    state, crc = dump.take()
    dump.release()
    assert crc32(state) == crc
    return bytes(state)


def test_what_it_encoded_is_the_whole_snapshot() -> None:
    data = bytes(range(256)) * 10_000
    assert outcome(ForkedDump(lambda: data)) == data


def test_it_is_less_urgent_than_its_node() -> None:
    mine = os.nice(0)
    assert outcome(ForkedDump(lambda: b"%d" % os.nice(0))) == b"%d" % min(19, mine + forked.NICE)


def test_one_that_fails_says_so() -> None:
    with pytest.raises(ChildProcessError):
        outcome(ForkedDump(lambda: b"%d" % (1 // 0)))


def test_one_that_cannot_encode_the_state_says_what() -> None:
    def refuse() -> bytes:
        raise NotEncodable("no bytes hold it", field="x")

    with pytest.raises(NotEncodable, match="no bytes hold it") as caught:
        outcome(ForkedDump(refuse))
    assert caught.value.field == "x"


def test_one_that_others_waited_for_is_taken_all_the_same() -> None:
    """The program around an embedded node may wait for all its children, or ignore their ends."""
    dump = ForkedDump(lambda: b"state")
    os.waitpid(dump._pid, 0)
    assert outcome(dump) == b"state"


def test_it_keeps_nothing_open_that_is_its_parents() -> None:
    """After a kill -9 of the node it held the port and the lock of the directory, until it was done."""
    read, write = os.pipe()
    others = outcome(ForkedDump(lambda: " ".join(os.listdir("/proc/self/fd")).encode()))
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

    with pytest.raises(ChildProcessError):
        outcome(ForkedDump(hang))
