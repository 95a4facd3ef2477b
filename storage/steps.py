"""The steps of a store within one transaction, as functions of the transaction."""

from collections.abc import Mapping

from fleet.errors import Damaged, OtherFormat, StorageFault, WrongDirectory
from fleet.interfaces import GroupRecord, Loaded, StoreIdentity
from fleet.raft.entries import Entry, HardState
from fleet.raft.ids import GroupName
from fleet.storage import keys, snapshots
from fleet.storage.records import FORMAT, Identity, damaged, pack, seal, unpack, unpack_entry
from fleet.storage.shape import Extent
from fleet.storage.transaction import Transaction
from fleet.versions import Build, spoken

SWEEP_KEYS = 10_000
"""A dropped group is deleted in steps of this many records, so that other groups can write in between."""


def found(txn: Transaction, identity: StoreIdentity, version: int) -> None:
    """Turn an empty database into a store."""
    put_identity(Identity(version, identity), txn)
    txn.put([(keys.counter_key, pack(keys.counter_key, 1))])


def put_identity(identity: Identity, txn: Transaction) -> None:
    txn.put([(keys.identity_key, pack(keys.identity_key, identity))])


def says_this_format(record: bytes) -> bool:
    """Whether a record that begins as one of another format is one of this, whose first byte has rotted."""
    try:
        unpack(keys.identity_key, bytes([FORMAT]) + record[1:], Identity)
    except Damaged:
        return False
    return True


def read_owner(where: str, build: Build, txn: Transaction) -> Identity:
    """Raises OtherFormat, also where not even the record that says so can be read; Damaged."""
    record = txn.get(keys.identity_key)
    try:
        stored = unpack(keys.identity_key, record, Identity)
    except Damaged:
        if not record or record[0] == FORMAT or says_this_format(record):
            raise
        what = f"it has format {record[0]}, and this build reads format {FORMAT}"
        raise OtherFormat(what, path=where) from None
    if not build.speaks(stored.version):
        what = f"it has version {stored.version} of the fleet, and this build speaks "
        raise OtherFormat(what + spoken(build.oldest, build.newest), path=where, node=stored.owner.node)
    return stored


def read_identity(cluster: str, node: str, where: str, build: Build, txn: Transaction) -> Identity:
    stored = read_owner(where, build, txn)
    owner = stored.owner
    if (owner.cluster, owner.node) != (cluster, node):
        raise WrongDirectory(
            f"it belongs to node {owner.node!r} of cluster {owner.cluster!r}, "
            f"not to node {node!r} of cluster {cluster!r}",
            path=where,
        )
    return stored


def read_groups(txn: Transaction) -> list[GroupRecord]:
    return [unpack(key, record, GroupRecord) for key, record in txn.scan(*keys.kind_range(0, keys.GROUP))]


def read_sound_groups(txn: Transaction) -> tuple[list[GroupRecord], list[Damaged]]:
    """As `read_groups`, with the damaged records apart."""
    records, damages = [], []
    for key, record in txn.scan(*keys.kind_range(0, keys.GROUP)):
        try:
            records.append(unpack(key, record, GroupRecord))
        except Damaged as error:
            damages.append(error)
    return records, damages


def put_specs(specs: Mapping[int, bytes], txn: Transaction) -> None:
    """Replace what members need to start, by the numbers of their groups."""
    for number, spec in specs.items():
        key = keys.group_key(number)
        record = unpack(key, txn.get(key), GroupRecord)
        txn.put([(key, pack(key, GroupRecord(number, record.name, spec)))])


def create(name: GroupName, spec: bytes, txn: Transaction) -> GroupRecord:
    number = unpack(keys.counter_key, txn.get(keys.counter_key), int)
    record = GroupRecord(number, name, spec)
    txn.put([(keys.counter_key, pack(keys.counter_key, number + 1))])
    put_group(record, txn)
    return record


def put_group(record: GroupRecord, txn: Transaction) -> None:
    """With an empty log."""
    values = ((keys.group_key(record.number), record), (keys.hard_key(record.number), HardState()))
    txn.put([(key, pack(key, value)) for key, value in values])


def mark_dropped(number: int, txn: Transaction) -> None:
    txn.delete([keys.group_key(number)])
    txn.put([(keys.dropped_key(number), seal(keys.dropped_key(number), b""))])


def sweep_some(number: int, txn: Transaction) -> bool:
    """Delete some records of a dropped group. Returns whether there may be more."""
    found_keys = []
    for key, _ in txn.scan(*keys.group_range(number)):
        found_keys.append(key)
        if len(found_keys) == SWEEP_KEYS:
            break
    txn.delete(found_keys)
    if len(found_keys) == SWEEP_KEYS:
        return True
    txn.delete([keys.dropped_key(number)])
    return False


def stage_chunks(number: int, generation: int, data: bytes, part: range, txn: Transaction) -> None:
    mark = keys.staged_key(number, generation)
    txn.put([(mark, seal(mark, b""))])
    txn.put(snapshots.chunk_items(number, generation, data, part))


def unstage(number: int, generation: int, txn: Transaction) -> None:
    txn.delete([key for key, _ in txn.scan(*keys.chunk_range(number, generation))])
    txn.delete([keys.staged_key(number, generation)])


def read_shape(number: int, txn: Transaction) -> Extent:
    head = snapshots.read_head(txn, number)
    index, generation, size = (head.meta.index, head.generation, head.meta.size) if head else (0, 0, 0)
    chunks = snapshots.chunk_count(size)
    span = txn.span(*keys.kind_range(number, keys.ENTRY))
    if span is None:
        return Extent(index + 1, index, index, generation, chunks, index + 1)
    past = keys.index_of(span[0])
    first = max(past, head.log_first if head is not None else 0)
    return Extent(first, keys.index_of(span[1]), index, generation, chunks, past)


def load(number: int, txn: Transaction) -> tuple[Loaded, Extent]:
    if txn.get(keys.group_key(number)) is None:
        raise StorageFault("this store has no such group", group=number)
    hard_key = keys.hard_key(number)
    hard = unpack(hard_key, txn.get(hard_key), HardState)
    head = snapshots.read_head(txn, number)
    meta = head.meta if head is not None else None
    if head is not None:
        snapshots.verify(txn, number, head)
    base, term = (meta.index, meta.term) if meta is not None else (0, 0)
    entries: list[Entry] = []
    commit = hard.commit
    start = keys.entry_key(number, head.log_first if head is not None else 0)
    for key, record in txn.scan(start, keys.kind_range(number, keys.ENTRY)[1]):
        index = keys.index_of(key)
        entry, known = unpack_entry(key, record, index)
        commit = max(commit, known)
        if entries and index != entries[-1].index + 1:
            raise damaged(key, f"entries {entries[-1].index + 1}..{index - 1} before it are missing")
        if not entries and index > base + 1:
            raise damaged(key, f"entries {base + 1}..{index - 1} before it are missing")
        if entries and entry.term < entries[-1].term:
            raise damaged(key, f"its term {entry.term} is less than {entries[-1].term} before it")
        if index == base and entry.term != term:
            raise damaged(key, f"its term is {entry.term}, the snapshot at this index has {term}")
        if index > base and entry.term < term:
            raise damaged(key, f"its term {entry.term} is less than the snapshot's {term}")
        entries.append(entry)
    if entries and entries[-1].index < base:
        last_key = keys.entry_key(number, entries[-1].index)
        raise damaged(last_key, f"the log ends before the snapshot at {base}")
    hard = HardState(hard.term, hard.vote, commit)
    return Loaded(hard, meta, tuple(entries)), read_shape(number, txn)
