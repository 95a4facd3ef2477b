"""What a store keeps beyond what a restart reads: older snapshots ("bases") and the entries after them.

Entries of the history stay where they were written, before the beginning of the log that a restart reads
(`SnapshotHead.log_first`). They go by whole generations: from a base up to the next one, together with it, so
that the state at every entry that is kept can be made again; entries that are many wait for later writes to
delete them. Nothing here is read by a restart.
"""

from collections.abc import Sequence

from fleet.errors import Damaged
from fleet.interfaces import Base, Write
from fleet.raft.entries import Entry, size_of
from fleet.raft.ids import Index
from fleet.raft.ready import Retain
from fleet.storage import keys, snapshots
from fleet.storage.records import SnapshotHead, damaged, pack, unpack, unpack_entry
from fleet.storage.shape import NOTHING, Extent
from fleet.storage.transaction import Transaction

FINENESS = 8
"""A snapshot becomes a base only so many times within the bound: more would take space and shorten little."""


def read_bases(txn: Transaction, number: int) -> list[Base]:
    """The older snapshots, the oldest first."""
    return [unpack(key, record, Base) for key, record in txn.scan(*keys.kind_range(number, keys.BASE))]


def as_base(head: SnapshotHead | None) -> Base:
    return Base(head.generation, head.meta, head.at_ms) if head is not None else Base()


def turn(txn: Transaction, number: int, before: Extent, one: Write) -> tuple[Index, bool]:
    """Decide what is kept when the snapshot of this write replaces the former one, and delete the bases that
    are not. Returns the first entry that is kept for them, and whether the chunks of the former snapshot are.
    """
    assert one.snapshot is not None
    retain = one.retain if one.retain is not None else Retain()
    is_whole = not one.reset and one.snapshot.meta.index <= before.last and (retain.entries or retain.ms)
    has_bases = txn.span(*keys.kind_range(number, keys.BASE)) is not None
    if not is_whole:
        if has_bases:
            _delete_all(txn, number, before.generation)
        return NOTHING, False
    try:
        former, found = as_base(snapshots.read_head(txn, number)), read_bases(txn, number)
    except Damaged:  # what is damaged is no use, and recovery does not depend on it
        _delete_all(txn, number, before.generation)
        return NOTHING, False
    kept = _kept(found, former, retain, one.snapshot.meta.index)
    for base in found:
        if base not in kept:
            _delete(txn, number, base)
    if former in kept:
        key = keys.base_key(number, former.generation)
        txn.put([(key, pack(key, former))])
    return kept[0].index + 1 if kept else NOTHING, former in kept


def begin_log_at(txn: Transaction, number: int, first: Index) -> None:
    """What is before is kept for the history alone."""
    head = snapshots.read_head(txn, number)
    assert head is not None
    key = keys.snapshot_key(number)
    txn.put([(key, pack(key, SnapshotHead(head.generation, head.meta, head.at_ms, first)))])


def _kept(found: Sequence[Base], former: Base, retain: Retain, index: Index) -> list[Base]:
    kept = [*found]
    if not kept or _is_apart(kept[-1], former, retain):
        kept.append(former)
    while len(kept) > 1 and _is_past(kept[1], retain, index):
        del kept[0]
    if len(kept) == 1 and kept[0] is not former and _is_past(former, retain, index):
        return [former]
    return kept


def _is_apart(last: Base, former: Base, retain: Retain) -> bool:
    """Whether it is worth its space. Where the class changes it always is: the code that executed the entries
    before may be gone."""
    if last.data_class != former.data_class:
        return True
    if retain.entries and former.index - last.index >= retain.entries // FINENESS:
        return True
    return bool(retain.ms) and former.at_ms - last.at_ms >= retain.ms // FINENESS


def _is_past(base: Base, retain: Retain, index: Index) -> bool:
    """Whether the entries after it are enough."""
    return index - base.index >= retain.entries and retain.at_ms - base.at_ms >= retain.ms


def _delete_all(txn: Transaction, number: int, generation: int) -> None:
    """All bases; `generation` is that of the snapshot, whose own chunks stay."""
    ranges = (
        keys.kind_range(number, keys.BASE),
        (keys.chunk_key(number, 0, 0), keys.chunk_key(number, generation, 0)),
    )
    for one in ranges:
        txn.delete([key for key, _ in txn.scan(*one)])


def _delete(txn: Transaction, number: int, base: Base) -> None:
    size = base.meta.size if base.meta is not None else 0
    txn.delete([keys.base_key(number, base.generation)])
    txn.delete(snapshots.chunk_keys(number, base.generation, snapshots.chunk_count(size)))


# -- reading ------------------------------------------------------------------------------------------------


def read_history(number: int, txn: Transaction) -> tuple[Base, ...]:
    """The bases, the oldest first; the last one is the snapshot that a restart reads."""
    return *read_bases(txn, number), as_base(snapshots.read_head(txn, number))


def read_base(number: int, generation: int, offset: int, count: int, txn: Transaction) -> bytes | None:
    for base in read_history(number, txn):
        if base.generation == generation and base.meta is not None:
            head = SnapshotHead(generation, base.meta)
            return snapshots.read_slice(txn, number, head, offset, count)
    return None


def read_entries(number: int, first: Index, bytes_max: int, txn: Transaction) -> tuple[Entry, ...]:
    """From `first` on; one at least, if there is one. Raises Damaged."""
    entries: list[Entry] = []
    start = keys.entry_key(number, first)
    for key, record in txn.scan(start, keys.kind_range(number, keys.ENTRY)[1]):
        index = keys.index_of(key)
        if index != first + len(entries):
            raise missing(key, first + len(entries))
        entry, _ = unpack_entry(key, record, index)
        bytes_max -= size_of(entry)
        if entries and bytes_max < 0:
            break
        entries.append(entry)
    return tuple(entries)


def missing(key: bytes, index: Index) -> Damaged:
    return damaged(key, f"entries {index}..{keys.index_of(key) - 1} before it are missing")
