"""Reads a copy of a group's state from its leader, part by part."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

from fleet.actors.messages.group_states import (
    PART_BYTES,
    CopyPart,
    CopyTaken,
    ForgetCopy,
    ReadCopy,
    TakeCopy,
)
from fleet.actors.messages.operator import OpValue
from fleet.client.group_api import GRACE_S, MemberOperations
from fleet.errors import Unavailable

T = TypeVar("T")
AHEAD: Final = 16
"""Copies that are asked for before it is their turn, where they are small."""
PART_S: Final = 5.0
"""How long a member may take to give a part, before it is looked for elsewhere."""


def ask_for_copy(client: MemberOperations, group: str, seconds: float, address: str = "") -> Future[OpValue]:
    """For a `CopyTaken`. `address`: where the group's leader should be, if that is known."""
    return client._ask_soon(TakeCopy(), group, address, True, seconds)


def in_turn(groups: Sequence[T], ask: Callable[[T], Future[OpValue]]) -> Iterator[tuple[T, Future[OpValue]]]:
    """The groups in order, each with its answer to come. As long as states are small, more and more are asked
    for ahead. A big one is asked for alone: its node forks, encodes it, and keeps it until it is read."""
    waiting, asked = deque(groups), deque[tuple[T, Future[OpValue]]]()
    ahead = 1
    while waiting or asked:
        while waiting and len(asked) < ahead:
            group = waiting.popleft()
            asked.append((group, ask(group)))
        group, answer = asked.popleft()
        yield group, answer
        ahead = min(2 * ahead, AHEAD) if _was_small(answer) else 1


def _was_small(answer: Future[OpValue]) -> bool:
    if not answer.done() or answer.exception() is not None:
        return False
    copy = answer.result()
    return isinstance(copy, CopyTaken) and not copy.copy


def parts_of(client: MemberOperations, group: str, copy: CopyTaken) -> Iterator[bytes]:
    """The bytes of the copy, which its member then forgets.

    Raises: NoSuchCopy, Unavailable: its member has ended, or gives less than it said.
    """
    yield _whole(copy, 0, copy.data)
    if not copy.copy:
        return

    def ask(offset: int) -> Future[OpValue]:
        return client._ask_soon(ReadCopy(copy.copy, offset), group, copy.address, True, PART_S)

    asked = ask(PART_BYTES)
    for offset in range(PART_BYTES, copy.size, PART_BYTES):
        part = _part(asked, copy, offset)
        if offset + PART_BYTES < copy.size:
            asked = ask(offset + PART_BYTES)
        yield part
    forget(client, group, copy)


def forget(client: MemberOperations, group: str, copy: CopyTaken) -> None:
    """Its member need not keep it any more."""
    if copy.copy:
        client._ask_soon(ForgetCopy(copy.copy), group, copy.address, True, PART_S)


def _part(asked: Future[OpValue], copy: CopyTaken, offset: int) -> bytes:
    value = asked.result(PART_S + GRACE_S)
    assert isinstance(value, CopyPart)
    return _whole(copy, offset, value.data)


def _whole(copy: CopyTaken, offset: int, data: bytes) -> bytes:
    expected = min(PART_BYTES, copy.size - offset)
    if len(data) != expected:
        raise Unavailable(f"a part of its state arrived with {len(data)} bytes, not {expected}")
    return data
