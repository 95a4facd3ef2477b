"""Leases: who is there."""

from math import inf
from typing import Any

import fleet
from fleet.recipes.hold import Hold
from fleet.recipes.holders import Granted, Holders
from fleet.recipes.plans import Ask


class Leases(Holders):
    """Any number of holders a name, each with a value that is there for as long as it renews: the addresses
    of a service's processes, say. `live(name)` and `seen(name)` list them.
    """

    @fleet.command
    def acquire(self, name: str, owner: str, ttl: float, value: Any = None) -> Granted:
        """Be there, or go on with another value."""
        return self._grant(name, owner, ttl, value=value)

    @fleet.client_side
    def hold(self, name: str, value: Any = None, ttl: float = 10.0) -> Hold:
        """`with leases.hold("workers", value="10.0.0.5:80"):` is there until the block is left. `ttl`: how
        long it is taken to be there after this process has died."""
        return Hold(self, Ask(self.acquire, (value,)), name, ttl, inf, None)
