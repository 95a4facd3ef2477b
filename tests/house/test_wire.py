"""fleet/docs/wire.md has every tag, key and mark that the code has, and no other."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any, get_args

from fleet.actors.base import handshake, wire
from fleet.actors.messages.operator import GroupOp, NodeOp, OpValue
from fleet.objects import class_refs, payload
from fleet.raft.entries import Body
from fleet.raft.messages import PeerMessage
from fleet.storage import keys
from tests.golden.examples import disk
from tests.house.test_layers import FOLDERS, ROOT, modules

TEXT = (ROOT / "fleet" / "docs" / "wire.md").read_text()
INSIDE: dict[str, Any] = {
    "NodeRequest": NodeOp,
    "GroupRequest": GroupOp,
    "OpReply": OpValue,
    "PeerMail": PeerMessage,
    "Entry": Body,
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables under it, without their heads."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    tables = re.findall(r"^\|[-|]+\|\n((?:\|.*\|\n)+)", section, re.M)
    return [[cell.strip() for cell in row.split("|")[1:-1]] for table in tables for row in table.splitlines()]


def file_of(kind: type) -> str:
    return str(Path(inspect.getfile(kind)).resolve().relative_to(ROOT))


def test_every_message_is_in_its_table() -> None:
    for name, _ in modules():
        if name.startswith(("fleet.actors", "fleet.cluster")):
            importlib.import_module(name)
    ours = [(tag, kind) for tag, kind in wire._types.items() if kind.__module__.startswith("fleet.")]
    there = {("link", str(tag), kind.__name__, file_of(kind)) for tag, kind in ours}
    for place, union in INSIDE.items():
        for kind in get_args(union):
            there.add((place, str(kind.__struct_config__.tag), kind.__name__, file_of(kind)))
    told = rows("Messages")
    assert {(place, tag, name, file.strip("`")) for place, tag, name, _, file in told} == there
    assert len(told) == len(there) and all(who for _, _, _, who, _ in told)


def test_every_key_and_record_of_a_node_is_in_its_table() -> None:
    told = rows("Keys and records on the disk")
    names = (
        "IDENTITY",
        "COUNTER",
        "GROUP",
        "DROPPED",
        "STAGED",
        "META",
        "HARD",
        "SNAPSHOT",
        "CHUNK",
        "BASE",
        "ENTRY",
    )
    of_a_group = ("HARD", "SNAPSHOT", "CHUNK", "BASE", "ENTRY")
    assert [row[:3] for row in told if len(row) == 5] == [
        ["group" if name in of_a_group else "0", str(getattr(keys, name)), name] for name in names
    ]
    records = {row[0] for row in told if len(row) == 2}
    assert records == set(re.findall(r'^[A-Z]+_KEY = "(\w+)"', sources(), re.M))
    shown = {name.removeprefix("meta ").partition(":")[0] for name, _ in disk() if name.startswith("meta ")}
    assert records == shown


def sources() -> str:
    return "\n".join(path.read_text() for path in sorted(FOLDERS["fleet.actors"].rglob("*.py")))


def test_every_mark_of_a_payload_and_every_tag_of_ours_is_there() -> None:
    told = {int(mark, 0) for row in rows("Calls, answers, classes") for mark in row[0].split(", ")}
    marks = {name: value for name, value in vars(payload).items() if re.fullmatch("_?[A-Z_]+", name)}
    assert told == {mark for name, mark in marks.items() if name != "PROTOCOL" and is_byte(mark)}
    for tag in (*class_refs.BUILT_IN, *filter(None, payload._result_readers)):
        assert f"`{tag}`" in TEXT


def is_byte(value: Any) -> bool:
    return type(value) is int and value < 256


def test_the_greeting_has_the_sizes_that_are_told() -> None:
    structs = {"Hello": handshake._HELLO, "Answer": handshake._ANSWER}
    structs["Confirmation"] = handshake._CONFIRMATION
    told = {row[0]: row for row in rows("A link") if len(row) == 4}
    assert set(told) == set(structs)
    for name, (_, _, size, fields) in told.items():
        assert int(size) == structs[name].size == sum(map(int, re.findall(r"(\d+)(?:,|$)", fields)))
