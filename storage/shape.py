"""The extent of each group's log, cached in memory so that an append needs no lookup."""

from msgspec import Struct

from fleet.interfaces import Write
from fleet.raft.ids import Index


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


def reshape(shape: Extent, write: Write, generation: int, chunks: int) -> tuple[Extent, list[range]]:
    """The shape after the write, and the ranges of entries to delete before its own are put.

    `generation` and `chunks` are those of the write's snapshot or, without one, unchanged. An AssertionError
    means that the submitter would leave a gap in the log.
    """
    first, last = shape.first, shape.last
    if write.snapshot is None and not write.reset and write.keep_after < first <= last and write.entries:
        start, end = write.entries[0].index, write.entries[-1].index
        if start == last + 1 and end - last == len(write.entries):  # what most writes are
            return Extent(first, end, shape.snapshot, generation, chunks), []
    snapshot = write.snapshot.meta.index if write.snapshot is not None else shape.snapshot
    gone: list[range] = []
    if write.reset:
        gone.append(range(first, last + 1))
        first = last + 1
    elif write.keep_after >= first:
        cut = min(write.keep_after, last)
        gone.append(range(first, cut + 1))
        first = cut + 1
    if first > last:
        first, last = snapshot + 1, snapshot
    if write.entries:
        start, end = write.entries[0].index, write.entries[-1].index
        assert end - start + 1 == len(write.entries), f"entries {start}..{end} have a hole"
        if first > last:
            first = start
        assert first <= start <= last + 1, f"entries from {start} do not fit a log {first}..{last}"
        gone.append(range(end + 1, last + 1))
        last = end
    assert first <= snapshot + 1, f"log begins at {first}, too far after its snapshot {snapshot}"
    assert last >= snapshot, f"log ends at {last}, before its snapshot {snapshot}"
    return Extent(first, last, snapshot, generation, chunks), gone
