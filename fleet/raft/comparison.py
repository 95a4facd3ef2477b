"""What members keep to compare their states: see `comparing.py`."""

from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from fleet.raft.ids import Index, MemberId, Revision

POINTS_KEPT: Final = 64
"""A member remembers the digests of so many points, since a leader asks for them some heartbeats later."""
ASKED_MAX: Final = 20
"""A member that has not answered after so many heartbeats is left out of that comparison."""


class StatePoint(Struct, frozen=True, array_like=True, gc=False):
    """This member's state after the entry `index`."""

    index: Index
    revision: Revision
    digest: bytes
    """Equal on members with equal states. b"": the state has none. Its first two bytes say how it was made:
    others cannot be compared."""


@dataclass(slots=True)
class Comparison:
    """A leader's comparison of the members' states after the entry `index`."""

    index: Index
    digests: dict[MemberId, bytes] = field(default_factory=dict)
    """As the other members have answered."""
    asked: int = 0
    is_done: bool = False
    is_decided: bool = False
    """A majority has the same digest."""
    told: set[MemberId] = field(default_factory=set)
    """Members whose state was found to differ, and logged."""


def are_comparable(one: bytes, other: bytes) -> bool:
    return bool(one and other) and one[:2] == other[:2]
