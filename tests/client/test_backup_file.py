"""The file of a backup: whole, or refused."""

import errno
import io
import os
import resource
from pathlib import Path
from zlib import crc32

import pytest
from msgspec.structs import replace

from fleet.actors.messages.group_states import PART_BYTES
from fleet.client.backup_file import FORMAT, Backup, BackupHead, BackupWriter, SavedGroup, verified
from fleet.errors import BadBackup, ConfigError
from fleet.raft.config import GroupConfig

HEAD = BackupHead("fleet", 7, 1000, "0.1.0")
STATES = {"a": b"", "b": b"x" * 1000, "c": os.urandom(PART_BYTES) + b"y" * PART_BYTES + b"z"}


def saved(name: str, state: bytes) -> SavedGroup:
    about = 5, 9, len(state), crc32(state)
    return SavedGroup(name, *about, b"class", GroupConfig(), 3, ("n1",), "")


def write(path: Path, states: dict[str, bytes] = STATES) -> Backup:
    with BackupWriter(path, HEAD) as writer:
        for name, state in states.items():
            add(writer, name, state)
        return writer.finish()


def add(writer: BackupWriter, name: str, state: bytes) -> None:
    writer.begin(saved(name, state))
    for at in range(0, len(state), PART_BYTES):
        writer.add(state[at : at + PART_BYTES])
    assert writer.end()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "file")
    found = verified(tmp_path / "file")
    assert found.head == HEAD and found.groups == tuple(saved(*one) for one in STATES.items())
    for group in found.groups:
        assert b"".join(found.parts(group)) == STATES[group.name]
    assert b"".join(found.parts(found.group("c"), PART_BYTES)) == STATES["c"][PART_BYTES:]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_the_past_of_a_group_is_read_and_only_a_file_with_one_has_the_newer_format(tmp_path: Path) -> None:
    past = os.urandom(PART_BYTES + 5)
    with BackupWriter(tmp_path / "file", HEAD, has_past=True) as writer:
        for name, of_past in (("a", b""), ("c", past), ("b", past[:9])):
            state = STATES[name]
            writer.begin(replace(saved(name, state), past_size=len(of_past)))
            for at in range(0, len(state), PART_BYTES):
                writer.add(state[at : at + PART_BYTES])
            assert writer.end()
            writer.add_past(io.BytesIO(of_past))
        writer.finish()
    found = verified(tmp_path / "file")
    assert b"".join(found.past(found.group("c"))) == past and [*found.past(found.group("a"))] == []
    assert b"".join(found.past(found.group("b"))) == past[:9]
    assert b"".join(found.parts(found.group("c"))) == STATES["c"]
    write(tmp_path / "without")
    assert [(tmp_path / name).read_bytes()[11] for name in ("file", "without")] == [2, 1]


def test_repeated_bytes_are_compressed(tmp_path: Path) -> None:
    assert write(tmp_path / "file", {"a": bytes(4 * PART_BYTES)}).size < 2000


def test_a_file_that_was_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "file", {"a": b"x" * 300, "b": b"y"})
    whole = (tmp_path / "file").read_bytes()
    for size in range(0, len(whole), 7):
        (tmp_path / "cut").write_bytes(whole[:size])
        with pytest.raises(BadBackup):
            verified(tmp_path / "cut")


def test_a_file_with_any_byte_changed_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "file", {"a": b"x" * 300, "b": b"y"})
    whole = bytearray((tmp_path / "file").read_bytes())
    for at in range(0, len(whole), 7):
        whole[at] ^= 1
        (tmp_path / "other").write_bytes(whole)
        with pytest.raises(BadBackup):
            verified(tmp_path / "other")
        whole[at] ^= 1
    (tmp_path / "longer").write_bytes(whole + b"\0")
    with pytest.raises(BadBackup):
        verified(tmp_path / "longer")


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "file")
    whole = bytearray((tmp_path / "file").read_bytes())
    whole[8:12] = (FORMAT + 1).to_bytes(4)
    (tmp_path / "file").write_bytes(whole)
    with pytest.raises(BadBackup, match=f"format {FORMAT + 1}.*reads formats 1 to {FORMAT}.*or a newer one"):
        Backup(tmp_path / "file")


def test_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"PK\x03\x04" + bytes(5000))
    with pytest.raises(BadBackup, match="no backup of a fleet"):
        Backup(tmp_path / "file")


def test_an_interrupted_backup_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), BackupWriter(tmp_path / "file", HEAD) as writer:
        add(writer, "b", STATES["b"])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_killed_leaves_no_file_that_passes(tmp_path: Path) -> None:
    with BackupWriter(tmp_path / "file", HEAD) as writer:
        add(writer, "c", STATES["c"])
        writer._file.flush()
        (left,) = tmp_path.iterdir()
        assert left.name.endswith(".partial")
        with pytest.raises(BadBackup, match="it was cut off"):
            verified(left)


def test_a_group_that_arrived_half_or_damaged_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    with BackupWriter(tmp_path / "file", HEAD) as writer:
        add(writer, "b", STATES["b"])
        writer.begin(saved("c", STATES["c"]))
        writer.add(STATES["c"][:PART_BYTES])
        writer.drop()
        writer.begin(saved("d", b"one"))
        writer.add(b"two")
        assert not writer.end()
        add(writer, "c", STATES["c"])
        found = writer.finish()
    found.verify()
    assert [group.name for group in found.groups] == ["b", "c"]


def test_a_disk_that_returns_something_else_makes_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def harm(fd: int) -> None:
        os.pwrite(fd, b"?", 100)

    with pytest.raises(BadBackup), BackupWriter(tmp_path / "file", HEAD) as writer:
        add(writer, "b", STATES["b"])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", harm)
            writer.finish()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "file")
    with pytest.raises(ConfigError, match="exists: choose another name"):
        write(tmp_path / "file")


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_has_appeared_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", without_links)
    with (
        pytest.raises(ConfigError, match="exists: choose another name"),
        BackupWriter(tmp_path / "file", HEAD) as writer,
    ):
        add(writer, "b", STATES["b"])
        (tmp_path / "file").write_text("of another backup")
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "of another backup"


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", without_links)
    write(tmp_path / "file").verify()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def without_links(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_name_that_leads_nowhere_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="exists"):
        write(tmp_path / "file")


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    """Bytes that had no room are still in the buffer when the file is closed."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with (
            pytest.raises(OSError, match="File too large"),
            BackupWriter(tmp_path / "file", HEAD) as writer,
        ):
            for number in range(2000):
                add(writer, f"{number}", STATES["b"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
