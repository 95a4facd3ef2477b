"""Names of directories and files are synced into the directory that holds them, whoever made them."""

import errno
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from fleet.actors.base.keyring import Keyring
from fleet.files import make_directory, sync_file
from fleet.secret import find_secret, make_secret
from fleet.storage import LmdbStore


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was synced, in order."""
    found: list[Path] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        found.append(Path(os.readlink(f"/proc/self/fd/{fd}")))

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_a_directory_that_is_made_is_synced_into_the_one_above(tmp_path: Path, synced: list[Path]) -> None:
    make_directory(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert synced[-1] == tmp_path


def test_a_directory_is_synced_before_anything_is_made_in_it(
    tmp_path: Path, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So one that holds another needs no sync later: whoever made the inner one has seen to it."""
    made = Path.mkdir

    def mkdir(self: Path, *how: object, **more: object) -> None:
        assert self.parent.parent in synced, f"{self.parent} is not in its directory yet"
        made(self, *how, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", mkdir)
    make_directory(tmp_path / "a" / "b" / "c")
    assert synced[-3:] == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]


def test_what_another_process_made_is_synced_too(tmp_path: Path, synced: list[Path]) -> None:
    """It may have ended before it could do so."""
    (tmp_path / "data").mkdir()
    make_directory(tmp_path / "data")
    assert synced == [tmp_path]
    (tmp_path / "data" / "a").mkdir()
    del synced[:]
    make_directory(tmp_path / "data" / "a" / "b")
    assert synced == [tmp_path / "data", tmp_path / "data" / "a"]


def test_a_directory_is_named_as_the_caller_pleases(
    tmp_path: Path, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_directory(Path("data"))
    make_directory(Path("."))
    make_directory(Path("/"))
    assert synced == [tmp_path.parent, tmp_path, tmp_path.parent]


@pytest.mark.parametrize("may_write", [True, False])
def test_a_directory_above_that_cannot_be_synced_stops_only_who_may_write_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_write: bool
) -> None:
    """Else an administrator has made the one below it."""
    (tmp_path / "data").mkdir()

    def fsync(fd: int) -> None:
        raise OSError(errno.EINVAL, "it cannot be synced")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "access", lambda path, mode: may_write)
    with pytest.raises(OSError, match="cannot be synced") if may_write else nullcontext():
        make_directory(tmp_path / "data")


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_directory(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_directory(tmp_path / "file" / "below" / "it")


def test_a_file_is_synced_with_its_name(tmp_path: Path, synced: list[Path]) -> None:
    (tmp_path / "file").touch()
    sync_file(tmp_path / "file")
    assert synced == [tmp_path / "file", tmp_path]


# -- whoever uses them --------------------------------------------------------------------------------------


def own_secret(home: Path) -> Keyring:
    return find_secret()


def store(home: Path) -> None:
    LmdbStore(home / "fleet", "c1", "n1", map_bytes_start=1 << 18).close()


@pytest.mark.parametrize(
    ("make", "named_in"),
    [
        (own_secret, ["fleet"]),
        (lambda home: make_secret(home / "fleet" / "new"), ["", "fleet", "fleet/new"]),
        (store, ["", "fleet"]),
    ],
    ids=["the user's secret", "a new secret", "the database"],
)
def test_what_is_found_is_as_safe_as_what_is_made(
    tmp_path: Path,
    synced: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], object],
    named_in: list[str],
) -> None:
    """A former process may have ended between making it and syncing its name."""
    for name in ("FLEET_SECRET", "FLEET_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    make(tmp_path)
    del synced[:]
    make(tmp_path)
    assert {tmp_path / name for name in named_in} <= set(synced)
