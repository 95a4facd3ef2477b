"""Of a copy of a group's state only whole parts are taken."""

from concurrent.futures import Future
from typing import Any, cast
from zlib import crc32

import pytest

from fleet.actors.messages.group_states import PART_BYTES, CopyPart, CopyTaken, ForgetCopy, ReadCopy
from fleet.actors.messages.operator import Done, OpValue
from fleet.client.copies import parts_of
from fleet.client.group_api import MemberOperations
from fleet.errors import Unavailable
from fleet.raft.config import GroupConfig

STATE = bytes(range(256)) * (PART_BYTES // 128) + b"the last part"


class Answering(MemberOperations):
    """In the place of a cluster: one member, which may hand out `less` bytes of the part at one offset."""

    def __init__(self, at: int = 0, less: int = 0) -> None:
        self.short_at, self.missing = at, less
        self.asked: list[object] = []

    def _ask_soon(self, op: Any, *_: object) -> Future[OpValue]:
        self.asked.append(op)
        future = Future[OpValue]()
        future.set_result(
            CopyPart(op.offset, self.part(op.offset)) if isinstance(op, ReadCopy) else Done(0, 0)
        )
        return future

    def part(self, offset: int) -> bytes:
        data = STATE[offset : offset + PART_BYTES]
        return data[: len(data) - self.missing] if offset == self.short_at else data

    def read(self) -> bytes:
        about = 1, 5, 5, len(STATE), crc32(STATE), b"class", GroupConfig()
        return b"".join(parts_of(self, "g", CopyTaken(*about, self.part(0), "here:1")))


def test_parts_are_asked_for_one_by_one_and_the_copy_is_forgotten() -> None:
    client = Answering()
    assert client.read() == STATE
    offsets = [cast(ReadCopy, op).offset for op in client.asked[:-1]]
    assert offsets == [PART_BYTES, 2 * PART_BYTES] and client.asked[-1] == ForgetCopy(1)


@pytest.mark.parametrize("at", [0, PART_BYTES, 2 * PART_BYTES])
@pytest.mark.parametrize("less", [1, PART_BYTES])
def test_a_part_that_is_cut_short_is_asked_for_again_and_not_written(at: int, less: int) -> None:
    with pytest.raises(Unavailable, match="a part of its state arrived with"):
        Answering(at, less).read()
