"""A program of the tests whose actors are processes, or threads, of Thespian's own bases."""

import ast
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Any

from tests.processes.nodes import ROOT

WAIT_S = 45.0


class StockWorld:
    """A module that answers lines on stdin, with all its actors' processes.

    Thespian's admin leaves the process group, so they are known by a word in their environment.
    """

    def __init__(self, home: Path, module: str, *args: str) -> None:
        self.mark = f"FLEET_TEST_WORLD={home}"
        environment = {
            **os.environ,
            "FLEET_TEST_WORLD": str(home),
            "TMPDIR": str(home),
            "THESPLOG_FILE": str(home / "thespian.log"),
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, method: str, *args: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(repr((method, *args)) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select([self.process.stdout], [], [], WAIT_S)
        assert ready, f"no answer to {method} {args}"
        return ast.literal_eval(self.process.stdout.readline())

    def end(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.close()
            self.process.wait(10)
        finally:
            while left := self._processes():
                for process in left:
                    with suppress(ProcessLookupError):  # it went by itself
                        os.kill(process, signal.SIGKILL)
            self.process.wait()
            self.process.stdout.close()

    def _processes(self) -> list[int]:
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # gone, or not ours to look at
                if self.mark.encode() in (directory / "environ").read_bytes().split(b"\0"):
                    found.append(int(directory.name))
        return found
