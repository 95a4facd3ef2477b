"""What threads ask of a client's router, besides calls and questions."""

from collections.abc import Callable

from msgspec import Struct

from fleet.errors import WrongCluster


class LearnAddresses(Struct, frozen=True):
    """Nodes listen there."""

    addresses: tuple[str, ...]


class NoteLeader(Struct, frozen=True):
    group: str
    address: str


class KnownAddresses(Struct, frozen=True):
    addresses: tuple[str, ...]
    """Of nodes that may be asked."""
    foreign: tuple[WrongCluster, ...]
    """Of each address that turned out to be of another cluster, what was found there."""
    uid: int = 0
    """Of the cluster; 0: no node has answered yet."""


class ListAddresses(Struct, frozen=True):
    tell: Callable[[KnownAddresses], None]


class Leave(Struct, frozen=True):
    """Fail every call, and ask each group once to forget this client's session. `tell`: each has answered."""

    tell: Callable[[], None]
