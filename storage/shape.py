"""The extent of each group's log, cached in memory so that an append needs no lookup."""

from typing import Final

from msgspec import Struct

from fleet.interfaces import Write
from fleet.raft.ids import Index

NOTHING: Final[Index] = 1 << 62
"""Beyond every log."""
DELETED_MAX: Final = 10_000
"""Entries of the history that one write deletes, besides twice as many as leave the log: what is not wanted
any more may be millions, and other groups wait for the same transaction."""


class Extent(Struct, frozen=True, gc=False):
    """The log has the entries from `first` to `last`; an empty log has `first` = `last` + 1.

    Invariant: first <= snapshot + 1 and last >= snapshot, so that no entry is missing between the snapshot
    (0: none) and the log.
    """

    first: Index = 1
    last: Index = 0
    snapshot: Index = 0
    generation: int = 0
    """Of the current snapshot. Grows with each, so that an unfinished one is never mistaken for it."""
    chunks: int = 0
    past: Index = 1
    """Not after the first entry that is stored: up to `first` they are kept for the history, or wait to be
    deleted. Never more than `first`."""


def reshape(
    shape: Extent, write: Write, generation: int, chunks: int, kept: Index | None = None
) -> tuple[Extent, list[range]]:
    """The shape after the write, and the ranges of entries to delete before its own are put.

    `generation` and `chunks` are those of the write's snapshot or, without one, unchanged. `kept`: the first
    entry that the history needs; None: as before. An AssertionError means that the submitter would leave a
    gap in the log.
    """
    first, last = shape.first, shape.last
    if write.snapshot is None and not write.reset and write.keep_after < first <= last and write.entries:
        start, end = write.entries[0].index, write.entries[-1].index
        if start == last + 1 and end - last == len(write.entries):  # what most writes are
            return Extent(first, end, shape.snapshot, generation, chunks, shape.past), []
    snapshot = write.snapshot.meta.index if write.snapshot is not None else shape.snapshot
    gone: list[range] = []
    if write.reset:
        first = last + 1
    elif write.keep_after >= first:
        first = min(write.keep_after, last) + 1
    if kept is None:
        kept = shape.past if shape.past < shape.first else NOTHING
    if write.reset:
        gone.append(range(shape.first, last + 1))
        kept = NOTHING
    past = min(first, kept)
    assert past >= shape.past, f"entries from {past} on are to be kept, and there are those from {shape.past}"
    past = min(past, shape.past + 2 * (first - shape.first) + DELETED_MAX)
    gone.append(range(shape.past, past))
    if first > last:
        past = snapshot + 1 if past == first else past
        first, last = snapshot + 1, snapshot
    if write.entries:
        start, end = write.entries[0].index, write.entries[-1].index
        assert end - start + 1 == len(write.entries), f"entries {start}..{end} have a hole"
        if first > last:
            past, first = (start if past == first else past), start
        assert first <= start <= last + 1, f"entries from {start} do not fit a log {first}..{last}"
        gone.append(range(end + 1, last + 1))
        last = end
    assert first <= snapshot + 1, f"log begins at {first}, too far after its snapshot {snapshot}"
    assert last >= snapshot, f"log ends at {last}, before its snapshot {snapshot}"
    return Extent(first, last, snapshot, generation, chunks, past), gone
