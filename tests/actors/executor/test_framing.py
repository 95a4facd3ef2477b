"""Frames between a node and its child, however the stream is cut."""

import os
import socket
from collections import deque
from random import Random

import pytest

from fleet.actors.executor.framing import Frames, framed, receive, with_memory
from fleet.actors.messages.executor import LoadState

BODIES = [b"", b"a", b"bc" * 40, bytes(5000), b"", b"end"]
STREAM = b"".join(map(framed, BODIES))


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 100, len(STREAM)])
def test_frames_come_out_as_they_went_in(size: int) -> None:
    frames = Frames()
    parts = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [frame for part in parts for frame in frames.feed(part)] == BODIES


def test_frames_come_out_as_they_went_in_whatever_the_cuts() -> None:
    rng = Random(1)
    for _ in range(100):
        cuts = sorted({0, len(STREAM), *(rng.randrange(len(STREAM)) for _ in range(rng.randrange(12)))})
        frames = Frames()
        parts = [STREAM[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]
        assert [frame for part in parts for frame in frames.feed(part)] == BODIES


def test_a_frame_comes_out_as_soon_as_it_is_there() -> None:
    frames = Frames()
    whole = framed(b"abc")
    assert list(frames.feed(whole[:-1])) == []
    assert list(frames.feed(whole[-1:] + whole[:3])) == [b"abc"]


@pytest.mark.parametrize("stray", [b"written by users' code", bytes(8), b"\xff" * 8])
def test_bytes_that_are_no_frame_are_refused(stray: bytes) -> None:
    frames = Frames()
    cut = frames.feed(framed(b"abc") + stray)
    assert next(cut) == b"abc"
    with pytest.raises(ValueError, match="no frame"):
        next(cut)


def test_a_message_without_the_memory_that_it_brings_is_refused() -> None:
    with pytest.raises(ValueError, match="memory"):
        with_memory(LoadState(1, 1, b"", in_memory=5), deque())


def test_receiving_without_waiting_does_not_wait_on_a_blocking_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5.0)  # a wait would end as TimeoutError
        ours.setblocking(True)
        with pytest.raises(BlockingIOError):
            receive(ours, 100, socket.MSG_DONTWAIT)
        theirs.sendall(b"x")
        assert receive(ours, 100, socket.MSG_DONTWAIT) == (b"x", [])


def test_descriptors_arrive_with_their_bytes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = os.memfd_create("test")
        os.write(fd, b"state")
        socket.send_fds(theirs, [b"x"], [fd])
        os.close(fd)
        data, (arrived,) = receive(ours, 100)
        assert (data, os.pread(arrived, 10, 0)) == (b"x", b"state")
        os.close(arrived)
