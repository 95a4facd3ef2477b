"""Keys that clients give their commands: each is executed once, whoever sends it, from whatever process.

The table is replicated state beside the sessions: it changes only by applying entries, in log time, and
travels in snapshots. A key is never forgotten before its time, since its command could be executed again: a
table that is full refuses new keys instead.
"""

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from msgspec import Struct

from fleet.raft.config import GroupConfig
from fleet.raft.ids import Millis, Revision

KEY_OVERHEAD = 100
"""What a key weighs besides its text and its result: about the bytes that it takes."""


class KeyedResult(Struct, frozen=True, array_like=True, gc=False):
    """What came of the command that was executed under a key."""

    key: str
    digest: bytes
    """Of its method and arguments."""
    until_ms: Millis
    """When it is forgotten, by the table's own clock."""
    revision: Revision
    value: bytes
    """Members may have encoded it differently."""
    weight: int = 0
    """How much it counts in the limits of the group, with its key; the same on every member."""


class KeptKeys(Struct, frozen=True, array_like=True):
    """The table in a snapshot, in the order in which the commands were executed."""

    clock_ms: Millis = 0
    results: tuple[KeyedResult, ...] = ()


@dataclass(slots=True)
class KeyTable:
    """Invariant: `by_time` is a heap with one item for each of `results`."""

    clock_ms: Millis = 0
    """Log time that has passed while there were keys. What lies between the clocks of two leaders is left out
    of account: it may be years."""
    results: dict[str, KeyedResult] = field(default_factory=dict)
    by_time: list[tuple[Millis, str]] = field(default_factory=list)
    weight: int = 0
    """Of all results."""

    @classmethod
    def of(cls, kept: KeptKeys) -> "KeyTable":
        table = cls(kept.clock_ms, {one.key: one for one in kept.results})
        table.by_time = [(one.until_ms, one.key) for one in kept.results]
        heapify(table.by_time)
        table.weight = sum(one.weight for one in kept.results)
        return table

    def kept(self) -> KeptKeys:
        return KeptKeys(self.clock_ms, tuple(self.results.values()))

    def pass_time(self, period_ms: Millis) -> None:
        """Forget the keys whose time is over."""
        self.clock_ms += period_ms
        while self.by_time and self.by_time[0][0] < self.clock_ms:
            self.weight -= self.results.pop(heappop(self.by_time)[1]).weight

    def is_full(self, config: GroupConfig) -> bool:
        return len(self.results) >= config.keys_max or self.weight >= config.keys_bytes_max

    def record(
        self, key: str, digest: bytes, keep_ms: Millis, revision: Revision, value: bytes, weight: int
    ) -> None:
        """`weight`: that of the value."""
        assert key not in self.results, f"key {key!r} executed twice"
        about = key, digest, self.clock_ms + keep_ms, revision, value, KEY_OVERHEAD + len(key) + weight
        result = self.results[key] = KeyedResult(*about)
        heappush(self.by_time, (result.until_ms, key))
        self.weight += result.weight
