"""What a session with a group is told, besides replies and calls, and what it wants done."""

from typing import Any, TypeAlias

from msgspec import Struct
from thespian.actors import ActorAddress

from fleet.actors.client.calls import ClientCall
from fleet.errors import FleetError
from fleet.objects.outcomes import CallEnd, CallOutcome
from fleet.raft.ids import Millis

# -- what happened ---------------------------------------------------------------------------------


class TurnEnded(Struct, frozen=True):
    """All calls of the turn were added."""

    groups: int = 1
    """In how many the client has calls under way."""


class Woken(Struct, frozen=True):
    """The time that `due_at` named may have come."""


class LinkLost(Struct, frozen=True):
    registry: ActorAddress


class LinkMade(Struct, frozen=True):
    endpoint: str


class LeaderNoted(Struct, frozen=True):
    """Where to ask first; whatever nodes answer counts more."""

    address: str


class ClusterPinned(Struct, frozen=True):
    """Refused at the door, since this client had not heard yet which cluster there is. Now it has."""


class ForeignNode(Struct, frozen=True):
    """Refused at the door: the node there is of another cluster."""

    registry: ActorAddress


class NodesLearned(Struct, frozen=True):
    """It is known by now which nodes there are, and where."""


class Abandoned(Struct, frozen=True):
    """No call can succeed."""

    error: FleetError


class Leaving(Struct, frozen=True):
    """The client is closed."""

    error: FleetError


# -- what is to be done ----------------------------------------------------------------------------


class Send(Struct, frozen=True):
    to: ActorAddress
    message: Any


class Settle(Struct, frozen=True):
    """Tell the receivers."""

    outcomes: list[tuple[ClientCall, CallOutcome]]


class SettleLate(Struct, frozen=True):
    """Tell the receiver what became of a call that was unsettled."""

    call: ClientCall
    end: CallEnd


class LookForNodes(Struct, frozen=True):
    """Something is not where it was thought to be: ask which nodes there are."""


class WakeAt(Struct, frozen=True):
    at: Millis


Effect: TypeAlias = Settle | SettleLate | LookForNodes | Send | WakeAt
