"""A directory of a stopped node is read as it is, and changed in one transaction."""

from pathlib import Path

import pytest

from fleet.errors import Damaged, DirectoryInUse, NoDataDirectory, StorageFault, WrongDirectory
from fleet.interfaces import StoreIdentity
from fleet.storage import StoppedStore
from fleet.storage.keys import entry_key, group_key, identity_key
from fleet.storage.records import Identity, pack
from fleet.versions import NEWEST
from tests.storage.disks import Crash, Disk, LmdbDisk, append, crash_before, create, entries, hard, indexes


@pytest.fixture
def lmdb_disk(tmp_path: Path) -> LmdbDisk:
    disk = LmdbDisk(tmp_path / "data")
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 3, hard=hard(1, "me"))])
    disk.close()
    return disk


def test_it_reads_whatever_node_owns_the_directory_and_changes_nothing(lmdb_disk: LmdbDisk) -> None:
    before = (lmdb_disk.path / "env" / "data.mdb").read_bytes()
    store = StoppedStore(lmdb_disk.path)
    assert (store.identity.cluster, store.identity.node) == ("c1", "n1")
    assert store.load(1).entries == entries(1, 3)
    with pytest.raises(StorageFault, match="reading only"):
        store.put_meta("a", b"b")
    store.close()
    assert (lmdb_disk.path / "env" / "data.mdb").read_bytes() == before


def test_no_node_starts_in_it_meanwhile_and_it_is_not_read_while_one_runs(lmdb_disk: LmdbDisk) -> None:
    store = StoppedStore(lmdb_disk.path)
    with pytest.raises(DirectoryInUse):
        lmdb_disk.open()
    store.close()
    lmdb_disk.open()
    with pytest.raises(DirectoryInUse, match="in use"):
        StoppedStore(lmdb_disk.path)
    lmdb_disk.close()


def test_other_directories_are_told_apart(lmdb_disk: LmdbDisk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoDataDirectory, match="no data directory .* name the --data-dir"):
        StoppedStore(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    later = Identity(NEWEST + 1, StoreIdentity("c1", "n1", "aa"))
    lmdb_disk.put(identity_key, pack(identity_key, later))
    with pytest.raises(WrongDirectory, match=f"it has version {NEWEST + 1} of the fleet"):
        StoppedStore(lmdb_disk.path)
    (lmdb_disk.path / "env" / "data.mdb").write_bytes(b"no database")
    with pytest.raises(Damaged, match="not an LMDB file"):
        StoppedStore(lmdb_disk.path)


def test_a_damaged_group_record_does_not_hide_the_others(lmdb_disk: LmdbDisk) -> None:
    create(lmdb_disk.open(), "other")
    lmdb_disk.put(group_key(1), b"damaged")
    store = StoppedStore(lmdb_disk.path)
    records, (damage,) = store.sound_groups()
    assert [one.name for one in records] == ["other"] and damage.facts["place"] == "group record"
    store.close()


def test_a_rewrite_is_all_or_nothing(disk: Disk) -> None:
    store = disk.open()
    group = create(store)
    store.write([append(group, 1, 2)])
    crash_before(store, 1)
    with pytest.raises(Crash):
        store.rewrite([append(group, 3, 3, hard=hard(2))], {group: b"new"}, {"k": b"v"})
    store = disk.open()
    assert (indexes(store, group), store.groups()[0].spec, store.get_meta("k")) == (
        [1, 2],
        b"spec of g",
        None,
    )
    store.rewrite([append(group, 3, 3, hard=hard(2))], {group: b"new"}, {"k": b"v"})
    store = disk.open()
    assert (indexes(store, group), store.groups()[0].spec, store.get_meta("k")) == ([1, 2, 3], b"new", b"v")
    assert store.load(group).hard.term == 2 and entry_key(group, 3) in disk.records()
