"""What a child process arranges for itself."""

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from select import select

import pytest

from fleet.system import processes
from fleet.system.sockets import fail_when_silent
from tests.support.portable import environment, portable
from tests.support.waiting import WAIT_S

CHILD = """
from fleet.system.processes import end_with_parent
end_with_parent()
print("ready", flush=True)
while True:
    pass
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.mark.parametrize("variables", [dict, environment], ids=["linux", "portable"])
def test_a_process_that_never_returns_ends_with_its_parent(variables: Callable[[], dict[str, str]]) -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **variables()}) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        assert select([parent.stdout], [], [], WAIT_S)[0], "the child has not ended"
        assert parent.stdout.read() == b""


def test_the_limit_of_descriptors_is_raised_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS says that there is no limit, and refuses more than 10,240."""
    limits: list[tuple[int, int]] = []

    def set_limit(which: int, limit: tuple[int, int]) -> None:
        if limit[0] == resource.RLIM_INFINITY:
            raise ValueError("not allowed to raise maximum limit")
        limits.append(limit)

    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    processes.raise_descriptor_limit()
    assert limits == [(10_240, resource.RLIM_INFINITY)]


def test_the_descriptors_of_a_process_are_listed_on_both_sides() -> None:
    paths = (processes.OPEN_DESCRIPTORS, portable("processes").OPEN_DESCRIPTORS)
    reader, writer = os.pipe()
    assert len(set(paths)) == 2
    for path in paths:
        assert {str(reader), str(writer)} <= set(os.listdir(path))
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("fail", [fail_when_silent, portable("sockets").fail_when_silent])
def test_a_silent_host_is_noticed(fail: Callable[[socket.socket, int], None]) -> None:
    with socket.socket() as sock:
        fail(sock, 5000)
        numbers = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert [sock.getsockopt(socket.IPPROTO_TCP, number) for number in numbers] == [2, 1, 3]
