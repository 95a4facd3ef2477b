"""Directories and files whose names a loss of power does not take away."""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """The names in it are on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Unless it is there, with those missing above it; their names are on the disk. Raises OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder in missing:
        sync_directory(folder.parent)
