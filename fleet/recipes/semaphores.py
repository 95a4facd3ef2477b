"""Semaphores: up to so many holders a name."""

import fleet
from fleet.recipes.hold import Hold
from fleet.recipes.holders import Granted, Holders
from fleet.recipes.plans import Ask


class Semaphores(Holders):
    """The limit comes with each request, which is granted while there are fewer holders than it says: let all
    that ask for a name say the same. Tokens are as those of `Locks`.
    """

    @fleet.command
    def acquire(self, name: str, owner: str, ttl: float, limit: int) -> Granted:
        """Take one of `limit` places, unless the owner has one already."""
        if limit < 1:
            raise fleet.Reject(f"limit must be at least 1, not {limit!r}")
        return self._grant(name, owner, ttl, limit)

    @fleet.client_side
    def hold(self, name: str, limit: int, ttl: float = 10.0, wait: float | None = None) -> Hold:
        """As `Locks.hold`, for one of `limit` places."""
        return Hold(self, Ask(self.acquire, (limit,)), name, ttl, limit, wait)
