"""What a member runs on: a disk that keeps what completed, a clock of its own rate, the weather outside."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fleet.objects.applier import Applier
from fleet.raft.core import Core
from fleet.raft.entries import Entry, HardState, SnapshotMeta
from fleet.raft.ids import MemberId, Millis
from fleet.raft.messages import PeerMessage
from fleet.raft.ready import Hook, PersistRequest, SaveRequest
from fleet.raft.state import NEVER
from tests.raft.ledger import Ledger


@dataclass
class Disk:
    """What a member finds after a crash: the contract of `fleet.interfaces.Write`, in dicts."""

    hard: HardState = HardState()
    snapshot: SnapshotMeta | None = None
    data: bytes = b""
    entries: dict[int, Entry] = field(default_factory=dict)

    def carry_out(self, write: PersistRequest) -> None:
        if write.snapshot is not None:
            self.snapshot, self.data = write.snapshot, write.snapshot_data
        if write.reset:
            self.entries.clear()
        if write.entries:
            first = write.entries[0].index
            for index in [index for index in self.entries if index >= first]:
                del self.entries[index]
            self.entries.update((entry.index, entry) for entry in write.entries)
        if write.hard is not None:
            self.hard = write.hard
        if write.entries:
            self.hard = HardState(self.hard.term, self.hard.vote, max(self.hard.commit, write.commit))

    def save(self, save: SaveRequest) -> None:
        """The leader's snapshot may have overtaken it."""
        if self.snapshot is None or self.snapshot.index < save.meta.index:
            self.snapshot, self.data = save.meta, save.data
            for index in [index for index in self.entries if index <= save.keep_after]:
                del self.entries[index]

    def holds(self, entry: Entry) -> bool:
        covered = self.snapshot is not None and self.snapshot.index >= entry.index
        return covered or self.entries.get(entry.index) == entry

    def log(self) -> list[Entry]:
        return [self.entries[index] for index in sorted(self.entries)]


@dataclass
class Host:
    """One member's process: its core, its data object, its disk and its clock."""

    id: MemberId
    disk: Disk
    core: Core
    applier: Applier
    life: int = 0
    """Raised by a crash: what was scheduled for an earlier life is lost."""
    alive: bool = True
    paused: list[tuple[str, Any]] | None = None
    """What arrives during a pause is handled after it."""
    rate: int = 1000
    """Local milliseconds in 1000 of the world's."""
    writes: deque[PersistRequest] = field(default_factory=deque)
    disk_busy_until: Millis = 0
    held: list[tuple[int, PeerMessage]] = field(default_factory=list)
    waiting: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    opening: dict[str, list[int]] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    gone: bool = False

    @property
    def ledger(self) -> Ledger:
        executor = self.applier.executor
        assert isinstance(executor, Ledger)
        return executor

    def local(self, now: Millis) -> Millis:
        return now * self.rate // 1000

    def wakes_at(self) -> Millis:
        if not self.alive or self.paused is not None or self.core.deadline >= NEVER:
            return NEVER
        return -(-self.core.deadline * 1000 // self.rate)


@dataclass
class Weather:
    """How the network and the disks behave."""

    loss: float = 0.0
    twice: float = 0.0
    delay_ms: tuple[int, int] = (1, 4)
    late: float = 0.0
    late_ms: int = 1000
    disk_ms: tuple[int, int] = (1, 2)
    cut: set[tuple[MemberId, MemberId]] = field(default_factory=set)
    """Pairs (from, to) that nothing passes."""
    drop: Callable[[PeerMessage], bool] = lambda message: False
