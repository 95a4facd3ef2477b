"""Bytes of an open file on the disk itself."""

import os
import sys

if sys.platform == "darwin":
    import errno
    from fcntl import F_FULLFSYNC, fcntl

    _UNKNOWN = (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY)
    """How a file system says that it has no such call."""

    def sync(fd: int) -> None:
        """By the call that LMDB makes there: fsync leaves bytes in the disk's own cache. Raises OSError."""
        try:
            fcntl(fd, F_FULLFSYNC)
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
            os.fsync(fd)

else:

    def sync(fd: int) -> None:
        """Raises OSError."""
        os.fsync(fd)
