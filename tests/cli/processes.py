"""Running the `fleet` command as a process, and looking at what it leaves."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[2]
FLEET = (sys.executable, "-m", "fleet.cli")
PATIENCE_S = 60.0
"""For what takes a second on a quiet machine."""


def environment(directory: Path, **extra: str) -> dict[str, str]:
    """Nothing of the user's: temporary files, secret and settings are in `directory`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FLEET_")}
    own = {"TMPDIR": str(directory), "XDG_CONFIG_HOME": str(directory / "config"), "PYTHONPATH": str(ROOT)}
    return {**kept, **own, **extra}


def script(directory: Path) -> Path:
    """The `fleet` command as an installation makes it: its own directory is on the path, and no other of
    the user's."""
    path = directory / "bin" / "fleet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nfrom fleet.cli import main\n\nmain()\n")
    path.chmod(0o755)
    return path


def run(directory: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FLEET, *arguments],
        cwd=directory,
        env=environment(directory, **extra),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@contextmanager
def started(directory: Path, *arguments: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
    """Killed at the end of the block if it still runs."""
    process = subprocess.Popen(
        [*FLEET, *arguments],
        cwd=directory,
        env=environment(directory, **extra),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What it prints up to and with the line that has `words`."""
    assert process.stdout is not None
    seen = ""
    deadline = monotonic() + PATIENCE_S
    while words not in seen:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - monotonic()))
        line = process.stdout.readline() if ready else ""
        assert line, f"no {words!r} in:\n{seen}"
        seen += line
    return seen


def children(process: int) -> list[str]:
    """The ids of its child processes."""
    return [
        child
        for tasks in Path(f"/proc/{process}/task").glob("*/children")
        for child in tasks.read_text().split()
    ]


def processes_with(word: str) -> list[int]:
    """Those that run and have `word` in their command line: the test's own directory is in that of a node."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if word.encode() in command:
                found.append(int(entry.name))
    return found
