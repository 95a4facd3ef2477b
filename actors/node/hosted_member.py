"""One member of a node, running, waiting or coming."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from thespian.actors import ActorAddress

from fleet.actors.messages.values import GroupSpec
from fleet.errors import FleetError
from fleet.interfaces import GroupRecord
from fleet.raft.ids import MemberId, Millis


@dataclass(slots=True)
class HostedMember:
    """One member of this node, running or not."""

    record: GroupRecord
    spec: GroupSpec
    member: MemberId
    address: ActorAddress | None = None
    leads: bool = False
    failures: int = 0
    started_at: Millis = 0
    trouble: str = ""
    """Why it does not run."""
    ill: str = ""
    """As `MemberInfo.ill`."""
    full_at: Millis | None = None
    """When its last write failed for want of space."""
    is_held: bool = False
    """It was found on the disk, and waits for what other nodes know of that."""
    is_dropped: bool = False
    """Its data goes as soon as it has stopped."""


Created: TypeAlias = Callable[[HostedMember | None, FleetError | None], None]


@dataclass(slots=True)
class Coming:
    """A member that is being made durable."""

    spec: GroupSpec
    waiting: list[Created] = field(default_factory=list)
