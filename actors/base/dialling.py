"""When to dial an endpoint, and what becomes of messages meanwhile: the policy of links, without sockets.

The simulated network uses it, too, so that what is simulated is what ships.
"""

from collections import deque
from typing import Generic, TypeVar

from fleet.actors.base.settings import LinkSettings

L = TypeVar("L")


class DialState(Generic[L]):
    """What a process remembers of one endpoint that it sends to. Times are in seconds of any one clock;
    `chance` is a random number in [0, 1).

    `known_dead` is set by a failed attempt and cleared by a link in either direction: messages to a peer
    that does not answer are dropped at once, while its attempts go on, one a back-off.

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
        """Whether the next message to it begins an attempt."""
        return self.link is None and not self.is_dialling and now >= self.not_before

    def may_wait(self) -> bool:
        """Whether a message may wait for the attempt that is under way; otherwise it is dropped."""
        return self.is_dialling and not self.known_dead

    def wait(self, now: float, boot: int, item: bytes, settings: LinkSettings) -> bool:
        """False: too much waits already."""
        if self.waiting_bytes + len(item) > settings.waiting_bytes_max:
            return False
        self.waiting.append((now, boot, item))
        self.waiting_bytes += len(item)
        return True

    def connected(self, link: L, boot: int, now: float, settings: LinkSettings) -> tuple[list[bytes], int]:
        """The attempt made a link, to the life `boot`. Returns what still has to leave over it, and how many
        messages are dropped: they waited too long, or were meant for another life."""
        self.link, self.is_dialling = link, False
        self.answered()
        oldest = now - settings.waiting_ms_max / 1000
        waiting = self._take_waiting()
        items = [item for since, life, item in waiting if since >= oldest and life in (0, boot)]
        return items, len(waiting) - len(items)

    def answered(self) -> None:
        """There is a link, in whichever direction."""
        self.known_dead = False
        self.failures = 0
        self.not_before = 0.0

    def failed(self, now: float, chance: float, settings: LinkSettings) -> int:
        """An attempt ended without a link. Returns how many messages are dropped."""
        pause_ms = min(settings.retry_ms_min << min(self.failures, 20), settings.retry_ms_max)
        self.not_before = now + pause_ms / 1000 * (0.5 + 0.5 * chance)
        self.is_dialling = False
        self.failures += 1
        return self.unresolved()

    def unresolved(self) -> int:
        """The attempt takes too long: it goes on, and nothing waits for it any more. Returns as `failed`."""
        self.known_dead = True
        return len(self._take_waiting())

    def lost(self, now: float, chance: float, settings: LinkSettings) -> None:
        """The link is gone; the next message dials again, and may wait for that attempt."""
        self.link = None
        self.not_before = now + settings.retry_ms_min / 1000 * chance

    def _take_waiting(self) -> deque[tuple[float, int, bytes]]:
        waiting, self.waiting = self.waiting, deque()
        self.waiting_bytes = 0
        return waiting
