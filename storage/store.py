"""The common part of all stores, over ordered keys; subclasses store the keys."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from fleet.errors import ConfigError, Damaged
from fleet.interfaces import Base, GroupRecord, Loaded, SnapshotWrite, StoreIdentity, Write
from fleet.raft.entries import Entry
from fleet.raft.ids import GroupName, Index
from fleet.storage import history, keys, snapshots, steps
from fleet.storage.records import Identity, SnapshotHead, entry_items, pack, seal, unseal
from fleet.storage.shape import Extent, reshape
from fleet.storage.transaction import Transaction
from fleet.versions import THIS_BUILD, Build

T = TypeVar("T")
NO_META: Mapping[str, bytes] = MappingProxyType({})

STAGE_CHUNKS = 4
"""A staged snapshot is written in steps of this many chunks: 1 MiB."""


class Store(ABC):
    """The contract of `fleet.interfaces.Durable`.

    Changes may come from any thread and run one at a time; reads may run concurrently in one more thread.

    `inline_bytes_max`: a bigger snapshot is written in several transactions. `build`: what uses it.
    """

    identity: StoreIdentity
    version: int
    inline_bytes_max: int = STAGE_CHUNKS * snapshots.CHUNK_BYTES

    def __init__(self, build: Build = THIS_BUILD) -> None:
        self.build = build
        self._turn = threading.RLock()
        self._living: set[int] = set()
        self._shapes: dict[int, Extent] = {}
        self._litter: set[tuple[int, int]] = set()
        self._staged: dict[int, tuple[SnapshotWrite, int]] = {}

    # -- for the subclass ------------------------------------------------------------------

    @abstractmethod
    def _update(self, act: Callable[[Transaction], T], frees: bool = False) -> T:
        """Run `act` in a transaction and make it durable, or raise and change nothing. `act` may run more
        than once. `frees`: it frees space and may use the reserve."""

    @abstractmethod
    def _view(self, act: Callable[[Transaction], T]) -> T:
        """Run `act` on one consistent state."""

    def close(self) -> None:
        """Loses nothing: writes that are not durable were not acknowledged."""

    def _adopt(self, cluster: str, node: str, where: str) -> None:
        """Read the store's identity and groups, and clean up after a crash."""
        stored = self._view(partial(steps.read_identity, cluster, node, where, self.build))
        self.identity, self.version = stored.owner, stored.version
        dropped = self._view(self._survey)
        for number in dropped:
            self._sweep(number)
        self._clear_litter()

    # -- groups ----------------------------------------------------------------------------

    def groups(self) -> list[GroupRecord]:
        """In order of creation. Raises Damaged for a damaged record; its group can still be dropped by
        number."""
        return self._view(steps.read_groups)

    def sound_groups(self) -> tuple[list[GroupRecord], list[Damaged]]:
        """As `groups`, with the damaged records apart."""
        return self._view(steps.read_sound_groups)

    def create_group(self, name: GroupName, spec: bytes) -> GroupRecord:
        """Create a group, durably on return. Its number is never used again."""
        (record,) = self.create_groups([(name, spec)])
        return record

    def create_groups(
        self, groups: Sequence[tuple[GroupName, bytes]], meta: Mapping[str, bytes] = NO_META
    ) -> list[GroupRecord]:
        """As `create_group` for several groups, in one transaction with the node's records `meta`."""
        items = _meta_items(meta)

        def act(txn: Transaction) -> list[GroupRecord]:
            txn.put(items)
            return [steps.create(name, spec, txn) for name, spec in groups]

        with self._turn:
            records = self._update(act)
            for record in records:
                self._living.add(record.number)
                self._shapes[record.number] = Extent()
        return records

    def drop_group(self, number: int, meta: Mapping[str, bytes] = NO_META) -> None:
        """Drop the group, durably, in one transaction with the node's records `meta`; then free its space.
        Unknown numbers are ignored.

        After a crash in between, the group is dropped and its remaining records are deleted when the store is
        opened again.
        """
        items = _meta_items(meta)

        def act(txn: Transaction) -> None:
            txn.put(items)
            steps.mark_dropped(number, txn)

        with self._turn:
            if number not in self._living:
                return
            self._update(act, frees=True)
            self._living.discard(number)
            self._shapes.pop(number, None)
        self._sweep(number)

    # -- reading ---------------------------------------------------------------------------

    def load(self, number: int) -> Loaded:
        """The group's durable state, verified, including the bytes of its snapshot.

        Raises:
            Damaged: names the group and the place. Other groups are not affected.
        """
        loaded, shape = self._view(partial(steps.load, number))
        self._shapes.setdefault(number, shape)
        return loaded

    def read_snapshot(self, number: int, index: Index, offset: int, count: int) -> bytes | None:
        """`count` bytes of the snapshot at `index` from `offset`; None if there is no such snapshot. Costs
        one lookup and one checksum per chunk read, independent of the snapshot's size."""

        def read(txn: Transaction) -> bytes | None:
            head = snapshots.read_head(txn, number)
            if head is None or head.meta.index != index:
                return None
            return snapshots.read_slice(txn, number, head, offset, count)

        return self._view(read)

    def history(self, number: int) -> tuple[Base, ...]:
        """The states from which all entries are kept, the oldest first; the last one is the snapshot, or the
        group's beginning. Raises Damaged."""
        return self._view(partial(history.read_history, number))

    def read_base(self, number: int, generation: int, offset: int, count: int) -> bytes | None:
        """`count` bytes of a state of `history`; None if it is no longer kept. Raises Damaged."""
        return self._view(partial(history.read_base, number, generation, offset, count))

    def read_entries(self, number: int, first: Index, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `first` on, also those that are only kept for the history. Raises Damaged."""
        return self._view(partial(history.read_entries, number, first, bytes_max))

    # -- writing ---------------------------------------------------------------------------

    def write(self, batch: Sequence[Write]) -> None:
        """Make the batch durable in one synced transaction, or raise and change nothing.

        Writes to a dropped group are ignored. Big snapshots are staged first, in transactions of their own,
        which no reader sees.

        Raises:
            StoreFull, StorageFault: nothing was changed; the same call may succeed later.
            AssertionError: the write would leave a gap in a log; nothing was changed.
        """
        if not batch:
            return
        with self._turn:
            self._clear_litter()
            generations = self._assign(batch)
            frees = any(one.keep_after or one.snapshot is not None for one in batch)
            shapes = self._update(partial(self._apply, batch, generations), frees)
            self._shapes.update(shapes)
            if generations:
                self._litter -= {(batch[at].group, generation) for at, generation in generations.items()}

    def stage(self, one: Write) -> Iterator[None]:
        """Write a big snapshot's chunks in advance, one synced transaction per step, so that other writes can
        run in between. The group is unchanged until `write` is called with the same write. Until then no
        other snapshot may be written to the group, unless this iterator is closed.
        """
        with self._turn:
            self._clear_litter()
            snapshot = one.snapshot
            if snapshot is None or one.group not in self._living:
                return
            if snapshot.meta.size <= self.inline_bytes_max:
                return
            snapshots.check_write(one.group, snapshot)
            generation = self._generation(one.group) + 1
        try:
            yield from self._stage_steps(one.group, generation, snapshot)
        except BaseException:
            self._litter.add((one.group, generation))
            raise
        self._staged[one.group] = snapshot, generation

    def _stage_steps(self, number: int, generation: int, snapshot: SnapshotWrite) -> Iterator[None]:
        chunks = snapshots.chunk_count(snapshot.meta.size)
        for start in range(0, chunks, STAGE_CHUNKS):
            if number not in self._living:
                return
            part = range(start, min(start + STAGE_CHUNKS, chunks))
            self._update(partial(steps.stage_chunks, number, generation, snapshot.data, part))
            yield

    def _assign(self, batch: Sequence[Write]) -> dict[int, int]:
        """Stage the big snapshots. Returns each snapshot's generation by its position in the batch."""
        generations: dict[int, int] = {}
        newest: dict[int, int] = {}
        for at, one in enumerate(batch):
            number, snapshot = one.group, one.snapshot
            if snapshot is None:
                continue
            staged = self._staged.pop(number, None)
            if staged is not None:
                self._litter.add((number, staged[1]))
                newest[number] = staged[1]
            if number not in self._living:
                continue
            if staged is not None and staged[0] is snapshot:
                generations[at] = staged[1]
                continue
            snapshots.check_write(number, snapshot)
            generation = newest.get(number, self._generation(number)) + 1
            newest[number] = generations[at] = generation
            if snapshot.meta.size > self.inline_bytes_max:
                self._litter.add((number, generation))
                for _ in self._stage_steps(number, generation, snapshot):
                    pass
        return generations

    def _generation(self, number: int) -> int:
        shape = self._shapes.get(number) or self._view(partial(steps.read_shape, number))
        return shape.generation

    def _apply(
        self, batch: Sequence[Write], generations: dict[int, int], txn: Transaction
    ) -> dict[int, Extent]:
        """Puts all records in one call, in the order of keys: each call into the database releases the
        interpreter, and beside a busy event loop it can take a switch interval to get it back."""
        shapes: dict[int, Extent] = {}
        gone: set[bytes] = set()
        records: dict[bytes, bytes] = {}
        for at, one in enumerate(batch):
            number = one.group
            if number not in self._living:
                continue
            before = shapes.get(number) or self._shape(number, txn)
            generation, chunks = before.generation, before.chunks
            kept, is_former_kept = None, False
            if one.snapshot is not None:
                generation = generations[at]
                chunks = snapshots.chunk_count(one.snapshot.meta.size)
                kept, is_former_kept = history.turn(txn, number, before, one)
            after, ranges = reshape(before, one, generation, chunks, kept)
            if one.snapshot is not None:
                self._put_snapshot(txn, one, before, after, is_former_kept)
            elif after.first != before.first and after.past < after.first:
                history.begin_log_at(txn, number, after.first)
            for indexes in ranges:
                for index in indexes:
                    key = keys.entry_key(number, index)
                    gone.add(key)
                    records.pop(key, None)
            records.update(entry_items(number, one.entries, one.commit))
            if one.hard is not None:
                key = keys.hard_key(number)
                records[key] = pack(key, one.hard)
            shapes[number] = after
        txn.delete(sorted(gone - records.keys()))
        txn.put(sorted(records.items()))
        return shapes

    def _put_snapshot(
        self, txn: Transaction, one: Write, before: Extent, after: Extent, is_former_kept: bool
    ) -> None:
        """Make the snapshot current: put its head and, unless staged, its chunks; delete the former one, if
        it is not kept for the history."""
        assert one.snapshot is not None
        number, meta = one.group, one.snapshot.meta
        at_ms = one.retain.at_ms if one.retain is not None else 0
        if not is_former_kept:
            txn.delete(snapshots.chunk_keys(number, before.generation, before.chunks))
        if meta.size > self.inline_bytes_max:
            txn.delete([keys.staged_key(number, after.generation)])
        else:
            txn.put(snapshots.chunk_items(number, after.generation, one.snapshot.data, range(after.chunks)))
        key = keys.snapshot_key(number)
        txn.put([(key, pack(key, SnapshotHead(after.generation, meta, at_ms, after.first)))])

    def _shape(self, number: int, txn: Transaction) -> Extent:
        return self._shapes.get(number) or steps.read_shape(number, txn)

    # -- cleaning up -----------------------------------------------------------------------

    def _survey(self, txn: Transaction) -> list[int]:
        """Note the living groups and the chunks without an owner. Returns dropped groups with remaining
        records."""
        self._living = {keys.subject_of(key) for key, _ in txn.scan(*keys.kind_range(0, keys.GROUP))}
        self._litter = {keys.staged_of(key) for key, _ in txn.scan(*keys.kind_range(0, keys.STAGED))}
        return [keys.subject_of(key) for key, _ in txn.scan(*keys.kind_range(0, keys.DROPPED))]

    def _sweep(self, number: int) -> None:
        while self._update(partial(steps.sweep_some, number), frees=True):
            pass

    def _clear_litter(self) -> None:
        """Delete chunks staged by writes that failed or were killed."""
        while self._litter:
            number, generation = next(iter(self._litter))
            self._update(partial(steps.unstage, number, generation), frees=True)
            self._litter.discard((number, generation))

    # -- records of the node --------------------------------------------------------------

    def renew(self, incarnation: str, meta: Mapping[str, bytes] = NO_META) -> None:
        """Give the disk a new incarnation, durably, in one transaction with the node's records `meta`."""
        items = _meta_items(meta)
        identity = StoreIdentity(self.identity.cluster, self.identity.node, incarnation)

        def act(txn: Transaction) -> None:
            txn.put(items)
            steps.put_identity(Identity(self.version, identity), txn)

        with self._turn:
            self._update(act)
            self.identity = identity

    def raise_version(self, version: int) -> None:
        """Let builds that do not speak this version of the fleet refuse the directory. Never lowers it."""
        with self._turn:
            if version > self.version:
                self._update(partial(steps.put_identity, Identity(version, self.identity)))
                self.version = version

    def rewrite(
        self, batch: Sequence[Write], specs: Mapping[int, bytes], meta: Mapping[str, bytes] = NO_META
    ) -> None:
        """Write to the logs of groups, and replace the specs of groups, in one transaction with the node's
        records `meta`: for a node that is stopped. The batch has no snapshots.

        Raises:
            StoreFull, StorageFault: nothing was changed.
        """
        assert all(one.snapshot is None for one in batch), "a snapshot is written by `write`"
        items = _meta_items(meta)

        def act(txn: Transaction) -> dict[int, Extent]:
            txn.put(items)
            steps.put_specs(specs, txn)
            return self._apply(batch, {}, txn)

        with self._turn:
            self._shapes.update(self._update(act))

    def get_meta(self, key: str) -> bytes | None:
        place = _meta_key(key)
        record = self._view(lambda txn: txn.get(place))
        return None if record is None else unseal(place, record)

    def put_meta(self, key: str, value: bytes) -> None:
        """Write a record of the node, durably on return."""
        items = _meta_items({key: value})
        self._update(lambda txn: txn.put(items))


def _meta_items(meta: Mapping[str, bytes]) -> list[tuple[bytes, bytes]]:
    places = [(_meta_key(key), value) for key, value in meta.items()]
    return [(place, seal(place, value)) for place, value in sorted(places)]


def _meta_key(text: str) -> bytes:
    key = keys.meta_key(text)
    if len(key) > keys.META_KEY_BYTES_MAX:
        bytes_max = keys.META_KEY_BYTES_MAX
        raise ConfigError("the key of a node's record is too long", key=text[:40], bytes_max=bytes_max)
    return key
