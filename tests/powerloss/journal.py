"""What a process wrote and synced, as tests/powerloss/journal.c has recorded it from outside."""

import os
import subprocess
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple

SOURCE = Path(__file__).with_name("journal.c")
SYNC_US = 500
"""What a sync takes: about what one takes on this disk."""
_HEADER = Struct("<IIIIIIQQ")
_MAGIC = 0xF1EE70FF


class Kind(IntEnum):
    """As in journal.c."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    SYNCED = 5
    """One write, by a descriptor opened with O_DSYNC."""
    RENAME = 6
    REMOVE = 7
    MKDIR = 8
    MAP = 9
    LINK = 10
    STRANGE = 11
    """A call that the model does not know."""


class Record(NamedTuple):
    kind: Kind
    pid: int
    number: int
    """Of a write."""
    offset: int
    """Of a write, or the new size."""
    path: str
    other: str
    data: bytes


def build_library(directory: Path) -> Path:
    """The library for LD_PRELOAD. Raises CalledProcessError."""
    library = directory / "journal.so"
    words = ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(words, check=True)
    return library


def preloaded(
    library: Path, root: Path, journal: Path, sync_us: int = SYNC_US, deaf: str = ""
) -> dict[str, str]:
    """The environment of a process whose writes below `root` are recorded. `deaf`: a kind of sync, `fsync` or
    `fdatasync`, that does nothing, as on a disk that lies."""
    return os.environ | {
        "LD_PRELOAD": str(library),
        "POWERLOSS_ROOT": str(root.resolve()),
        "POWERLOSS_JOURNAL": str(journal),
        "POWERLOSS_SYNC_US": str(sync_us),
        "POWERLOSS_DEAF": deaf,
    }


def read_journal(path: Path) -> Iterator[Record]:
    """In the order of the calls. A record that a SIGKILL has cut off is left out: it can only be the last."""
    if not path.exists():
        return
    content = path.read_bytes()
    at = 0
    while at + _HEADER.size <= len(content):
        magic, kind, pid, path_bytes, other_bytes, data_bytes, number, offset = _HEADER.unpack_from(
            content, at
        )
        assert magic == _MAGIC, f"no record at {at} of {path}"
        at += _HEADER.size
        whole = content[at : at + path_bytes + other_bytes + data_bytes]
        if len(whole) < path_bytes + other_bytes + data_bytes:
            return
        at += len(whole)
        name, other = whole[:path_bytes], whole[path_bytes : path_bytes + other_bytes]
        data = whole[path_bytes + other_bytes :]
        yield Record(Kind(kind), pid, number, offset, name.decode(), other.decode(), data)
