"""What a store keeps of a group's past: whole generations, apart from what a restart reads."""

import pytest

from fleet.errors import Damaged
from fleet.interfaces import Write
from fleet.raft.ids import Index
from fleet.raft.ready import Retain
from fleet.storage import Store, keys, shape
from tests.storage.disks import MIB, Disk, append, create, entries, indexes, snapshot


def keep(store: Store, group: int, index: Index, retain: Retain, size: int = 5) -> None:
    """A snapshot at that index, as a member without a tail of the log writes it."""
    new = snapshot(index, bytes([index % 256]) * size)
    store.write([Write(group, 0, snapshot=new, keep_after=index, is_aside=True, retain=retain)])


def filled(store: Store, retain: Retain, *snapshots: Index, last: Index) -> int:
    group, done = create(store), 0
    for index in snapshots:
        store.write([append(group, done + 1, index)])
        keep(store, group, index, retain)
        done = index
    store.write([append(group, done + 1, last)])
    return group


def entries_on(disk: Disk, group: int) -> list[Index]:
    prefix, _ = keys.kind_range(group, keys.ENTRY)
    return [keys.index_of(key) for key in disk.records() if key.startswith(prefix)]


def bases(store: Store, group: int) -> list[Index]:
    return [base.index for base in store.history(group)]


def test_a_restart_reads_the_newest_snapshot_and_the_log_after_it_whatever_is_kept(disk: Disk) -> None:
    group = filled(disk.open(), Retain(entries=70), 10, 20, 30, last=33)
    store = disk.open()
    loaded = store.load(group)
    assert loaded.snapshot is not None and loaded.snapshot.index == 30
    assert loaded.entries == entries(31, 33)
    assert bases(store, group) == [0, 10, 20, 30]
    assert store.read_entries(group, 1, MIB) == entries(1, 33)
    for base in store.history(group)[1:]:
        assert store.read_base(group, base.generation, 1, 3) == bytes([base.index]) * 3
    assert store.read_base(group, 0, 0, 9) is None


def test_whole_generations_go_as_soon_as_what_follows_is_enough(disk: Disk) -> None:
    store = disk.open()
    group = filled(store, Retain(entries=15), 10, 20, 30, last=30)
    assert bases(store, group) == [10, 20, 30]
    assert store.read_entries(group, 11, MIB) == entries(11, 30)
    numbers = [
        keys.index_of(key) for key in disk.records() if key.startswith(keys.kind_range(group, keys.ENTRY)[0])
    ]
    assert min(numbers) == 11


def test_the_bound_may_be_a_time(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    for index in (10, 20, 30, 40):
        store.write([append(group, index - 9, index)])
        keep(store, group, index, Retain(ms=150, at_ms=1000 + 10 * index))
    assert bases(store, group) == [20, 30, 40], "entry 20 was at 1,200, and now it is 1,400"


def test_a_snapshot_that_would_shorten_little_is_no_base(disk: Disk) -> None:
    store = disk.open()
    group = filled(store, Retain(entries=800), 50, 60, 150, 160, 300, last=300)
    assert bases(store, group) == [0, 150, 300]


def test_without_a_bound_everything_goes_with_the_next_snapshot(disk: Disk) -> None:
    store = disk.open()
    group = filled(store, Retain(entries=100), 10, 20, last=30)
    keep(store, group, 30, Retain())
    assert bases(store, group) == [30]
    assert store.read_entries(group, 1, MIB) == ()
    plain = create(store, "other")
    store.write(
        [append(plain, 1, 30), Write(plain, 0, snapshot=snapshot(30, bytes([30]) * 5), keep_after=30)]
    )
    held = [key for key in disk.records() if keys.number_of(key) == group]
    assert len(held) == len([key for key in disk.records() if keys.number_of(key) == plain])


def test_the_snapshot_of_the_leader_begins_a_new_history(disk: Disk) -> None:
    store = disk.open()
    group = filled(store, Retain(entries=100), 10, 20, last=25)
    store.write([Write(group, 0, snapshot=snapshot(90, b"leader's"), reset=True)])
    store.write([append(group, 91, 100)])
    assert bases(store, group) == [90]
    keep(store, group, 100, Retain(entries=100))
    assert bases(store, group) == [90, 100]
    assert indexes(disk.open(), group) == []
    assert disk.open().read_entries(group, 91, MIB) == entries(91, 100)


def test_a_big_state_is_kept_with_all_its_chunks(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    for index in (10, 20):
        store.write([append(group, index - 9, index)])
        keep(store, group, index, Retain(entries=50), size=3 * MIB)
    base = disk.open().history(group)[1]
    assert disk.open().read_base(group, base.generation, 0, 4 * MIB) == bytes([10]) * 3 * MIB


def test_damage_in_the_past_hinders_neither_a_restart_nor_the_next_snapshot(disk: Disk) -> None:
    group = filled(disk.open(), Retain(entries=100), 10, 20, last=25)
    generation = disk.open().history(group)[1].generation
    for key in (keys.entry_key(group, 3), keys.base_key(group, generation)):
        disk.put(key, b"rubbish")
    store = disk.open()
    assert store.load(group).entries == entries(21, 25)
    with pytest.raises(Damaged, match="checksum|truncated|format"):
        store.read_entries(group, 1, MIB)
    keep(store, group, 25, Retain(entries=100))
    assert bases(store, group) == [25]
    assert not [
        key for key in disk.records() if keys.number_of(key) == group and keys.locate(key)[1] == "entry 3"
    ]


def test_what_is_not_wanted_any_more_is_deleted_in_steps(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape, "DELETED_MAX", 10)
    store = disk.open()
    group = filled(store, Retain(entries=500), 100, last=100)
    left = []
    for index in (110, 120, 130, 140):
        store.write([append(group, index - 9, index)])
        keep(store, group, index, Retain())
        assert bases(store, group) == [index]
        left.append(min(entries_on(disk, group), default=0))
        store = disk.open()
    assert left == [31, 61, 91, 121]
    store.write([Write(group, 0, snapshot=snapshot(300, b"leader's"), reset=True), append(group, 301, 310)])
    keep(store, group, 310, Retain(entries=500))
    assert bases(store, group) == [300, 310]
    assert disk.open().read_entries(group, 301, MIB) == entries(301, 310)
