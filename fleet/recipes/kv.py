"""KV: values by key, with times to live and compare-and-set."""

from collections import OrderedDict
from itertools import islice
from typing import Any, TypeAlias

import fleet
from fleet.recipes.holders import SWEPT, checked
from fleet.recipes.plans import Ask, Plan, run, run_aio

Entry: TypeAlias = tuple[Any, int, bool]
"""The value, the revision at which it was put, 0 if there is none, and whether it has a time to live."""
ABSENT: Entry = (None, 0, False)


class KV(fleet.Data):
    """`compare_and_set` with the revision that came with the value changes what nobody else has changed
    since. A key with a time to live (`ttl`, seconds) is not there once that is over; setting it again without
    one makes it stay.
    """

    fingerprint_modules = ["fleet.recipes.holders"]

    values: dict[str, tuple[Any, int]] = {}
    """By key: the value, and its revision."""
    over_at: OrderedDict[str, float] = OrderedDict()
    """Of the keys that have a time to live."""

    @fleet.command
    def put(self, key: str, value: Any, ttl: float | None = None) -> int:
        """Set it, whatever it is, for as long as `ttl` says. Returns its revision."""
        return self._put(key, value, None if ttl is None else checked(ttl))

    @fleet.command
    def compare_and_set(self, key: str, revision: int, value: Any, ttl: float | None = None) -> int | None:
        """Set it if its revision is still this one; 0: if it is not there. Returns the new revision, or None:
        it was another one, and nothing was changed."""
        ttl = None if ttl is None else checked(ttl)
        return self._put(key, value, ttl) if self._fresh(key)[1] == revision else None

    @fleet.command
    def delete(self, key: str, revision: int | None = None) -> bool:
        """Remove it, if its revision is this one; None: any. Returns whether it was there and was removed."""
        had = self._fresh(key)[1]
        if not had or revision not in (None, had):
            return False
        self._drop(key)
        return True

    @fleet.command
    def entry_now(self, key: str) -> Entry:
        """As `entry`, and nothing that is over. A command, since only commands know what time it is."""
        return self._fresh(key)

    @fleet.query
    def entry(self, key: str) -> Entry:
        """As of the group's last command: the time of a key that has one may be over since."""
        return (*self.values[key], key in self.over_at) if key in self.values else ABSENT

    @fleet.query
    def keys(self, prefix: str = "") -> list[str]:
        """In order; as of the group's last command."""
        return sorted(key for key in self.values if key.startswith(prefix))

    @fleet.client_side
    def get(self, key: str, default: Any = None) -> Any:
        """The value, else `default`. One query; for a key with a time to live one command more."""
        value, revision = self.get_with_revision(key)
        return value if revision else default

    @fleet.client_side
    async def get_aio(self, key: str, default: Any = None) -> Any:
        value, revision = await self.get_with_revision_aio(key)
        return value if revision else default

    @fleet.client_side
    def get_with_revision(self, key: str) -> tuple[Any, int]:
        """The value and its revision; (None, 0): it is not there."""
        return run(_reading(self, key))

    @fleet.client_side
    async def get_with_revision_aio(self, key: str) -> tuple[Any, int]:
        return await run_aio(_reading(self, key))

    def _put(self, key: str, value: Any, ttl: float | None) -> int:
        self._drop(key)
        self.values[key] = (value, fleet.ctx.index)
        if ttl is not None:
            self.over_at[key] = fleet.ctx.now + ttl
        self._sweep()
        return fleet.ctx.index

    def _fresh(self, key: str) -> Entry:
        self._sweep()
        self._drop_if_over(key)
        return (*self.values[key], key in self.over_at) if key in self.values else ABSENT

    def _drop(self, key: str) -> None:
        self.values.pop(key, None)
        self.over_at.pop(key, None)

    def _drop_if_over(self, key: str) -> None:
        if key in self.over_at and self.over_at[key] <= fleet.ctx.now:
            self._drop(key)

    def _sweep(self) -> None:
        for key in list(islice(self.over_at, SWEPT)):
            self.over_at.move_to_end(key)
            self._drop_if_over(key)


def _reading(kv: KV, key: str) -> Plan[tuple[Any, int]]:
    value, revision, is_timed = yield Ask(kv.entry, (key,))
    if is_timed:
        value, revision, _ = yield Ask(kv.entry_now, (key,))
    return value, revision
