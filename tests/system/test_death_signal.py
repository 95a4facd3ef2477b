"""A group of processes ends with the one that started it, by the kernel's word or by a thread's."""

import os
import signal
import subprocess
import sys

import pytest

from tests.processes.nodes import ROOT
from tests.processes.stock_nodes import is_alive
from tests.support.waiting import eventually

# As Thespian starts its admin: a session of its own, and no longer a child.
PROGRAM = """
import os, time
from fleet.system.death_signal import DeathSignal
told, tell = os.pipe()
death = DeathSignal()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    death.arm()
    child = os.fork()
    if child:
        os.write(tell, f"{os.getpid()} {child}".encode())
    time.sleep(60)
    os._exit(0)
print(os.read(told, 100).decode(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("portable", ["", "1"])
def test_a_group_is_killed_when_the_process_that_started_it_is(portable: str) -> None:
    environment = {**os.environ, "FLEET_PORTABLE": portable}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        group = [int(word) for word in started.stdout.readline().split()]
        assert len(group) == 2 and all(map(is_alive, group))
        started.send_signal(signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, group)), what="the group to end")
