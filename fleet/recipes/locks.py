"""Locks: one holder a name."""

import fleet
from fleet.recipes.hold import Hold
from fleet.recipes.holders import Granted, Holders
from fleet.recipes.plans import Ask


class Locks(Holders):
    """A holder that was paused may act when its lock is somebody else's: compare the fencing token
    (`Lease.token`) wherever it writes. There is no queue: who asks first once it is free gets it.
    """

    @fleet.command
    def acquire(self, name: str, owner: str, ttl: float) -> Granted:
        """Take it if it is free, or the owner's already."""
        return self._grant(name, owner, ttl, limit=1)

    @fleet.client_side
    def hold(self, name: str, ttl: float = 10.0, wait: float | None = None) -> Hold:
        """`with locks.hold("report", ttl=10) as lease:` waits for the lock up to `wait` seconds (None:
        without limit) and keeps it until the block is left. `ttl`: how long others wait if this process dies.
        """
        return Hold(self, Ask(self.acquire, ()), name, ttl, 1, wait)
