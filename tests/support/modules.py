"""Modules that a test writes, imports and replaces."""

import importlib
import os
import sys
import types
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

TIMES = count(1_000_000_000)


class Modules:
    """A folder that modules are imported from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            path, time = self.folder / f"{name}.py", next(TIMES)
            path.write_text(text)
            os.utime(path, (time, time))  # what is compiled is told by its source's size and time, in seconds

    def load(self, **texts: str) -> types.ModuleType:
        """Write these, forget what was imported, and import the first."""
        self.write(**texts)
        self.forget()
        importlib.invalidate_caches()
        return importlib.import_module(next(iter(texts)))

    def forget(self) -> None:
        for path in self.folder.rglob("*.py"):
            sys.modules.pop(path.stem, None)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Modules(tmp_path)
    yield made
    made.forget()
