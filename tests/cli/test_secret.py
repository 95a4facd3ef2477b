"""`fleet secret` without a cluster: what it does to files before it connects. With one it is run by
tests/processes/test_secret_rotation.py."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleet.cli import main
from fleet.secret import make_secret

from .fleets import SECRET

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own"
    path.touch(0o600)
    path.write_text(SECRET)
    return path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["secret", *map(str, words)], prog_name="fleet")


def rotate(own: Path, *words: str | Path) -> Result:
    return run("rotate", *words, "--connect", NOWHERE, "--secret-file", own)


def test_the_new_secret_is_in_its_file_before_any_node_is_asked(tmp_path: Path, own: Path) -> None:
    """And the same command goes on with it."""
    new = tmp_path / "new"
    assert rotate(own, new).exit_code == 1
    made = new.read_bytes()
    assert len(made.strip()) == 64 and new.stat().st_mode & 0o777 == 0o600
    assert rotate(own, new).exit_code == 1
    assert new.read_bytes() == made
    assert own.read_text() == SECRET


def test_the_file_of_the_new_secret_is_named(own: Path) -> None:
    said = rotate(own)
    assert said.exit_code == 2 and "FILE" in said.stderr


def test_the_secret_that_is_to_be_replaced_is_not_rotated_to(tmp_path: Path, own: Path) -> None:
    (tmp_path / "link").symlink_to(own)
    for path in (own, tmp_path / "link"):
        said = rotate(own, path)
        assert said.exit_code == 2 and "name a FILE for the new one" in said.stderr


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [("short", 0o600, "at least 32 bytes"), (SECRET[::-1], 0o644, "chmod 600")],
)
def test_a_file_that_will_not_do_is_refused(
    tmp_path: Path, own: Path, content: str, mode: int, said: str
) -> None:
    new = tmp_path / "new"
    new.write_text(content)
    new.chmod(mode)
    refused = rotate(own, new)
    assert refused.exit_code == 2 and said in refused.stderr
    assert new.read_text() == content


def test_a_file_that_cannot_be_made_ends_the_command_in_words(tmp_path: Path, own: Path) -> None:
    new = own / "new"
    for said in (rotate(own, new), run("make", new)):
        assert said.exit_code != 0 and "cannot be made: File exists; name one in a dir" in said.stderr


def test_a_secret_that_is_there_is_not_made_anew(tmp_path: Path) -> None:
    make_secret(tmp_path / "secret")
    said = run("make", tmp_path / "secret")
    assert said.exit_code == 1 and "it is not replaced" in said.stderr
