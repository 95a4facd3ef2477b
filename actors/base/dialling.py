"""When to dial an endpoint, and which messages wait meanwhile: the policy of links, without sockets.

The simulated network uses it, too: the simulator runs the policy that ships.
"""

from collections import deque
from typing import Generic, TypeVar

from fleet.actors.base.settings import LinkSettings

L = TypeVar("L")


class DialState(Generic[L]):
    """The state of one endpoint that a process sends to. Times are seconds of one clock; `chance` is a random
    number in [0, 1).

    `known_dead` is set by a failed attempt and cleared by a link in either direction. While it is set,
    messages are dropped at once and attempts continue, one per back-off.

    Invariants: `link` is up, and None while an attempt is under way. `waiting` is empty unless an attempt is
    under way and `known_dead` is False.
    """

    __slots__ = (
        "endpoint",
        "link",
        "is_dialling",
        "failures",
        "not_before",
        "known_dead",
        "waiting",
        "waiting_bytes",
    )

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.link: L | None = None
        self.is_dialling = False
        self.failures = 0
        self.not_before = 0.0
        self.known_dead = False
        self.waiting: deque[tuple[float, int, bytes]] = deque()
        """(since, boot id or 0 for any, encoded message)"""
        self.waiting_bytes = 0

    def is_idle(self, now: float) -> bool:
        """Whether the next message begins an attempt."""
        return self.link is None and not self.is_dialling and now >= self.not_before

    def may_wait(self) -> bool:
        """Whether messages may wait for the attempt under way; otherwise they are dropped."""
        return self.is_dialling and not self.known_dead

    def wait(self, now: float, boot: int, item: bytes, settings: LinkSettings) -> bool:
        """Let a message wait. False if too many bytes wait already."""
        if self.waiting_bytes + len(item) > settings.waiting_bytes_max:
            return False
        self.waiting.append((now, boot, item))
        self.waiting_bytes += len(item)
        return True

    def connected(self, link: L, boot: int, now: float, settings: LinkSettings) -> tuple[list[bytes], int]:
        """The attempt has made a link to the process `boot`. Returns the messages to send over it, and how
        many were dropped since they waited too long or are for another process."""
        self.link, self.is_dialling = link, False
        self.answered()
        oldest = now - settings.waiting_ms_max / 1000
        waiting = self._take_waiting()
        items = [item for since, life, item in waiting if since >= oldest and life in (0, boot)]
        return items, len(waiting) - len(items)

    def answered(self) -> None:
        """There is a link, in either direction."""
        self.known_dead = False
        self.failures = 0
        self.not_before = 0.0

    def failed(self, now: float, chance: float, settings: LinkSettings) -> int:
        """The attempt has failed. Returns how many messages were dropped."""
        pause_ms = min(settings.retry_ms_min << min(self.failures, 20), settings.retry_ms_max)
        self.not_before = now + pause_ms / 1000 * (0.5 + 0.5 * chance)
        self.is_dialling = False
        self.failures += 1
        return self.unresolved()

    def unresolved(self) -> int:
        """The attempt takes too long: it continues, but no messages wait for it. Returns how many were
        dropped."""
        self.known_dead = True
        return len(self._take_waiting())

    def lost(self, now: float, chance: float, settings: LinkSettings) -> None:
        """The link has closed. The next message dials again and may wait for that attempt."""
        self.link = None
        self.not_before = now + settings.retry_ms_min / 1000 * chance

    def _take_waiting(self) -> deque[tuple[float, int, bytes]]:
        waiting, self.waiting = self.waiting, deque()
        self.waiting_bytes = 0
        return waiting
