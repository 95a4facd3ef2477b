"""Elections: who leads among clients."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import fleet
from fleet.recipes.hold import Hold
from fleet.recipes.holders import Granted, Holders
from fleet.recipes.plans import Ask

Leader: TypeAlias = tuple[int, Any] | None
"""Its term and its value; None: there is none."""
POLL_S = 0.25


class Elections(Holders):
    """One leader a name, with a value that tells who it is. The lease's token is the term: it only grows. A
    leader that was paused may believe in an older term: compare terms wherever it gives orders.
    """

    @fleet.command
    def stand(self, name: str, owner: str, ttl: float, value: Any = None) -> Granted:
        """Lead if nobody does."""
        return self._grant(name, owner, ttl, limit=1, value=value)

    @fleet.query
    def leader(self, name: str) -> Leader:
        """As of the group's last command: its time may be over, if nobody else stands. `live` is exact."""
        return next(iter(self._values(name).items()), None)

    @fleet.client_side
    def campaign(self, name: str, value: Any = None, ttl: float = 10.0, wait: float | None = None) -> Hold:
        """`with elections.campaign("scheduler", value="host-7") as lease:` waits until it leads, and leads
        until the block is left. `lease.token` is the term."""
        return Hold(self, Ask(self.stand, (value,)), name, ttl, 1, wait)

    @fleet.client_side
    def observe(self, name: str, poll: float = POLL_S) -> Iterator[Leader]:
        """Each leader in turn, beginning with the one of now, looked for every `poll` seconds. Those between
        two looks are left out."""
        known: Leader | str = "nothing yet"
        while True:
            leader = self.leader(name)
            if leader != known:
                known = leader
                yield leader
            time.sleep(poll)

    @fleet.client_side
    async def observe_aio(self, name: str, poll: float = POLL_S) -> AsyncIterator[Leader]:
        """`async for leader in elections.observe_aio("scheduler"):`, as `observe`."""
        known: Leader | str = "nothing yet"
        while True:
            leader = await self.leader.aio(name)
            if leader != known:
                known = leader
                yield leader
            await asyncio.sleep(poll)
