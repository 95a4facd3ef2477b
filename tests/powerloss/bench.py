"""Programs that write below a directory, and what is there after the power went away."""

import subprocess
import sys
from pathlib import Path

from .disk import Disk
from .journal import Record, preloaded, read_journal

WAIT_S = 120.0
ROOT = Path(__file__).resolve().parents[2]


class Bench:
    def __init__(self, home: Path, library: Path) -> None:
        self.library = library
        self.root = home / "root"
        self.root.mkdir()
        self.journal = home / "journal"
        self.disk = Disk(self.root)
        """Before the last program."""

    def run(self, program: str, deaf: str = "") -> list[Record]:
        """Its records. It runs in the root."""
        self.disk = Disk(self.root)
        environment = preloaded(self.library, self.root, self.journal, 0, deaf) | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", program]
        try:
            subprocess.run(command, cwd=self.root, env=environment, check=True, timeout=WAIT_S)
            return list(read_journal(self.journal))
        finally:
            self.journal.unlink(missing_ok=True)
