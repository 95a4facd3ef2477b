"""A member on a node: held with its data, or still being created."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from thespian.actors import ActorAddress

from fleet.actors.messages.values import GroupSpec
from fleet.cluster.membership_events import Held
from fleet.errors import FleetError
from fleet.interfaces import GroupRecord
from fleet.raft.entries import Halt
from fleet.raft.ids import MemberId, Millis


@dataclass(slots=True)
class HostedMember:
    """One member of this node, running or not."""

    record: GroupRecord
    spec: GroupSpec
    member: MemberId
    address: ActorAddress | None = None
    leads: bool = False
    votes: bool = False
    """As `MemberInfo.votes`."""
    failures: int = 0
    starts: int = 0
    started_at: Millis = 0
    trouble: str = ""
    """Why it does not run, "" otherwise."""
    ill: str = ""
    """As `MemberInfo.ill`."""
    halt: Halt | None = None
    """As `MemberInfo.halt`."""
    other_code: str = ""
    """As `MemberInfo.other_code`."""
    comparison: str = ""
    """As `MemberInfo.comparison`."""
    offer: bytes = b""
    """As `MemberHalted.offer`."""
    full_at: Millis | None = None
    """When its last write failed for lack of space."""
    is_held: bool = False
    """It was found on the disk and waits for other nodes' answers: see `HeldStart`."""
    is_dropped: bool = False
    """Its data will be deleted as soon as its actor has stopped."""
    held: Held | None = None
    """What the node's membership in the cluster is told of it."""

    def has_ended(self) -> None:
        """Its actor has."""
        self.address, self.leads, self.votes, self.halt = None, False, False, None
        self.other_code, self.comparison, self.offer = "", "", b""


Created: TypeAlias = Callable[[HostedMember | None, FleetError | None], None]


@dataclass(slots=True)
class Coming:
    """A member whose record is being written."""

    spec: GroupSpec
    waiting: list[Created] = field(default_factory=list)
