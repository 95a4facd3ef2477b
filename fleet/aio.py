"""`fleet` for asyncio: nothing here blocks the loop.

    async with fleet.aio.connect("127.0.0.1:7400") as f:
        visits = await f.create_group("visits", Counter, exist_ok=True)
        await visits.add.aio(5)

Await `.aio` of a handle's method, with either kind of client. Every other method of this `Fleet` takes the
arguments of its namesake in `fleet.Fleet`, runs in a thread, and is awaited; cancelling the wait does not
stop the thread.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from functools import partial, wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from fleet.actors.base.keyring import Keyring
from fleet.client import connection as blocking
from fleet.client.connection import BYTES_MAX, CALLS_MAX, TIMEOUT_S
from fleet.objects.watch import Since, Watch

__all__ = ["Fleet", "connect"]

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")


def _in_thread(
    method: Callable[Concatenate[blocking.Fleet, P], R],
) -> Callable[Concatenate["Fleet", P], Awaitable[R]]:
    @wraps(method)
    def twin(self: "Fleet", /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        return asyncio.to_thread(method, self.blocking, *args, **kwargs)

    return twin


class Fleet:
    """A connection to a cluster, for one or more asyncio loops; close it, or use it with `async with`."""

    def __init__(self, fleet: blocking.Fleet) -> None:
        self.blocking = fleet
        """The same connection, for threads."""

    def group(self, name: str, data_class: type[D]) -> D:
        """The group as an object of its class: `await handle.method.aio(...)`. Sends nothing."""
        return self.blocking.group(name, data_class)

    def watch(self, group: str, since: Since = None, kinds: Iterable[str] | None = None) -> Watch:
        """The group's events: `async for event in f.watch(...)`. Sends nothing yet."""
        return self.blocking.watch(group, since, kinds)

    create_group = _in_thread(blocking.Fleet.create_group)
    create_groups = _in_thread(blocking.Fleet.create_groups)
    remove_group = _in_thread(blocking.Fleet.remove_group)
    pin_group = _in_thread(blocking.Fleet.pin_group)
    set_replicas = _in_thread(blocking.Fleet.set_replicas)
    groups = _in_thread(blocking.Fleet.groups)
    backup = _in_thread(blocking.Fleet.backup)
    restore = _in_thread(blocking.Fleet.restore)

    members = _in_thread(blocking.Fleet.members)
    status = _in_thread(blocking.Fleet.status)
    statuses = _in_thread(blocking.Fleet.statuses)
    versions = _in_thread(blocking.Fleet.versions)
    upgrade = _in_thread(blocking.Fleet.upgrade)
    secrets = _in_thread(blocking.Fleet.secrets)
    rotate_secret = _in_thread(blocking.Fleet.rotate_secret)
    retire_secrets = _in_thread(blocking.Fleet.retire_secrets)
    rehearse = _in_thread(blocking.Fleet.rehearse)
    at = _in_thread(blocking.Fleet.at)
    past_calls = _in_thread(blocking.Fleet.past_calls)
    bisect = _in_thread(blocking.Fleet.bisect)
    diff = _in_thread(blocking.Fleet.diff)
    repair = _in_thread(blocking.Fleet.repair)
    whereis = _in_thread(blocking.Fleet.whereis)
    transfer_leader = _in_thread(blocking.Fleet.transfer_leader)
    release_leader = _in_thread(blocking.Fleet.release_leader)
    remove_member = _in_thread(blocking.Fleet.remove_member)
    skip = _in_thread(blocking.Fleet.skip)
    change_config = _in_thread(blocking.Fleet.change_config)

    cluster = _in_thread(blocking.Fleet.cluster)
    survey = _in_thread(blocking.Fleet.survey)
    nodes = _in_thread(blocking.Fleet.nodes)
    known_nodes = _in_thread(blocking.Fleet.known_nodes)
    answering = _in_thread(blocking.Fleet.answering)
    activate = _in_thread(blocking.Fleet.activate)
    drain = _in_thread(blocking.Fleet.drain)
    purge = _in_thread(blocking.Fleet.purge)
    set_purge_after = _in_thread(blocking.Fleet.set_purge_after)
    finalize = _in_thread(blocking.Fleet.finalize)

    close = _in_thread(blocking.Fleet.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Connecting:
    """What `connect` returns: await it for the `Fleet`, or enter it with `async with`."""

    def __init__(self, open_fleet: Callable[[], blocking.Fleet]) -> None:
        self._open_fleet = open_fleet
        self._fleet: Fleet | None = None

    def __await__(self) -> Generator[object, None, Fleet]:
        return self._open().__await__()

    async def _open(self) -> Fleet:
        opening = asyncio.get_running_loop().run_in_executor(None, self._open_fleet)
        try:
            return Fleet(await asyncio.shield(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise

    async def __aenter__(self) -> Fleet:
        self._fleet = await self._open()
        return self._fleet

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._fleet is not None
        await self._fleet.close()


def _close_unwanted(opening: "asyncio.Future[blocking.Fleet]") -> None:
    """The caller was cancelled before the connection was open."""
    if not opening.cancelled() and opening.exception() is None:
        opening.get_loop().run_in_executor(None, opening.result().close)


def connect(
    addresses: str | Sequence[str],
    *,
    cluster: str = "fleet",
    secret: bytes | str | Keyring | None = None,
    secret_file: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT_S,
    wait: float = 0.0,
    calls_max: int = CALLS_MAX,
    bytes_max: int = BYTES_MAX,
    wait_when_full: bool = False,
    zone: str = "",
) -> Connecting:
    """As `fleet.connect`: `f = await fleet.aio.connect(...)`, or `async with fleet.aio.connect(...) as f`."""
    return Connecting(
        partial(
            blocking.connect,
            addresses,
            cluster=cluster,
            secret=secret,
            secret_file=secret_file,
            timeout=timeout,
            wait=wait,
            calls_max=calls_max,
            bytes_max=bytes_max,
            wait_when_full=wait_when_full,
            zone=zone,
        )
    )
