"""Files without a name: nobody else finds them, and nothing of them is left."""

import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fleet.system import memory as chosen
from tests.support.portable import portable


@pytest.fixture(params=["memory", "temporary"])
def module(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return chosen if request.param == "memory" else portable("memory")


def test_a_nameless_file_is_empty_has_no_name_and_is_not_inherited(module: Any, tmp_path: Path) -> None:
    fd = module.nameless_file("fleet-test")
    assert (os.fstat(fd).st_size, os.fstat(fd).st_nlink, os.get_inheritable(fd)) == (0, 0, False)
    assert list(tmp_path.iterdir()) == []
    os.write(fd, b"both ways")
    assert os.pread(fd, 99, 0) == b"both ways"
    os.close(fd)


def test_bytes_are_readable_as_a_file_again_and_again_and_then_gone(module: Any, tmp_path: Path) -> None:
    with module.readable_as_file(b"a key") as path:
        assert [Path(path).read_bytes() for _ in range(2)] == [b"a key"] * 2
        names = list(tmp_path.iterdir())
        assert all(stat.S_IMODE(name.stat().st_mode) == 0o600 for name in names)
    assert list(tmp_path.iterdir()) == []


def test_where_the_reader_fails_nothing_is_left_either(module: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError), module.readable_as_file(b"a key"):
        raise ValueError
    assert list(tmp_path.iterdir()) == []
