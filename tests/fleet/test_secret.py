"""Where a secret comes from, and what is said when none is to be had."""

import subprocess
from pathlib import Path

import pytest

from fleet.errors import ConfigError
from fleet.secret import MAKE_ONE, find_secret

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
    assert find_secret(secret_file=path) == SECRET.encode()


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
    with pytest.raises(ConfigError, match="token_hex"):
        find_secret(secret)


def test_the_secret_that_is_proposed_is_taken() -> None:
    made = subprocess.run(["sh", "-c", MAKE_ONE.partition(": ")[2]], capture_output=True, text=True).stdout
    assert len(made.strip()) == 64 and find_secret(made.strip()) == made.strip().encode()
