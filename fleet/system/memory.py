"""Files without a name, to share between processes: in memory, or in the directory of temporary files."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.system import PORTABLE

if sys.platform == "linux" and not PORTABLE:

    def nameless_file(name: str) -> int:
        """An empty one, readable and writable, which child processes do not inherit. `name` is for those who
        look at open files. Raises OSError."""
        return os.memfd_create(name, os.MFD_CLOEXEC)

    @contextmanager
    def readable_as_file(data: bytes) -> Iterator[str]:
        """A path under which `data` can be read meanwhile, by this process only. It is on no disk.
        Raises OSError."""
        fd = os.memfd_create("fleet-data", os.MFD_CLOEXEC)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{fd}"

else:

    def nameless_file(name: str) -> int:
        """As on Linux, on the disk of temporary files, where the name is gone at once."""
        fd, path = tempfile.mkstemp(prefix=f"{name}-")
        os.unlink(path)
        return fd

    @contextmanager
    def readable_as_file(data: bytes) -> Iterator[str]:
        """A path under which `data` can be read meanwhile, by this user only: a temporary file. Raises
        OSError."""
        with tempfile.NamedTemporaryFile(prefix="fleet-data-") as file:
            file.write(data)
            file.flush()
            yield file.name
