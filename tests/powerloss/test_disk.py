"""The disk itself: what a loss of power takes, and what it must leave."""

import random
from pathlib import Path

import pytest

from .bench import Bench
from .disk import Chance, Disk

OPEN = "import os\nf = os.open('a', os.O_RDWR | os.O_CREAT)\nd = os.open('.', os.O_RDONLY)\n"


@pytest.fixture
def bench(tmp_path: Path, library: Path) -> Bench:
    return Bench(tmp_path, library)


def run(bench: Bench, program: str, deaf: str = "") -> Disk:
    records = bench.run(program, deaf)
    return bench.disk.replay(records)


def left(bench: Bench, program: str, chance: Chance | None = None, deaf: str = "") -> dict[str, bytes]:
    run(bench, program, deaf).lose_power(chance or Chance.nothing())
    return {path.name: path.read_bytes() for path in bench.root.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("os.write(f, b'one')", {}),
        ("os.write(f, b'one'); os.fsync(f)", {}),  # nobody synced its name
        ("os.fsync(d); os.write(f, b'one')", {"a": b""}),
        ("os.fsync(d); os.write(f, b'one'); os.fsync(f)", {"a": b"one"}),
        ("os.fsync(d); os.write(f, b'one'); os.fdatasync(f); os.write(f, b'two')", {"a": b"one"}),
        ("os.fsync(d); os.pwrite(f, b'x', 9); os.fsync(f); os.ftruncate(f, 2)", {"a": b"\0" * 9 + b"x"}),
        ("os.fsync(d); os.writev(f, [b'on', b'e']); os.fsync(f); os.pwrite(f, b'x', 0)", {"a": b"one"}),
        ("os.fsync(d); os.pwritev(f, [b'on', b'e'], 1); os.fsync(f)", {"a": b"\0one"}),
        ("os.fsync(d); os.unlink('a')", {"a": b""}),
        ("os.unlink('a'); os.fsync(d)", {}),
        ("os.fsync(d); os.rename('a', 'b')", {"a": b""}),
        ("os.fsync(d); os.rename('a', 'b'); os.fsync(d)", {"b": b""}),
        ("os.fsync(d); os.link('a', 'b'); os.unlink('a')", {"a": b""}),
        ("os.fsync(d); os.write(f, b'one'); os.fsync(f); open('a', 'w').close()", {"a": b"one"}),
    ],
)
def test_what_no_sync_covered_is_lost(bench: Bench, program: str, expected: dict[str, bytes]) -> None:
    assert left(bench, OPEN + program) == expected


def test_a_write_that_is_synced_by_itself_makes_no_other_safe(bench: Bench) -> None:
    program = OPEN + "os.fsync(d); os.pwrite(f, b'other', 0); s = os.open('a', os.O_WRONLY | os.O_DSYNC)\n"
    assert left(bench, program + "os.pwrite(s, b'self', 5)") == {"a": b"\0\0\0\0\0self"}


def test_a_disk_that_lies_keeps_nothing(bench: Bench) -> None:
    program = OPEN + "os.fsync(d); os.write(f, b'one'); os.fdatasync(f)"
    assert left(bench, program, deaf="fdatasync") == {"a": b""}


def test_everything_may_be_there_although_nothing_was_synced(bench: Bench) -> None:
    program = OPEN + "os.write(f, b'one'); os.rename('a', 'b'); os.mkdir('c')"
    assert left(bench, program, Chance.everything()) == {"b": b"one"}
    assert (bench.root / "c").is_dir()


def test_a_write_is_torn_between_sectors_only(bench: Bench) -> None:
    before, after = b"b" * 2048, b"a" * 1500
    disk = run(
        bench, f"{OPEN}os.fsync(d); os.write(f, {before!r}); os.fsync(f); os.pwrite(f, {after!r}, 100)"
    )
    seen = set()
    for seed in range(40):
        disk.lose_power(Chance(random.Random(seed), 0.5, 512))
        content = bench.root.joinpath("a").read_bytes()
        assert len(content) == 2048
        pieces = [content[100:512], content[512:1024], content[1024:1536], content[1536:1600]]
        assert all(len(set(piece)) == 1 for piece in pieces)
        seen.add("".join(chr(piece[0]) for piece in pieces))
    assert len(seen) > 10


def test_a_file_that_has_grown_may_hold_what_was_on_the_disk_before(bench: Bench) -> None:
    disk = run(bench, f"{OPEN}os.fsync(d); os.write(f, {b'a' * 1024!r})")
    chance = Chance(random.Random(3), 0.5, 512, leftovers=True)
    contents = []
    for _ in range(50):
        disk.lose_power(chance)
        contents.append(bench.root.joinpath("a").read_bytes())
    content = next(one for one in contents if len(one) == 1024 and one[:512] != b"a" * 512)
    assert content[512:] == b"a" * 512 and content[:512] != bytes(512)


def test_what_is_not_modelled_is_told(bench: Bench) -> None:
    with pytest.raises(AssertionError, match="posix_fallocate64 of .*: not modelled"):
        run(bench, OPEN + "os.posix_fallocate(f, 0, 4096)")


def test_an_untouched_file_stays(bench: Bench) -> None:
    bench.root.joinpath("old").write_bytes(b"old")
    assert left(bench, OPEN) == {"old": b"old"}
