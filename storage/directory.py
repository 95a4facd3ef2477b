"""The data directory around the database: its lock, and a check of the file before LMDB opens it.

LMDB maps its file and trusts it: a truncated file kills the process with SIGBUS, and a wrong page number may
do worse. So the file is checked with ordinary reads before LMDB opens it.
"""

import fcntl
import importlib
import os
from pathlib import Path
from struct import Struct
from typing import Any

from fleet.errors import Damaged, DirectoryInUse, StorageFault
from fleet.files import make_directory

ENVIRONMENT = "env"
"""The folder of the database in a data directory."""
DATA = "data.mdb"
_MAGIC = (0xBEEFC0DE).to_bytes(4, "little")
_HEADER_BYTES_MAX = 64
_PAGE_BYTES = Struct("<I")
_LAST_PAGE = Struct("<QQ")
_PAGE_BYTES_AT, _LAST_PAGE_AT = 24, 120
"""Offsets behind the magic number, the same in LMDB's data formats 1 and 3 on 64 bits."""
_META_BYTES = 136


class Lock:
    """An exclusive lock on a directory, held until `release` or the end of the process.

    A forked child closes its copy at once: the lock must not outlive its owner in a child.

    Raises:
        DirectoryInUse: another process holds the lock.
        StorageFault: the directory cannot be locked.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "lock"
        self._fd = -1
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 20, 0).decode(errors="replace").strip()
            os.close(self._fd)
            pid = int(holder) if holder.isascii() and holder.isdigit() else None
            raise DirectoryInUse("the data directory is in use", path=str(directory), pid=pid) from None
        except OSError as error:
            what = f"the data directory cannot be locked: {error.strerror}"
            raise StorageFault(what, path=str(directory)) from error
        _held.add(self)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self, for_all: bool = True) -> None:
        """`for_all`: also release copies of the lock in child processes."""
        if self._fd >= 0:
            if for_all:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
            self._fd = -1
            _held.discard(self)


_held: set[Lock] = set()


def _release_in_child() -> None:
    for lock in list(_held):
        lock.release(for_all=False)


os.register_at_fork(after_in_child=_release_in_child)


def check_data_file(env: Path, verify_bytes_max: int) -> None:
    """Refuse a file that LMDB must not open.

    Verifies every page (about 180 MB/s) of a file of up to `verify_bytes_max` bytes, or of one shorter than
    its header says, since free pages may legitimately lie beyond the end. Of a bigger file only the size is
    checked.

    Raises:
        Damaged: the file is unusable; says why.
    """
    path = env / DATA
    if not path.exists():
        raise Damaged("the data file is missing", path=str(path), place=DATA)
    size = path.stat().st_size
    needed = _claimed_bytes(path, size)
    if size >= needed and size > verify_bytes_max:
        return
    try:
        verifier: Any = importlib.import_module("lmdb.verify")
    except ImportError:  # py-lmdb before 3
        if size < needed:
            raise _bad(path, f"it is truncated: {size} bytes of {needed}") from None
        return
    try:
        problems = verifier.verify(str(env))
    except verifier.VerifyError as error:
        raise _bad(path, str(error)) from error
    problems = [one for one in problems if "leak" not in one]
    if problems:
        cut = f"it is truncated: {size} bytes of {needed}; " if size < needed else ""
        raise _bad(path, f"{cut}{len(problems)} problems, first: {problems[0]}")


def _claimed_bytes(path: Path, size: int) -> int:
    """How many bytes the file must have for all pages in its newest header."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES_MAX)
        at = head.find(_MAGIC)
        if at < 0:
            raise _bad(path, "it is not an LMDB file" if size else "it is empty")
        pages = []
        page_bytes = 0
        for number in (0, 1):
            file.seek(number * page_bytes + at)
            description = file.read(_META_BYTES)
            if len(description) < _META_BYTES or description[:4] != _MAGIC:
                raise _bad(path, f"its header {number} is damaged")
            page_bytes = page_bytes or _PAGE_BYTES.unpack_from(description, _PAGE_BYTES_AT)[0]
            if page_bytes not in (1 << bits for bits in range(8, 17)):
                raise _bad(path, f"its pages cannot have {page_bytes} bytes")
            last, txn = _LAST_PAGE.unpack_from(description, _LAST_PAGE_AT)
            pages.append((txn, last + 1))
    return int(max(pages)[1]) * page_bytes


def _bad(path: Path, what: str) -> Damaged:
    return Damaged(f"the data file cannot be used: {what}", path=str(path), place=DATA)


def make_private(path: Path) -> None:
    try:
        make_directory(path)
    except OSError as error:
        raise StorageFault(
            f"the data directory cannot be created: {error.strerror}", path=str(path)
        ) from error
