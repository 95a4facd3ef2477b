"""Interpreters of other versions on this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def _candidates(version: str) -> Iterator[str]:
    name = f"python{version}"
    found = shutil.which(name)
    if found is not None:
        yield found
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted((root / "versions").glob(f"{version}.*/bin/{name}"), reverse=True))


def find_python(version: str) -> str | None:
    """The path of one of that version, as "3.12": on PATH or of pyenv. The one that runs is its own."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    for path in _candidates(version):
        if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:  # a shim may have none
            return path
    return None
