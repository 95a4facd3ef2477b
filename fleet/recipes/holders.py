"""Names that are held for a time: what locks, semaphores, leases and elections have in common."""

from collections import OrderedDict
from itertools import islice
from math import inf
from typing import Any, TypeAlias

import fleet

Granted: TypeAlias = tuple[int, float]
"""The token, and 0.0; or 0, and in how many seconds the first of the holders' leases is over by itself."""
SWEPT = 4
"""So many leases are looked at by each command: those that are over never outnumber the others for long."""


class Holders(fleet.Data):
    """A holder has a name until its time to live (`ttl`, seconds) is over or it gives the name back, and may
    renew it before. Its token is the revision of the command that granted it: each is larger than all before.

    The owner is who asks, so that asking twice takes a name once. A lease that is over cannot be renewed or
    released, whether or not somebody else has the name by now.
    """

    fingerprint_modules = ["fleet.recipes.holders"]

    leases: OrderedDict[int, tuple[str, str, float, Any]] = OrderedDict()
    """By token: name, owner, when it is over, and the holder's value."""
    owners: dict[str, dict[str, int]] = {}
    """By name, the token of each owner."""

    @fleet.command
    def renew(self, name: str, token: int, ttl: float) -> None:
        """Let the lease last for `ttl` from now on. Rejected: it is over, or was given back."""
        _, owner, _, value = self._mine(name, token)
        self.leases[token] = (name, owner, fleet.ctx.now + checked(ttl), value)
        self._sweep()

    @fleet.command
    def release(self, name: str, token: int) -> None:
        """Give the name back. Rejected: it is not held by this token any more."""
        self._mine(name, token)
        self._drop(token)
        self._sweep()

    @fleet.command
    def live(self, name: str) -> dict[int, Any]:
        """The holders' values by token, in the order of the grants. A command, since only commands know what
        time it is: `seen` costs less."""
        self._drop_all_over(name)
        self._sweep()
        return self._values(name)

    @fleet.query
    def seen(self, name: str) -> dict[int, Any]:
        """As `live`, with leases that may be over: nobody is told of that before the next commands."""
        return self._values(name)

    @fleet.query
    def count(self, name: str) -> int:
        """How many have it, as `seen`."""
        return len(self.owners.get(name, ()))

    def _grant(self, name: str, owner: str, ttl: float, limit: float = inf, value: Any = None) -> Granted:
        until = fleet.ctx.now + checked(ttl)
        owners = self.owners.get(name, {})
        if owner in owners:
            self._drop_if_over(owners[owner])
        elif len(owners) >= limit:
            self._drop_all_over(name)
        if owner not in owners and len(owners) >= limit:
            self._sweep()
            return 0, min(self.leases[token][2] for token in owners.values()) - fleet.ctx.now
        token = owners.get(owner) or fleet.ctx.index
        self.leases[token] = (name, owner, until, value)
        self.owners.setdefault(name, owners)[owner] = token
        self._sweep()
        return token, 0.0

    def _mine(self, name: str, token: int) -> tuple[str, str, float, Any]:
        lease = self.leases.get(token)
        if lease is None or lease[0] != name or lease[2] <= fleet.ctx.now:
            raise fleet.Reject(f"{name!r} is not held with token {token}: that is over, or was given back")
        return lease

    def _drop(self, token: int) -> None:
        name, owner, _, _ = self.leases.pop(token)
        del self.owners[name][owner]
        if not self.owners[name]:
            del self.owners[name]

    def _drop_if_over(self, token: int) -> None:
        if self.leases[token][2] <= fleet.ctx.now:
            self._drop(token)

    def _drop_all_over(self, name: str) -> None:
        for token in list(self.owners.get(name, {}).values()):
            self._drop_if_over(token)

    def _sweep(self) -> None:
        for token in list(islice(self.leases, SWEPT)):
            self.leases.move_to_end(token)
            self._drop_if_over(token)

    def _values(self, name: str) -> dict[int, Any]:
        return {token: self.leases[token][3] for token in self.owners.get(name, {}).values()}


def checked(ttl: float) -> float:
    """Raises Reject: no time that can pass."""
    if not 0 < ttl < inf:
        raise fleet.Reject(f"ttl must be more than 0 seconds, not {ttl!r}")
    return ttl
