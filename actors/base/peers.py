"""What is remembered about one endpoint: its link, how often it failed, what waits for the first connect."""

from __future__ import annotations

import ipaddress
import socket
from collections import deque
from typing import TYPE_CHECKING

from fleet.actors.base.settings import split_endpoint
from fleet.errors import ConfigError

if TYPE_CHECKING:
    from fleet.actors.base.link import Link


class Peer:
    """Invariant: `waiting` is empty unless an attempt is under way and `known_dead` is False.

    `known_dead` is set by a failed attempt, cleared by a link in either direction: messages to a peer
    that does not answer are dropped at once, while its attempts go on, one a back-off.
    """

    __slots__ = (
        "endpoint",
        "link",
        "failures",
        "not_before",
        "known_dead",
        "resolving",
        "is_itself",
        "waiting",
        "waiting_bytes",
        "host",
        "port",
        "family",
    )

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.link: Link | None = None
        self.failures = 0
        self.not_before = 0.0
        self.known_dead = False
        self.resolving = False
        self.is_itself = False
        """A process has proved to be this very endpoint, so this is not just another name for one."""
        self.waiting: deque[tuple[float, int, bytes]] = deque()
        self.waiting_bytes = 0
        self.family: int | None = None
        try:
            self.host, self.port = split_endpoint(endpoint)
            version = ipaddress.ip_address(self.host.partition("%")[0]).version
            self.family = socket.AF_INET if version == 4 else socket.AF_INET6
        except ConfigError:
            self.host, self.port = "", 0
        except ValueError:
            pass  # a name, to be resolved at each attempt

    def is_idle(self, now: float) -> bool:
        return self.link is None and not self.resolving and now >= self.not_before

    def wait(self, now: float, boot: int, item: bytes, bytes_max: int) -> bool:
        if self.waiting_bytes + len(item) > bytes_max:
            return False
        self.waiting.append((now, boot, item))
        self.waiting_bytes += len(item)
        return True

    def take_waiting(self) -> deque[tuple[float, int, bytes]]:
        waiting, self.waiting = self.waiting, deque()
        self.waiting_bytes = 0
        return waiting

    def failed(self, now: float, pause_s: float) -> None:
        self.link = None
        self.known_dead = True
        self.failures += 1
        self.not_before = now + pause_s

    def unresolved(self) -> None:
        """Its name is still looked up; nothing waits for that any more."""
        self.known_dead = True

    def answered(self) -> None:
        self.known_dead = False
        self.failures = 0
        self.not_before = 0.0
