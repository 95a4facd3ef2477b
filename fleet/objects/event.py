"""An event of a group, as its receivers see it."""

from typing import Any

from msgspec import Struct

from fleet.errors import NotDecodable
from fleet.objects.payload import TYPED, decode_value
from fleet.raft.group_events import GroupEvent
from fleet.raft.ids import Revision


class Event(Struct, frozen=True):
    """What a command gave `fleet.ctx.emit`. `value` is a copy."""

    revision: Revision
    """Of the command that emitted it."""
    number: int
    """Among the events of that command, from 0 on."""
    kind: str
    value: Any

    @property
    def id(self) -> str:
        """Revision and number: the same whoever receives it, and no other event of the group has it."""
        return f"{self.revision}-{self.number}"


def received_typed(event: GroupEvent) -> Event:
    """As `received`, of a class that makes no pickles: one is not loaded, whoever has sent it."""
    if event.value[:1] != bytes((TYPED,)):
        raise NotDecodable("a pickle for an event, from a class that makes none: it was not loaded")
    return received(event)


def received(event: GroupEvent) -> Event:
    """Raises NotDecodable: the value cannot be loaded here."""
    return Event(event.revision, event.number, event.kind, decode_value(event.value))
