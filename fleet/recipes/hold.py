"""`with ... .hold(name, ttl=10) as lease:` for threads, `async with` for asyncio tasks."""

import asyncio
import logging
import os
import threading
from functools import cache
from math import inf
from types import TracebackType

from fleet.errors import ConfigError, FleetError, LeaseLost
from fleet.recipes.holders import Holders
from fleet.recipes.lease import Lease, acquire, give_back, keep
from fleet.recipes.plans import Ask, Plan, run, run_aio

log = logging.getLogger("fleet.recipes")


@cache
def _loop_of(process: int) -> asyncio.AbstractEventLoop:
    """Of the one thread that renews whatever the threads of this process hold; a fork has none."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="fleet.recipes", daemon=True).start()
    return loop


class Hold:
    """Enter it once, by `with` or `async with`, to wait for the name and get its Lease. That is renewed
    meanwhile, and the name is given back when the block is left.

    A lease that is lost raises LeaseLost: from `lease.check()`, when the block is left, and in asyncio in the
    block itself, where it awaits something. Where the release gets no answer, the name is free after `ttl`.

    Raises when it is entered: WaitTimeout after `wait` seconds; the errors of a call.
    """

    def __init__(
        self, holders: Holders, grant: Ask, name: str, ttl: float, limit: float, wait: float | None
    ) -> None:
        if not ttl > 0 or (wait is not None and not wait >= 0):
            raise ConfigError(f"ttl must be more than 0 seconds and wait not below, not {ttl!r} and {wait!r}")
        self._holders = holders
        self._grant = grant
        self._lease = Lease(name, ttl)
        self._limit = limit
        self._wait = inf if wait is None else wait
        self._cancelled = False

    def _acquire(self) -> Plan[Lease]:
        if self._lease.token:
            raise ConfigError("this was entered before; call hold(...) for each `with`")
        return acquire(self._holders, self._grant, self._lease, self._limit, self._wait)

    # -- threads -------------------------------------------------------------------------------------

    def __enter__(self) -> Lease:
        lease = run(self._acquire())
        self._keeping = asyncio.run_coroutine_threadsafe(
            run_aio(keep(self._holders, lease)), _loop_of(os.getpid())
        )
        return lease

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._keeping.cancel()
        try:
            run(give_back(self._holders, self._lease))
        except FleetError as failure:
            self._ended(failure, is_first=kind is None)

    # -- asyncio -------------------------------------------------------------------------------------

    async def __aenter__(self) -> Lease:
        lease = await run_aio(self._acquire())
        body = asyncio.current_task()
        assert body is not None
        self._task = asyncio.create_task(self._keep_aio(body))
        self._cancels_before = body.cancelling()
        return lease

    async def _keep_aio(self, body: "asyncio.Task[object]") -> None:
        await run_aio(keep(self._holders, self._lease))
        self._cancelled = True
        body.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        body = asyncio.current_task()
        assert body is not None
        self._task.cancel()
        if self._cancelled and body.uncancel() <= self._cancels_before and kind is asyncio.CancelledError:
            self._lease.check()
        try:
            await run_aio(give_back(self._holders, self._lease))
        except FleetError as failure:
            self._ended(failure, is_first=kind is None)

    def _ended(self, failure: FleetError, is_first: bool) -> None:
        if isinstance(failure, LeaseLost) and is_first:
            raise failure
        log.warning("%r was not given back, it is free in %s s: %s", self._lease, self._lease.ttl, failure)
