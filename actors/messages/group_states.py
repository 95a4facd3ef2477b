"""Requests for the states of a group, and the replies: copies for backups, states that are given back, and
what a member has kept of the past."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from fleet.actors.messages.values import Count, Where
from fleet.objects.recording import RecordedBase
from fleet.raft.config import GroupConfig
from fleet.raft.ids import Index, MemberId, Revision

PART_BYTES: Final = 256 << 10
"""Of a state on its way into a backup or out of one: little beside what a link queues for others."""
INDEX_MAX: Final = 1 << 60


class TakeCopy(Struct, frozen=True, array_like=True, tag=30):
    """Take a copy of the group's state, as new as everything that was committed before this. The member that
    leads keeps it for a while, to be read in parts."""


class ReadCopy(Struct, frozen=True, array_like=True, tag=31):
    copy: Count
    """As in `CopyTaken`."""
    offset: Count


class ForgetCopy(Struct, frozen=True, array_like=True, tag=32):
    copy: Count


class GiveState(Struct, frozen=True, array_like=True, tag=33):
    """A part of the state that a restored group begins with, to its first founder. Answered by `PartsHeld`,
    and by `Done` once the whole is committed."""

    uid: Count
    """Of the group that was added for it; another one of its name refuses it."""
    index: Annotated[int, Meta(ge=1, le=INDEX_MAX)]
    """As in `CopyTaken`."""
    size: Count
    crc: Count
    """Of the whole: bytes, and `zlib.crc32`."""
    offset: Count
    data: Annotated[bytes, Meta(max_length=PART_BYTES)]


class GetHistory(Struct, frozen=True, array_like=True, tag=19):
    """What has this member kept of its group's past? Answered by each member for itself."""


class ReadBase(Struct, frozen=True, array_like=True, tag=20):
    """A part of the bytes of one of the states that it has kept."""

    generation: Count
    offset: Count


class ReadLog(Struct, frozen=True, array_like=True, tag=21):
    """Entries that it has kept, from this index on."""

    first: Index


class History(Struct, frozen=True, array_like=True, tag=10):
    """What a member has kept of its group's past."""

    member: MemberId
    data_class: bytes
    """With which the group was created."""
    bases: tuple[RecordedBase, ...]
    """The oldest first."""
    commit: Index
    """The last entry that is known to be committed."""
    applied: Index
    revision: Revision
    """After the entry `applied`."""


class HistoryPart(Struct, frozen=True, array_like=True, tag=11):
    """Of the bytes of a state: as many as asked for, or fewer at its end. Of the log: entries, encoded."""

    data: bytes


class CopyTaken(Struct, frozen=True, array_like=True, tag=30):
    copy: Count
    """Its number at the member that keeps it; 0: `data` is all of it."""
    index: Count
    """Of the newest entry in it."""
    revision: Revision
    size: Count
    crc: Count
    """Of the whole: bytes, and `zlib.crc32`."""
    data_class: bytes
    """In force at `index`."""
    config: GroupConfig
    data: bytes
    """Its first `PART_BYTES`."""
    address: Where
    """Where the rest is to be read."""


class CopyPart(Struct, frozen=True, array_like=True, tag=31):
    offset: Count
    data: bytes


class PartsHeld(Struct, frozen=True, array_like=True, tag=32):
    size: Count
    """How many bytes the first founder has: the next part begins there."""
