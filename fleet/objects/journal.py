"""How an object is restored after a command that left it half changed: from the bytes that it had, and the
commands executed since.

Every member does the same, so they stay equal. A failing command costs one load, the replay and one dump.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from fleet.errors import FleetError
from fleet.interfaces import Context, Executor
from fleet.raft.ids import Index

OVERHEAD = 256
"""Bytes that a command in the journal takes besides its payload."""
BYTES_MIN = 1 << 20
"""A journal up to this is kept, however small the object is."""


class Executed(Struct, frozen=True, gc=False):
    """Commands that left the object intact."""

    index: Index
    context: Context
    """Of the first."""
    payloads: tuple[bytes, ...]
    is_due: bool = False
    """They are reminders."""


@dataclass(slots=True)
class Journal:
    """Invariant: `base`, and then `executed`, give the object as it is after the last command that left it
    intact."""

    base: Callable[[], bytes | None] = field(default=lambda: None)
    """The object's bytes at the start; None: a new object."""
    base_at: Index = 0
    base_bytes: int = 0
    executed: list[Executed] = field(default_factory=list)
    size: int = 0
    """In bytes, of what was executed."""
    size_max: int = BYTES_MIN

    def keep(self, executed: Executed) -> None:
        self.executed.append(executed)
        self.size += _bytes_of(executed)

    def bound(self, executor: Executor, index: Index) -> None:
        """With more than twice the object's size, it is replaced by the object's bytes as of now: after the
        entry `index`."""
        if self.size <= self.size_max:
            return
        try:
            self._rebase_here(index, executor.dump())
        except (FleetError, MemoryError):  # tried again when it has doubled
            self.size_max = 2 * self.size

    def roll_back(self, executor: Executor, index: Index) -> None:
        """Undo changes that are not in it. The entry `index` is the newest."""
        executor.load(self.base())
        for one in self.executed:
            executor.replay(one.context, one.payloads, one.is_due)
        if self.executed:
            self._rebase_here(index, executor.dump())

    def _rebase_here(self, index: Index, state: bytes) -> None:
        self.executed.clear()
        self.rebase(index, lambda: state, len(state))

    def rebase(self, index: Index, base: Callable[[], bytes | None], size: int) -> None:
        """Replace the base: `base` returns the object as of `index`, about `size` bytes. What was executed up
        to there is dropped."""
        if index >= self.base_at:
            self.executed = [one for one in self.executed if one.index > index]
            self.size = sum(map(_bytes_of, self.executed))
            self.size_max = max(BYTES_MIN, 2 * size)
            self.base, self.base_at, self.base_bytes = base, index, size

    def bytes_about(self) -> int:
        """What encoding the object would give, as far as is known without doing it: its size when it was
        last encoded, and the commands since."""
        return self.base_bytes + self.size - OVERHEAD * sum(len(one.payloads) for one in self.executed)


def _bytes_of(executed: Executed) -> int:
    return OVERHEAD * len(executed.payloads) + sum(map(len, executed.payloads))
