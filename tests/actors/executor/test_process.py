"""An executor as a process of its own."""

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from select import select
from typing import Any

import pytest

from fleet.actors.executor.channel import ENDS_WITHIN_S, ExecutorEnded, ProcessChannel
from fleet.actors.messages.executor import (
    IN_MEMORY_ABOVE,
    ApplyEntries,
    ClassTried,
    EntriesApplied,
    FromExecutor,
    LoadState,
    ObjectOpened,
    OpenObject,
    StateLoaded,
    TryClass,
)
from fleet.objects.applier import Applier
from fleet.objects.class_refs import encode_class
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import encode_call
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, SessionOpened
from tests.support.unruly import Heavy, NeedsDescriptors, Unruly, Writer

PROGRAM = """
import sys
import fleet.actors.executor.process
import fleet
names = ("fleet.node", "fleet.client", "fleet.actors.base", "fleet.actors.member", "lmdb", "thespian")
print([name for name in sys.modules if name.startswith(names)])
"""


def test_an_executor_starts_soon_since_it_imports_nothing_of_the_node() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.fixture
def channel() -> Iterator[ProcessChannel]:
    channel = ProcessChannel()
    yield channel
    channel.end()


def answers(channel: ProcessChannel, count: int) -> list[FromExecutor]:
    received: list[FromExecutor] = []
    while len(received) < count:
        channel.flush()
        assert select([channel.fileno()], [], [], 20.0)[0], received
        received += channel.receive()
    return received


def test_what_waits_behind_a_slow_message_is_handled_without_another_one(channel: ProcessChannel) -> None:
    heavy = encode_class(Heavy)
    for number in (1, 2, 3):
        channel.send(TryClass(number, number, heavy))
    assert answers(channel, 3) == [ClassTried(number, number, None) for number in (1, 2, 3)]


# -- what users' code and a full host may do to it --------------------------------------------------


def open_object(channel: ProcessChannel, cls: type[Any]) -> int:
    """The session with which commands are executed."""
    channel.send(OpenObject(1, 1, "g", "m", encode_class(cls), GroupConfig()))
    channel.send(ApplyEntries(1, 1, (Entry(1, 1, SessionOpened("me", 0)),)))
    opened, applied = answers(channel, 2)
    assert isinstance(opened, ObjectOpened) and isinstance(applied, EntriesApplied)
    return applied.opened[0].session


def how_it_ends(channel: ProcessChannel) -> str:
    with pytest.raises(ExecutorEnded) as ended:
        answers(channel, 100)
    return str(ended.value)


def test_users_code_that_writes_on_the_executors_socket_ends_the_executor_only(
    channel: ProcessChannel,
) -> None:
    session = open_object(channel, Writer)
    write = Commands(session, 1, 0, 0, (encode_call("write", (), {}),))
    channel.send(ApplyEntries(1, 1, (Entry(1, 2, write),)))
    assert how_it_ends(channel) == "its answers cannot be read: bytes that are no frame"


def test_an_executor_that_meets_something_unexpected_says_so_and_fails(
    capfd: pytest.CaptureFixture[str],
) -> None:
    channel = ProcessChannel()
    try:
        assert channel._socket is not None
        channel._socket.send(b"no frame, but bytes")
        assert how_it_ends(channel) == "it ended with status 1"
    finally:
        channel.end()
    assert "ValueError: bytes that are no frame" in capfd.readouterr().err


def test_an_executor_has_as_many_descriptors_as_its_host_allows() -> None:
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, most))
    try:
        channel = ProcessChannel()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))
    try:
        channel.send(TryClass(1, 1, encode_class(NeedsDescriptors)))
        assert answers(channel, 1) == [ClassTried(1, 1, None)]
    finally:
        channel.end()


def test_a_big_state_arrives_from_a_node_that_has_no_descriptor_left(
    channel: ProcessChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*args: Any) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    open_object(channel, Unruly)
    executor = ObjectExecutor(Unruly)
    executor._object.value = "x" * (2 * IN_MEMORY_ABOVE)
    state = Applier(executor, GroupConfig()).dump()
    monkeypatch.setattr(os, "memfd_create", none_left)
    channel.send(LoadState(1, 1, state))
    assert answers(channel, 1) == [StateLoaded(1, 1, 0, 0)]


def test_a_node_does_not_wait_for_a_process_that_cannot_be_killed(
    channel: ProcessChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs in the kernel, say in a core dump."""
    process = channel._process
    stuck = Stuck()
    monkeypatch.setattr(channel, "_process", stuck)
    began = time.monotonic()
    assert channel._how_it_ended() == "it closed its connection"
    channel.end()
    assert stuck.is_killed and time.monotonic() - began < 5 * ENDS_WITHIN_S
    process.wait(20.0)


class Stuck:
    """A child process that does not end."""

    is_killed = False

    def wait(self, timeout: float | None = None) -> int:
        assert timeout is not None, "for ever"
        time.sleep(timeout)
        raise subprocess.TimeoutExpired("it", timeout)

    def kill(self) -> None:
        self.is_killed = True
