"""Leaders whose log is due for a snapshot or behind one, and chunks of a snapshot."""

from zlib import crc32

from fleet.raft.config import GroupConfig
from fleet.raft.core import Core
from fleet.raft.entries import Members, SnapshotMeta
from fleet.raft.events import (
    Propose,
    SnapshotTaken,
)
from fleet.raft.ids import MemberId
from fleet.raft.messages import (
    InstallSnapshot,
)
from fleet.raft.ready import Ready
from tests.raft.cores import (
    CONFIG,
    N1,
    N2,
    THREE,
    accept,
    command,
    settle,
    settled,
    step,
)

SMALL = GroupConfig(snapshot_floor_bytes=300, snapshot_factor=1, log_tail=2)
DATA = b"0123456789" * 10
META = SnapshotMeta(index=9, term=2, members=Members(THREE), config=CONFIG, size=len(DATA), crc=crc32(DATA))


def chunk(
    offset: int = 0, size: int = 1000, meta: SnapshotMeta = META, src: MemberId = N2, term: int = 2
) -> InstallSnapshot:
    return InstallSnapshot(
        term, src, N1, meta=meta, offset=offset, data=DATA[offset : offset + size], round=0, sent_at=5
    )


def grown() -> tuple[Core, int]:
    """A leader that asks for a snapshot, with n3 silent all the while."""
    core = settled(config=SMALL)
    readies: list[Ready] = []
    for number in range(12):
        readies += step(core, Propose(number, (command(number + 1),)), later=1)
        accept(core, N2)
        readies += settle(core)
    (at,) = [ready.take_snapshot for ready in readies if ready.take_snapshot]
    return core, at


def compacted() -> tuple[Core, int]:
    """Its log begins behind entry 1."""
    core, at = grown()
    step(core, SnapshotTaken(at, DATA))
    return core, at
