"""The clock of a real host, seen in one whose clocks were set apart."""

import os
import shutil
import subprocess
import sys

import pytest

from fleet.actors.runtime.clock import SystemClock

SLEPT_S = 86_400


def test_the_clock_goes_on_while_the_host_is_suspended() -> None:
    """A lease that stood still over the sleep of its leader's host allowed stale reads after it (S19)."""
    apart = ["unshare", "--time", "--fork", "--boottime", str(SLEPT_S), "--"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a time namespace")
    show = "from fleet.actors.runtime.clock import SystemClock; print(SystemClock().now_ms())"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.check_output([*apart, sys.executable, "-c", show], env=env)
    assert int(shown) - SystemClock().now_ms() >= SLEPT_S * 1000 - 60_000
