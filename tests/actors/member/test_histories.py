"""What a member hands out of its past: in parts, only what is committed, and damage is told to who asks."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fleet.actors.member import histories
from fleet.actors.messages.group_states import GetHistory, History, HistoryPart, ReadBase, ReadLog
from fleet.actors.messages.operator import OpValue
from fleet.errors import NotKept
from fleet.interfaces import Write
from fleet.raft.entries import Entry
from fleet.raft.ready import Retain
from fleet.storage import Store, keys
from tests.storage.disks import MemoryDisk, append, create, entries, snapshot

read_entries = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode


@pytest.fixture
def disk() -> MemoryDisk:
    return MemoryDisk()


def member(store: Store, commit: int) -> Any:
    """With entries up to 30, and states at 10 and 20."""
    group = create(store)
    for index in (10, 20):
        store.write([append(group, index - 9, index)])
        retain = Retain(entries=70, at_ms=index)
        state = b"\x97\x01" + bytes([index, index - 1]) + bytes(40)
        store.write([Write(group, 0, snapshot=snapshot(index, state), keep_after=index, retain=retain)])
    store.write([append(group, 21, 30)])
    return SimpleNamespace(
        store=store,
        number=group,
        spec=SimpleNamespace(name="g", data_class=b"class"),
        core=SimpleNamespace(id="n1@d1.g1", log=SimpleNamespace(commit=commit)),
        object=SimpleNamespace(index=commit - 1, revision=99),
    )


def value(one: Any, op: GetHistory | ReadBase | ReadLog) -> OpValue:
    reply = histories.answer(one, 1, op)
    if reply.error is not None:
        raise reply.error.to_error()
    assert reply.value is not None
    return reply.value


def test_it_tells_its_states_with_their_revisions(disk: MemoryDisk) -> None:
    told = value(member(disk.open(), commit=25), GetHistory())
    assert isinstance(told, History)
    assert [(base.index, base.revision, base.at_ms) for base in told.bases] == [
        (0, 0, 0), (10, 9, 10), (20, 19, 20)
    ]  # fmt: skip
    assert (told.commit, told.applied, told.revision, told.data_class) == (25, 24, 99, b"class")


def test_only_what_is_committed_is_handed_out_and_in_parts(
    disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "PART_BYTES", 100)
    one = member(disk.open(), commit=25)
    found: list[Entry] = []
    while len(found) < 25:
        part = value(one, ReadLog(len(found) + 1))
        assert isinstance(part, HistoryPart)
        found += read_entries(part.data)
    assert tuple(found) == entries(1, 25)
    with pytest.raises(NotKept, match="entry 26 is not kept"):
        value(one, ReadLog(26))
    with pytest.raises(NotKept, match="entry 0 is not kept|are missing"):
        value(one, ReadLog(0))
    state = value(one, ReadBase(1, 2))
    assert isinstance(state, HistoryPart) and state.data[:2] == bytes([10, 9])
    with pytest.raises(NotKept, match="was deleted meanwhile"):
        value(one, ReadBase(77, 0))


def test_damage_is_told_to_who_asks_and_ends_nothing(disk: MemoryDisk) -> None:
    store = disk.open()
    one = member(store, commit=25)
    disk.put(keys.entry_key(one.number, 3), b"rubbish")
    with pytest.raises(NotKept, match="history is damaged: "):
        value(one, ReadLog(1))
    assert isinstance(value(one, ReadLog(4)), HistoryPart)
