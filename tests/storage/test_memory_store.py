"""What the store of groups in memory only does beyond the contract of all stores."""

from copy import deepcopy
from typing import Any

from fleet.interfaces import GroupRecord, Write
from fleet.raft.ids import GroupName
from fleet.storage import MemoryStore
from fleet.storage.keys import entry_key
from fleet.storage.snapshots import CHUNK_BYTES
from tests.storage.disks import append, crash_before, indexes, snapshot

MANY = 300_000


def held(store: MemoryStore) -> Any:
    return deepcopy((store.image, store._living, store._shapes, store._litter, store._staged))


def test_a_big_group_ends_in_no_transaction_at_all_and_leaves_nothing() -> None:
    """Its records were sorted again for each step of a sweep: seconds in which the node did nothing else."""
    store = MemoryStore("c1", "n1")
    store.begin(GroupRecord(1, GroupName("other"), b""))
    store.write([append(1, 1, 2)])
    before = held(store)
    store.begin(GroupRecord(2, GroupName("g"), b""))
    store.write([append(2, 1, 1)])
    store.image[2].update({entry_key(2, index): b"" for index in range(2, MANY)})
    calls = crash_before(store, 1)
    store.end(2)
    store.end(99)
    assert calls() == 0 and held(store) == before and indexes(store, 1) == [1, 2]


def test_a_group_ends_with_snapshots_that_were_staged_or_left() -> None:
    store = MemoryStore("c1", "n1")
    store.inline_bytes_max = CHUNK_BYTES
    store.begin(GroupRecord(1, GroupName("other"), b""))
    before = held(store)
    for number, is_left in ((2, False), (3, True)):
        store.begin(GroupRecord(number, GroupName("g"), b""))
        store.write([append(number, 1, 9)])
        steps = store.stage(Write(number, 0, snapshot=snapshot(9, bytes(20 * CHUNK_BYTES))))
        next(steps)
        steps.close() if is_left else list(steps)  # type: ignore[attr-defined]
    assert store._staged.keys() == {2} and {number for number, _ in store._litter} == {3}
    store.end(2)
    store.end(3)
    assert held(store) == before
    store.write([append(2, 10, 10), append(1, 1, 1)])
    assert 2 not in store.image and indexes(store, 1) == [1]
