"""Rate limits: a token bucket a name."""

from collections import OrderedDict
from itertools import islice
from math import ceil, inf

import fleet
from fleet.errors import WaitTimeout
from fleet.recipes.holders import SWEPT
from fleet.recipes.plans import Ask, Pause, Plan, run, run_aio

SECOND = 1_000_000_000
"""Whole numbers: a sum of them is exact, whatever the rate."""


class RateLimits(fleet.Data):
    """Each name lets through `rate` a second in the long run, and `burst` at once after a pause. Both come
    with each request: let all that ask for a name say the same.
    """

    fingerprint_modules = ["fleet.recipes.holders"]

    full_at: OrderedDict[str, int] = OrderedDict()
    """When the bucket is full again, if nothing more is taken. One that is full takes no space."""

    @fleet.command
    def take(self, name: str, rate: float, burst: int = 1, n: int = 1) -> float:
        """Take `n` out of the bucket. Returns 0.0; or, if there is too little in it, nothing is taken, and
        the result says in how many seconds there is enough."""
        if not (0 < rate < inf and 0 < n <= burst):
            raise fleet.Reject(f"rate must be above 0, n from 1 to burst, not {rate!r}, {n!r} and {burst!r}")
        now, each = round(fleet.ctx.now * 1000) * (SECOND // 1000), ceil(SECOND / rate)
        full_at = max(self.full_at.get(name, 0), now) + n * each
        too_early = full_at - now - burst * each
        if too_early <= 0:
            self.full_at[name] = full_at
        for other in list(islice(self.full_at, SWEPT)):
            self.full_at.move_to_end(other)
            if self.full_at[other] <= now:
                del self.full_at[other]
        return max(too_early, 0) / SECOND

    @fleet.client_side
    def wait(self, name: str, rate: float, burst: int = 1, n: int = 1, timeout: float | None = None) -> None:
        """Take, and wait until there is enough. Raises WaitTimeout once `timeout` seconds will not do."""
        run(_taking(self, name, rate, burst, n, timeout))

    @fleet.client_side
    async def wait_aio(
        self, name: str, rate: float, burst: int = 1, n: int = 1, timeout: float | None = None
    ) -> None:
        await run_aio(_taking(self, name, rate, burst, n, timeout))


def _taking(
    limits: RateLimits, name: str, rate: float, burst: int, n: int, timeout: float | None
) -> Plan[None]:
    left = inf if timeout is None else timeout
    while wait_s := (yield Ask(limits.take, (name, rate, burst, n))):
        if wait_s > left:
            raise WaitTimeout(f"{name!r} lets {n} more through in {wait_s:.3f} s", name=name)
        yield Pause(wait_s)
        left -= wait_s
