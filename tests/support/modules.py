"""Modules that a test writes, imports and replaces."""

import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest


class Modules:
    """A folder that modules are imported from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.folder / f"{name}.py").write_text(text)

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
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a file that is replaced at once has the same time
    made = Modules(tmp_path)
    yield made
    made.forget()
