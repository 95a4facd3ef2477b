"""Barriers: where several meet before any of them goes on."""

import time
from collections import OrderedDict
from itertools import islice
from math import inf

import fleet
from fleet.errors import LeaseLost, NotDone, OutcomeUnknown, WaitTimeout
from fleet.recipes import lease
from fleet.recipes.holders import SWEPT, Holders
from fleet.recipes.lease import PAUSE_MAX_S, PAUSE_MIN_S, RENEWALS
from fleet.recipes.plans import Ask, Clock, Pause, Plan, run, run_aio

KEPT_S = 60.0
"""How much longer than it may wait one can ask whether it has passed: more than leaders' clocks differ by."""


class Barriers(Holders):
    """When as many have arrived as each of them says (`parties`), they pass together, and the barrier is
    closed again for the next. One that arrived and then died counts until its `ttl` is over.
    """

    passed: OrderedDict[str, tuple[int, float]] = OrderedDict()
    """By owner: at which revision it passed, and when that is forgotten."""

    @fleet.command
    def arrive(self, name: str, owner: str, parties: int, ttl: float) -> int:
        """Wait, or go on waiting, for `ttl`. Returns the revision at which all passed, 0 while they wait."""
        if parties < 1:
            raise fleet.Reject(f"parties must be at least 1, not {parties!r}")
        if owner not in self.passed:
            self._grant(name, owner, ttl)
            self._drop_all_over(name)
            owners = dict(self.owners[name])
            if len(owners) >= parties:
                for one, token in owners.items():
                    self.passed[one] = (fleet.ctx.index, self.leases[token][2] + KEPT_S)
                    self._drop(token)
        self._forget()
        return self.passed_at(owner)

    @fleet.command
    def leave(self, name: str, owner: str) -> int:
        """Wait no more. Returns the revision at which all passed before that, else 0."""
        token = self.owners.get(name, {}).get(owner)
        if token is not None:
            self._drop(token)
        self._forget()
        return self.passed_at(owner)

    @fleet.query
    def passed_at(self, owner: str) -> int:
        return self.passed.get(owner, (0, 0.0))[0]

    @fleet.client_side
    def wait(self, name: str, parties: int, ttl: float = 10.0, timeout: float | None = None) -> int:
        """Wait until `parties` have arrived, this one included. Returns the revision at which they passed,
        the same for all of them.

        Raises: WaitTimeout: not within `timeout` seconds; it has left. LeaseLost: the group did not answer
        for `ttl`, so that the others may pass without it.
        """
        return run(meeting(self, name, parties, ttl, timeout))

    @fleet.client_side
    async def wait_aio(self, name: str, parties: int, ttl: float = 10.0, timeout: float | None = None) -> int:
        return await run_aio(meeting(self, name, parties, ttl, timeout))

    def _forget(self) -> None:
        for owner in list(islice(self.passed, SWEPT)):
            self.passed.move_to_end(owner)
            if self.passed[owner][1] <= fleet.ctx.now:
                del self.passed[owner]


def meeting(
    barriers: Barriers,
    name: str,
    parties: int,
    ttl: float,
    timeout: float | None,
    clock: Clock = time.monotonic,
) -> Plan[int]:
    """One that arrives, by its own clock, as in `fleet.recipes.lease`."""
    owner = lease.new_owner()
    until = clock() + (inf if timeout is None else timeout)
    arrive_at, over_at, pause_s = -inf, inf, PAUSE_MIN_S
    while (now := clock()) < over_at:
        passed = 0
        try:
            if now >= arrive_at:
                passed = yield Ask(barriers.arrive, (name, owner, parties, ttl), min(ttl, over_at - now))
                arrive_at, over_at = now + ttl / RENEWALS, now + ttl
            else:
                passed = yield Ask(barriers.passed_at, (owner,), over_at - now)
        except (NotDone, OutcomeUnknown):
            if over_at == inf:
                raise
        if not passed and clock() >= until:
            passed = yield Ask(barriers.leave, (name, owner))
            if not passed:
                raise WaitTimeout(f"fewer than {parties} came to {name!r} in {timeout} s", name=name)
        if passed:
            return passed
        yield Pause(min(pause_s, ttl / RENEWALS, max(until - clock(), 0)))
        pause_s = min(2 * pause_s, PAUSE_MAX_S)
    raise LeaseLost(f"{name!r} did not hear of this one for {ttl} s", name=name, token=0)
