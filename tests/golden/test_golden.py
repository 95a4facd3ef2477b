"""The bytes of all that goes over a link or onto a disk, written down: another byte is an edit on purpose.

FLEET_REWRITE=1 writes the files anew. A change of them means that nodes of two versions do not understand
each other, or that a version does not read the disks of the one before: say so in CHANGELOG.md.
"""

import os
from pathlib import Path

import pytest

from fleet.actors.base import wire
from fleet.raft.codec import decode_messages, encode_messages
from tests.golden.examples import TABLES, links, raft

HERE = Path(__file__).parent
WIDTH = 100


def lines_of(text: str) -> list[str]:
    return [text[start : start + WIDTH] for start in range(0, len(text), WIDTH)]


def written(table: str) -> str:
    """Of each: a name, the bytes as text with dots for what has no letter, the bytes."""
    lines = [(TABLES[table].__doc__ or "").strip(), "FLEET_REWRITE=1 pytest tests/golden writes this.", ""]
    for name, data in TABLES[table]():
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
        lines += [name, *(f'"{line}"' for line in lines_of(letters)), *lines_of(data.hex()), ""]
    return "\n".join(lines)


@pytest.mark.parametrize("table", TABLES)
def test_the_bytes_are_those_that_were_written_down(table: str) -> None:
    path, now = HERE / f"{table}.txt", written(table)
    if os.environ.get("FLEET_REWRITE"):
        path.write_text(now)
    assert now == path.read_text(), f"{path.name}: see the top of {Path(__file__).name}"


def test_what_is_written_down_for_links_is_read_as_it_was() -> None:
    for name, item in links():
        if not name.startswith("a frame"):
            message = wire.decode_message(item)
            assert type(message).__name__ == name.partition(" ")[0]
            assert wire.encode_item("registry", "node", message) == item
    for name, body in raft():
        (read,) = decode_messages(body)
        assert type(read).__name__ == name and encode_messages([read]) == body


def test_another_byte_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.golden.examples.FORMAT", 2)
    assert written("disk") != (HERE / "disk.txt").read_text()
