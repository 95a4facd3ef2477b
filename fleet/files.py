"""Directories and files whose names a loss of power does not take away.

A name is safe once the directory that has it is synced. So whoever relies on one syncs it, also when it is
there already: the process that made it may have ended before it could do so.
"""

import os
from contextlib import nullcontext, suppress
from pathlib import Path

from fleet.system.disk import sync


def sync_directory(path: Path) -> None:
    """The names in it are on the disk. Raises OSError."""
    _sync(path, os.O_DIRECTORY)


def sync_file(path: Path) -> None:
    """Its content and its name are on the disk. Raises OSError."""
    _sync(path)
    sync_name(path)


def sync_name(path: Path) -> None:
    """The name of this file or directory is on the disk. Raises OSError.

    A mount point is no name in the directory above. One in a directory that this process may not write was
    made by somebody else, who has to see to it where this process cannot.
    """
    parent = path.absolute().parent
    if path.is_mount():
        return
    with nullcontext() if os.access(parent, os.W_OK) else suppress(OSError):
        sync_directory(parent)


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Make it and those missing above it, unless they are there. Its name is on the disk on return.

    Invariant: a directory's name is on the disk before anything is made in it. Raises OSError.
    """
    path = path.absolute()
    if not path.exists():
        if path.parent.exists():
            sync_name(path.parent)
        else:
            make_directory(path.parent, 0o777)
    path.mkdir(mode=mode, exist_ok=True)
    sync_name(path)


def _sync(path: Path, flags: int = 0) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        sync(fd)
    finally:
        os.close(fd)
