"""Waiting for many descriptors: epoll, or its interface over `selectors`, which is kqueue on macOS."""

import os
import selectors
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from fleet.system import PORTABLE


class Poll(Protocol):
    """The interface of `select.epoll`, level-triggered, with the masks of this module."""

    def fileno(self) -> int:
        """Readable while `poll` would report something."""

    def register(self, fd: int, mask: int, /) -> None:
        """Raises PermissionError for a regular file, which is always readable."""

    def modify(self, fd: int, mask: int, /) -> None: ...

    def unregister(self, fd: int, /) -> None: ...

    def poll(self, timeout: float, events_max: int, /) -> list[tuple[int, int]]:
        """Descriptors with the masks of what happened, within `timeout` seconds."""

    def close(self) -> None: ...


class SelectorPoll:
    """A Poll over a selector.

    Errors and hang-ups are reported as READ or WRITE, whichever is waited for; with a mask of 0 nothing is.
    A number whose descriptor was closed without `unregister` may be registered again.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._once: set[int] = set()

    def fileno(self) -> int:
        return self._selector.fileno()

    def register(self, fd: int, mask: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            raise PermissionError(f"descriptor {fd} is a regular file")
        self.modify(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        self.unregister(fd)
        if mask & ONCE:
            self._once.add(fd)
        if mask & (READ | WRITE):
            self._selector.register(fd, mask & (READ | WRITE))

    def unregister(self, fd: int) -> None:
        self._once.discard(fd)
        with suppress(KeyError):
            self._selector.unregister(fd)

    def poll(self, timeout: float, events_max: int = -1) -> list[tuple[int, int]]:
        found: dict[int, int] = {}
        for key, events in self._selector.select(timeout):
            found[key.fd] = found.get(key.fd, 0) | events
        for fd in self._once & found.keys():
            self.unregister(fd)
        return list(found.items())

    def close(self) -> None:
        self._selector.close()


if sys.platform == "linux" and not PORTABLE:
    from select import EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLRDHUP, epoll

    open_poll: Callable[[], Poll] = epoll
    READ, WRITE, HANGUP, ONCE = EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLONESHOT
else:
    open_poll = SelectorPoll
    READ, WRITE, HANGUP, ONCE = selectors.EVENT_READ, selectors.EVENT_WRITE, 0, 1 << 30
