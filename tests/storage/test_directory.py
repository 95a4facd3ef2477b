"""S40 and the files around the database: whose directory, who holds it, may it be touched."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from fleet.errors import Damaged, DirectoryInUse, OtherFormat, StorageFault, WrongDirectory
from fleet.storage import LmdbStore
from fleet.storage.keys import identity_key
from fleet.storage.records import Identity, pack
from fleet.versions import NEWEST
from tests.storage.disks import MIB, LmdbDisk, append, create, indexes


def in_child(act: Callable[[], object]) -> str:
    """What happens when `act` runs in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = repr(act())
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = file.read().decode()
    os.waitpid(child, 0)
    return answer


def test_the_directory_is_private(tmp_path: Path) -> None:
    LmdbStore(tmp_path / "a" / "data", "c1", "n1").close()
    paths = [tmp_path / "a" / "data", *(tmp_path / "a" / "data").rglob("*")]
    assert not [path for path in paths if path.stat().st_mode & 0o077]


def test_s40_a_second_opener_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1")
    with pytest.raises(DirectoryInUse) as caught:
        LmdbStore(tmp_path, "c1", "n1")
    assert (caught.value.path, caught.value.pid) == (str(tmp_path), os.getpid())
    code = f"from fleet.storage import LmdbStore; LmdbStore({str(tmp_path)!r}, 'c1', 'n1')"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    facts = f"path={tmp_path}, pid={os.getpid()}"
    assert f"DirectoryInUse: the data directory is in use ({facts})" in other.stderr
    (tmp_path / "lock").write_text("²")  # a digit, and no number
    with pytest.raises(DirectoryInUse) as caught:
        LmdbStore(tmp_path, "c1", "n1")
    assert "pid" not in caught.value.facts
    store.close()
    LmdbStore(tmp_path, "c1", "n1").close()


def test_s40_a_directory_of_another_node_or_cluster_is_refused_and_not_changed(tmp_path: Path) -> None:
    LmdbStore(tmp_path, "c1", "n1").close()
    before = (tmp_path / "env" / "data.mdb").read_bytes()
    for cluster, node in [("c1", "n2"), ("c2", "n1")]:
        says = f"node 'n1' of cluster 'c1', not to node '{node}' of cluster '{cluster}'"
        with pytest.raises(WrongDirectory, match=says):
            LmdbStore(tmp_path, cluster, node)
    assert (tmp_path / "env" / "data.mdb").read_bytes() == before
    LmdbStore(tmp_path, "c1", "n1").close()


def test_a_directory_of_a_later_version_is_refused(tmp_path: Path) -> None:
    disk = LmdbDisk(tmp_path)
    identity = disk.open().identity
    disk.put(identity_key, pack(identity_key, Identity(NEWEST + 1, identity)))
    with pytest.raises(
        OtherFormat, match=f"version {NEWEST + 1} of the fleet, and this build speaks .*or take"
    ):
        disk.open()


def test_a_directory_whose_records_have_a_later_format_is_refused_and_not_called_damaged(
    tmp_path: Path,
) -> None:
    disk = LmdbDisk(tmp_path)
    disk.open()
    disk.put(identity_key, b"\x02" + b"whatever a later version writes there")
    before = (tmp_path / "env" / "data.mdb").read_bytes()
    with pytest.raises(OtherFormat, match="format 2, and this build reads format 1"):
        disk.open()
    assert (tmp_path / "env" / "data.mdb").read_bytes() == before


def test_s40_a_store_is_refused_in_a_forked_child_and_goes_on_in_the_parent(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1")
    group = create(store)
    for act in (store.groups, lambda: store.write([append(group, 1, 1)])):
        assert in_child(act).startswith("StorageFault: the store was opened before a fork")
    assert in_child(store.close) == "None"
    store.write([append(group, 1, 1)])
    assert indexes(store, group) == [1]
    with pytest.raises(DirectoryInUse):
        LmdbStore(tmp_path, "c1", "n1")
    store.close()


def test_s40_a_child_does_not_keep_the_directory_locked(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, "c1", "n1")
    gate, opener = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opener)
        os.read(gate, 1)
        os._exit(0)
    os.close(gate)
    store.close()
    LmdbStore(tmp_path, "c1", "n1").close()
    os.close(opener)
    os.waitpid(child, 0)


def test_s40_a_child_that_outlives_its_parent_does_not_keep_the_directory_locked(tmp_path: Path) -> None:
    ready, tell = os.pipe()
    gate, opener = os.pipe()
    parent = os.fork()
    if parent == 0:
        LmdbStore(tmp_path, "c1", "n1")  # ends without closing
        if os.fork() == 0:
            os.close(opener)
            os.write(tell, b"x")
            os.read(gate, 1)
        os._exit(0)
    assert os.read(ready, 1) == b"x"
    os.waitpid(parent, 0)
    LmdbStore(tmp_path, "c1", "n1").close()
    for fd in (ready, tell, gate, opener):
        os.close(fd)


def test_a_founding_cut_off_by_a_crash_begins_again(tmp_path: Path) -> None:
    (tmp_path / "env.new").mkdir()
    (tmp_path / "env.new" / "data.mdb").write_bytes(b"half")
    LmdbStore(tmp_path, "c1", "n1").close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["env", "lock"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8192, random.Random(37).randbytes(65536), b"short"],
    ids=["empty", "zero", "random", "short"],
)
def test_s37_garbage_in_place_of_the_data_file_is_damage(tmp_path: Path, content: bytes) -> None:
    LmdbStore(tmp_path, "c1", "n1").close()
    (tmp_path / "env" / "data.mdb").write_bytes(content)
    with pytest.raises(Damaged, match="data.mdb"):
        LmdbStore(tmp_path, "c1", "n1")
    assert (tmp_path / "env" / "data.mdb").read_bytes() == content


def test_s37_a_missing_data_file_is_damage_and_not_a_new_disk(tmp_path: Path) -> None:
    LmdbStore(tmp_path, "c1", "n1").close()
    (tmp_path / "env" / "data.mdb").unlink()
    with pytest.raises(Damaged, match="missing"):
        LmdbStore(tmp_path, "c1", "n1")


@pytest.mark.parametrize("verify_bytes_max", [64 * MIB, 0])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_s38_a_truncated_data_file_is_damage_and_not_a_dead_process(
    tmp_path: Path, part: float, verify_bytes_max: int
) -> None:
    store = LmdbStore(tmp_path, "c1", "n1")
    group = create(store)
    for start in range(1, 5000, 100):
        store.write([append(group, start, start + 99)])
    store.close()
    data = tmp_path / "env" / "data.mdb"
    os.truncate(data, int(data.stat().st_size * part))
    with pytest.raises(Damaged, match="truncated"):
        LmdbStore(tmp_path, "c1", "n1", verify_bytes_max=verify_bytes_max)


def test_s37_a_flipped_page_is_found_before_lmdb_follows_it(tmp_path: Path) -> None:
    pytest.importorskip("lmdb.verify")
    store = LmdbStore(tmp_path, "c1", "n1")
    group = create(store)
    store.write([append(group, 1, 5000)])
    store.close()
    data = tmp_path / "env" / "data.mdb"
    whole = data.read_bytes()
    with lmdb.open(str(tmp_path / "env")) as env:
        page_bytes = env.stat()["psize"]
    pages = [whole[at : at + page_bytes] for at in range(0, len(whole), page_bytes)]
    data.write_bytes(b"".join(pages[:2] + [b"\xff" * 16 + page[16:] for page in pages[2:]]))
    with pytest.raises(Damaged, match="problems, first"):
        LmdbStore(tmp_path, "c1", "n1")


def test_a_directory_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFault, match="cannot be created"):
        LmdbStore(tmp_path / "file" / "data", "c1", "n1")


def test_a_wiped_directory_is_another_disk(tmp_path: Path) -> None:
    disk = LmdbDisk(tmp_path / "data")
    first = disk.open().identity
    disk.close()
    shutil.rmtree(disk.path)
    assert disk.open().identity.incarnation != first.incarnation
    disk.close()
