"""The content of a snapshot: an object with the envelope around it."""

from typing import Final

import msgspec
from msgspec import Struct

from fleet.raft.config import GroupConfig
from fleet.raft.group_events import KeptEvents
from fleet.raft.ids import Index, Revision
from fleet.raft.keys import KeptKeys
from fleet.raft.reminders import KeptReminders
from fleet.raft.sessions import SessionTable

FORMAT: Final = 1


class AppliedState(Struct, frozen=True, array_like=True):
    """The content of a snapshot."""

    format: int
    index: Index
    revision: Revision
    sessions: SessionTable
    config: GroupConfig
    data: bytes
    """The dumped data object."""
    keys: KeptKeys = KeptKeys()
    events: KeptEvents = KeptEvents()
    reminders: KeptReminders = KeptReminders()


encode_state = msgspec.msgpack.Encoder().encode
decode_state = msgspec.msgpack.Decoder(AppliedState).decode


def dumped_object(data: bytes) -> bytes:
    """The object's bytes inside a snapshot."""
    return decode_state(data).data
