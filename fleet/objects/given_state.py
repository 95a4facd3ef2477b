"""A group's state from outside, as a backup has it: looked at before a group begins with it."""

import msgspec
from msgspec import Struct

from fleet.objects.applied_state import FORMAT
from fleet.raft.config import GroupConfig
from fleet.raft.group_events import KeptEvents
from fleet.raft.ids import Index, Revision
from fleet.raft.keys import KeptKeys
from fleet.raft.reminders import KeptReminders
from fleet.raft.sessions import SessionTable


class StateHead(Struct, frozen=True, array_like=True):
    """`fleet.objects.applied_state.AppliedState`, with the object's own bytes left alone."""

    format: int
    index: Index
    revision: Revision
    sessions: SessionTable
    config: GroupConfig
    data: msgspec.Raw
    keys: KeptKeys
    events: KeptEvents = KeptEvents()
    reminders: KeptReminders = KeptReminders()


_decode = msgspec.msgpack.Decoder(StateHead).decode


def objection_to(state: bytes, index: Index) -> str:
    """Why this is not the applied state after the entry `index`; "": it is, as far as can be seen without
    the class."""
    try:
        head = _decode(state)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        return f"it is no state of a group: {error}"
    if head.format != FORMAT:
        return f"the state has format {head.format}, and this version of fleet reads format {FORMAT}"
    if head.index != index:
        return f"the state is that after entry {head.index}, not {index}"
    return ""
