"""Where a secret comes from, and what is said when none is to be had."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

import pytest

from fleet import secret as secret_module
from fleet.actors.base.keyring import Keyring
from fleet.errors import ConfigError
from fleet.secret import MAKE_ONE, find_secret, make_secret, new_secret, one_secret
from tests.support.waiting import WAIT_S

SECRET = "a secret of the tests, long enough"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FLEET_SECRET", "FLEET_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_users_own_secret_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    assert find_secret() == find_secret()
    assert (tmp_path / "config" / "fleet" / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "the secret"
    path.write_text(SECRET)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 '{path}'"):
        find_secret(secret_file=path)
    path.chmod(0o400)
    assert find_secret(secret_file=path).accepted == (SECRET.encode(),)


def test_s80_a_home_that_cannot_be_written_says_what_else_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said [Errno 13] and a path."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(ConfigError, match="made at .*below/fleet/secret: Not a dir.*FLEET_SECRET_FILE"):
        find_secret()
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    with pytest.raises(ConfigError, match="no home directory.*--secret-file"):
        find_secret()


def test_a_file_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_secret(secret_file=tmp_path / "none")
    assert str(caught.value).count("none") == 1 and "Errno" not in str(caught.value)


@pytest.mark.parametrize("secret", ["", "short", "abcdefghijklmnopqrstuvwxyz01234", "password" * 8, "1" * 64])
def test_a_secret_that_is_short_or_can_be_guessed_is_refused(secret: str) -> None:
    """Whoever can dial a node can test guesses."""
    with pytest.raises(ConfigError, match="fleet secret make"):
        find_secret(secret)


def test_the_command_that_is_proposed_makes_one_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    command = [sys.executable, "-m", "fleet.cli", *MAKE_ONE.partition(": fleet ")[2].split()[:-1], str(path)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    made = find_secret(secret_file=path)
    assert len(made.shown) == 64 and path.stat().st_mode & 0o777 == 0o600
    assert subprocess.run(command, capture_output=True).returncode == 1  # it is not overwritten
    assert find_secret(secret_file=path) == made


# -- several secrets, and files that change -----------------------------------------------------------------

ONE, OTHER = b"1" + SECRET.encode(), b"2" + SECRET.encode()


def written(path: Path, *secrets: bytes) -> Path:
    path.write_bytes(b"".join(secret + b"\n" for secret in secrets))
    path.chmod(0o600)
    return path


def test_a_file_has_a_secret_a_line_and_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path = written(tmp_path / "secret", ONE, OTHER)
    ring = find_secret(secret_file=path)
    assert ring == Keyring((ONE, OTHER)) and ring.shown == ONE
    assert ring.reread() == "" and ring == Keyring((ONE, OTHER))
    written(path, OTHER)
    assert ring.reread() == "" and ring == Keyring((OTHER,))
    written(path, b"short")
    assert "at least 32 bytes" in ring.reread() and ring == Keyring((OTHER,))
    path.unlink()
    assert "cannot be read" in ring.reread() and ring == Keyring((OTHER,))


def test_a_secret_of_raw_bytes_with_the_end_of_a_line_in_it_is_one(tmp_path: Path) -> None:
    raw = bytes(range(5, 40))
    assert b"\n" in raw and find_secret(secret_file=written(tmp_path / "secret", raw)).accepted == (raw,)


def test_a_file_is_replaced_as_a_whole_and_stays_for_nobody_else(tmp_path: Path) -> None:
    path = written(tmp_path / "secret", ONE)
    ring, other = find_secret(secret_file=path), find_secret(secret_file=path)
    ring.replace((OTHER, ONE))
    assert path.read_bytes() == OTHER + b"\n" + ONE + b"\n" and path.stat().st_mode & 0o777 == 0o600
    assert other.reread() == "" and other == ring
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("accepted", [(b"short",), (ONE, ONE), (ONE + b"\n" + OTHER,), (b" " + ONE,)])
def test_what_would_be_read_as_something_else_is_not_written(
    tmp_path: Path, accepted: tuple[bytes, ...]
) -> None:
    path = written(tmp_path / "secret", ONE)
    ring = find_secret(secret_file=path)
    with pytest.raises(ConfigError):
        ring.replace(accepted)
    assert ring.accepted == (ONE,) and path.read_bytes() == ONE + b"\n"


OLD, NEW, NEXT = ONE, OTHER, b"3" + SECRET.encode()


@pytest.mark.parametrize(
    "files",
    [
        [(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)],
        [(OLD,), (NEW, OLD), (NEW,), (NEXT, NEW), (NEXT,)],
        [(OLD,), (OLD, NEW), (NEW,)],
        [(OLD,), (NEW,), (NEXT,)],
        [(OLD, NEW), (NEW, OLD), (OLD, NEW), (OLD,)],
    ],
    ids=["by the book", "copies", "one step skipped", "at once", "back, step by step"],
)
def test_a_file_that_goes_on_is_taken(tmp_path: Path, files: list[tuple[bytes, ...]]) -> None:
    path = written(tmp_path / "secret", *files[0])
    ring = find_secret(secret_file=path)
    for accepted in files[1:]:
        written(path, *accepted)
        assert ring.reread() == "" and ring.accepted == accepted and ring.is_kept


@pytest.mark.parametrize(
    ("steps", "older"),
    [
        ([(OLD, NEW), (NEW, OLD)], (OLD,)),
        ([(OLD, NEW), (NEW, OLD), (NEW,)], (OLD,)),
        ([(OLD, NEW), (NEW, OLD), (NEW,)], (NEW, OLD)),
        ([(OLD, NEW), (NEW, OLD), (NEW,)], (OLD, NEW)),
        ([(OLD, NEW), (NEW, OLD), (NEW, OLD, NEXT)], (OLD,)),
        ([(OLD, NEW), (OLD,)], (OLD, NEW)),
    ],
)
def test_an_older_copy_of_the_file_undoes_no_replacement(
    tmp_path: Path, steps: list[tuple[bytes, ...]], older: tuple[bytes, ...]
) -> None:
    """A deployment that writes the file of before, for one. It cut its node off, and brought a retired secret
    back."""
    path = written(tmp_path / "secret", OLD)
    ring = find_secret(secret_file=path)
    for accepted in steps:
        ring.replace(accepted)
    for _ in range(2):
        written(path, *older)
        assert "is an older copy" in ring.reread() and ring.accepted == steps[-1]
    assert SECRET not in ring.reread()
    written(path, *steps[-1])
    assert ring.reread() == "" and ring.accepted == steps[-1]


def test_a_secret_that_was_retired_returns_when_it_is_asked_for(tmp_path: Path) -> None:
    ring = find_secret(secret_file=written(tmp_path / "secret", OLD))
    for accepted in ((NEW,), (NEW, OLD)):
        ring.replace(accepted)
    written(tmp_path / "secret", OLD)
    assert ring.reread() == "" and ring.accepted == (OLD,)


def test_what_is_read_while_it_is_replaced_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that reads the file had the former content, and took it after the replacement."""
    path = written(tmp_path / "secret", OLD)
    ring = find_secret(secret_file=path)
    written(path, OLD, NEXT)
    has_read, may_go_on, is_replacing = Event(), Event(), Event()

    def read(
        path: Path, real: Callable[[Path], tuple[bytes, ...]] = secret_module._read
    ) -> tuple[bytes, ...]:
        found = real(path)
        has_read.set()
        assert may_go_on.wait(WAIT_S)
        return found

    def replace() -> None:
        is_replacing.set()
        ring.replace((NEW, OLD))

    monkeypatch.setattr(secret_module, "_read", read)
    with ThreadPoolExecutor(2) as threads:
        reread = threads.submit(ring.reread)
        assert has_read.wait(WAIT_S)
        replaced = threads.submit(replace)
        assert is_replacing.wait(WAIT_S)
        wait([replaced], 0.05)  # it would end now, if it were not made to wait for the other
        may_go_on.set()
        assert reread.result(WAIT_S) == "" and replaced.result(WAIT_S) is None
    assert ring.accepted == (NEW, OLD)
    assert ring.reread() == "" and ring.accepted == (NEW, OLD)


def test_a_file_that_is_touched_undoes_nothing_that_is_held_in_memory(tmp_path: Path) -> None:
    """A client whose file cannot be written."""
    path = written(tmp_path / "secret", OLD)
    ring = find_secret(secret_file=path)
    ring.take((OLD, NEW))
    assert not ring.is_kept
    os.utime(path, (1, 1))
    assert ring.reread() == "" and ring.accepted == (OLD, NEW)


def test_one_secret_is_one(tmp_path: Path) -> None:
    assert one_secret(SECRET) == one_secret(SECRET.encode()) == SECRET.encode()
    with pytest.raises(ConfigError, match="these are 2 secrets"):
        one_secret(OLD + b"\n" + NEW)
    with pytest.raises(ConfigError, match="at least 32 bytes"):
        one_secret("short")


def test_a_secret_from_a_variable_is_changed_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_SECRET", f"{ONE.decode()}\n{OTHER.decode()}")
    ring = find_secret()
    assert ring.accepted == (ONE, OTHER)
    with pytest.raises(ConfigError, match="FLEET_SECRET: change it there"):
        ring.replace((OTHER,))


def test_a_keyring_crosses_to_another_process(tmp_path: Path) -> None:
    """An actor system of processes is told of it in a message."""
    path = tmp_path / "secret"
    make_secret(path)
    keyring = find_secret(secret_file=path)
    arrived = pickle.loads(pickle.dumps(keyring))
    assert arrived == keyring and repr(arrived) == repr(keyring)
    newer = new_secret()
    arrived.replace((newer, *arrived.accepted))
    assert keyring.reread() == "" and keyring.shown == newer
