"""The log of a group as its members keep it, made by hand."""

from typing import Any
from zlib import crc32

from fleet.objects.class_refs import encode_class
from fleet.objects.payload import encode_call
from fleet.objects.recording import RecordedBase, Recording
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Body, Commands, Entry, Founded, SessionOpened
from fleet.raft.ids import MemberId, SessionId

SESSION: SessionId = crc32(b"m") << 32 | 2
"""That the second entry opens."""
CLIENT = "host/1"


def call(*args: Any, method: str = "put") -> bytes:
    return encode_call(method, args, {})


def entries(*payloads: bytes, cls: type, batch: int = 3) -> list[Entry]:
    """A group's log from its first entry on: these commands of one client, some of them together."""
    bodies: list[Body] = [Founded(MemberId("m"), "", GroupConfig(), data_class=encode_class(cls))]
    bodies.append(SessionOpened(CLIENT, 1000))
    for first in range(0, len(payloads), batch):
        bodies.append(Commands(SESSION, first + 1, 0, 2000 + 10 * first, payloads[first : first + batch]))
    return [Entry(1, index, body) for index, body in enumerate(bodies, 1)]


def recording(*taken: Entry, cls: type) -> Recording:
    """From the beginning of the group on."""
    made = Recording("g", RecordedBase(0, 0, 0, 0, 0, 0, b""), b"", encode_class(cls))
    made.append(taken)
    return made
