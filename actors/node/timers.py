"""The timers of a node manager: each is a payload of Thespian's WakeupMessage, told apart by its type."""

from msgspec import Struct

from fleet.raft.ids import NodeName


class Round(Struct, frozen=True):
    """About once a second: say hello, look for what is left to do."""


class ReportAdmission(Struct, frozen=True):
    """Log why this node is not in its cluster yet."""


class StartHeldMembers(Struct, frozen=True):
    """Start the members found on the disk: other nodes had time to object."""


class LookAtGroups(Struct, frozen=True):
    """Continue the reconciliation of groups."""


class FoundingDeadline(Struct, frozen=True):
    """The founding's deadline may have passed."""


class FoundAgain(Struct, frozen=True):
    """Try again to create the first member of the cluster group: the disk has failed."""

    founders: tuple[tuple[NodeName, str, str], ...]
    """(name, incarnation, address)"""


class RenewAgain(Struct, frozen=True):
    """Try again to give the directory a new incarnation: the disk has failed."""


class RestartMember(Struct, frozen=True):
    """Start a member again that has failed. `number`: in the node's store."""

    number: int
