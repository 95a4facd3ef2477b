"""S37: what was read is not what was written. It is noticed, named, and only its group suffers."""

import pytest

from fleet.errors import Damaged
from fleet.interfaces import Write
from fleet.storage.keys import (
    chunk_key,
    counter_key,
    entry_key,
    group_key,
    identity_key,
    locate,
    snapshot_key,
)
from fleet.storage.records import seal
from tests.storage.disks import Disk, LmdbDisk, append, create, entries, hard, indexes, snapshot


def fill(disk: Disk) -> tuple[int, int]:
    """Two groups with everything that a group can have."""
    store = disk.open()
    group, other = create(store), create(store, "other")
    for number in (group, other):
        store.write([append(number, 1, 9, hard=hard(1, "me"))])
        store.write([Write(number, 0, snapshot=snapshot(5, b"state" * 60_000), keep_after=3)])
    store.put_meta("key", b"value")
    return group, other


def flipped(record: bytes, at: int, bit: int = 0) -> bytes:
    return record[:at] + bytes([record[at] ^ (1 << bit)]) + record[at + 1 :]


def read_all(disk: Disk, group: int) -> None:
    store = disk.open()
    store.groups()
    store.get_meta("key")
    store.load(group)
    create(store)


def test_s37_any_flipped_bit_is_found_and_its_place_is_named(disk: Disk) -> None:
    group, other = fill(disk)
    for key, record in disk.records().items():
        owner, place = locate(key)
        if owner == other:
            continue
        step = max(1, len(record) // (3 if isinstance(disk, LmdbDisk) else 40))
        for at in range(0, len(record), step):
            disk.put(key, flipped(record, at, at % 8))
            with pytest.raises(Damaged) as caught:
                read_all(disk, group)
            assert (caught.value.facts.get("group"), caught.value.place) == (owner, place)
            if owner == group and key != group_key(group):
                assert indexes(disk.open(), other) == [4, 5, 6, 7, 8, 9]
        disk.put(key, record)
    read_all(disk, group)


def test_s37_a_damaged_snapshot_is_not_sent(disk: Disk) -> None:
    group, _ = fill(disk)
    key = chunk_key(group, 1, 1)
    disk.put(key, flipped(disk.records()[key], 1000))
    store = disk.open()
    assert store.read_snapshot(group, 5, 0, 5) == b"state"
    with pytest.raises(Damaged, match="chunk 1 of generation 1"):
        store.read_snapshot(group, 5, 280_000, 5)


@pytest.mark.parametrize("missing", [4, 6, 7])
def test_s37_a_missing_entry_is_damage(disk: Disk, missing: int) -> None:
    group, _ = fill(disk)
    disk.put(entry_key(group, missing), None)
    if missing == 4:  # the kept tail is optional: it may begin anywhere up to the snapshot
        assert indexes(disk.open(), group) == [5, 6, 7, 8, 9]
        return
    with pytest.raises(Damaged, match=f"entries {missing}..{missing} before it are missing") as caught:
        disk.open().load(group)
    assert caught.value.place == f"entry {missing + 1}"


def test_s37_a_log_that_begins_too_far_after_its_snapshot_is_damage(disk: Disk) -> None:
    group, _ = fill(disk)
    for index in (4, 5, 6):
        disk.put(entry_key(group, index), None)
    with pytest.raises(Damaged, match="entries 6..6 before it are missing"):
        disk.open().load(group)


def test_s37_a_good_record_in_a_wrong_place_is_damage(disk: Disk) -> None:
    group, other = fill(disk)
    records = disk.records()
    for key, wrong in [
        (entry_key(group, 7), entry_key(group, 8)),
        (entry_key(group, 7), entry_key(other, 7)),
        (snapshot_key(group), snapshot_key(other)),
    ]:
        disk.put(key, records[wrong])
        with pytest.raises(Damaged) as caught:
            disk.open().load(group)
        assert caught.value.place == locate(key)[1]
        disk.put(key, records[key])


def test_s37_terms_that_go_back_are_damage(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 3, term=2), append(group, 4, 5, term=1)])
    with pytest.raises(Damaged, match="term 1 is less than 2"):
        disk.open().load(group)


def test_s37_a_record_of_another_kind_is_damage_and_not_a_crash(disk: Disk) -> None:
    group, _ = fill(disk)
    for body in (b"", b"\xc0", b"\x93\x01\x02\x03", b"not msgpack"):
        disk.put(entry_key(group, 7), seal(entry_key(group, 7), body))
        with pytest.raises(Damaged, match="cannot be decoded"):
            disk.open().load(group)


def test_s37_a_group_whose_record_is_damaged_can_be_dropped_by_its_number(disk: Disk) -> None:
    group, other = fill(disk)
    disk.put(group_key(group), b"")
    store = disk.open()
    with pytest.raises(Damaged, match="truncated") as caught:
        store.groups()
    store.drop_group(caught.value.group)
    assert [record.number for record in store.groups()] == [other]


@pytest.mark.parametrize("key", [identity_key, counter_key])
def test_s37_the_stores_own_records_are_guarded_too(disk: Disk, key: bytes) -> None:
    fill(disk)
    record = disk.records()[key]
    disk.put(key, flipped(record, len(record) - 1))
    with pytest.raises(Damaged):
        create(disk.open())


def test_s37_a_damaged_group_does_not_spoil_writes_of_others(disk: Disk) -> None:
    group, other = fill(disk)
    disk.put(entry_key(group, 7), b"")
    store = disk.open()
    store.write([append(other, 10, 10)])
    assert store.load(other).entries == entries(4, 10)
