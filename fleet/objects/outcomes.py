"""What becomes of a call, as its caller is told."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from msgspec import Struct

from fleet.errors import FleetError, OutcomeUnknown
from fleet.raft.ids import Revision


class Succeeded(Struct, frozen=True, gc=False):
    """The call was executed. `value` is a result as `fleet.objects.payload` encodes it, which may hold the
    user's refusal; `revision`: a command's own, or that of the state which a query saw."""

    value: bytes
    revision: Revision = 0


class Failed(Struct, frozen=True):
    """The call was not executed, or, with OutcomeUnknown, nobody will say."""

    error: FleetError


class Unsettled(Struct, frozen=True):
    """The time is over, and the command may have been executed: what became of it is told later."""

    error: OutcomeUnknown


CallEnd: TypeAlias = Succeeded | Failed
CallOutcome: TypeAlias = Succeeded | Failed | Unsettled


class Receiver(Protocol):
    """Whoever made a call. Both methods are called in the client's loop, and may not block."""

    def settle(self, outcome: CallOutcome) -> None:
        """Called exactly once."""

    def settle_late(self, end: CallEnd) -> None:
        """Called exactly once after `Unsettled`, and never otherwise."""


class Impatient:
    """The receiver that has no use for an outcome after its time."""

    __slots__ = ("told",)

    def __init__(self, told: Callable[[CallOutcome], None]) -> None:
        self.told = told

    def settle(self, outcome: CallOutcome) -> None:
        self.told(outcome)

    def settle_late(self, end: CallEnd) -> None:
        """Nobody waits for it."""
