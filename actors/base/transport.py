"""The seam between the kernel and the world."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from fleet.actors.base.addresses import ActorId, Address, LocalId


class LinkRefused(Struct, frozen=True):
    """An attempt to reach the process at `endpoint` failed; `reason` is a short fixed text.

    Delivered to actors that called notifyOnSystemRegistrationChanges(), once an attempt.
    """

    endpoint: str
    reason: str


class Transport(Protocol):
    """Time and the way to other processes. No call may block or raise."""

    def now(self) -> float:
        """Seconds that never go back; only differences mean anything."""

    def send(self, dst: ActorId, sender: Address, message: Any) -> None:
        """Deliver to another process or lose it; order is kept per pair of addresses."""

    def watch(self, local: LocalId, filenos: Sequence[int]) -> None:
        """Call `kernel.ready(local, filenos)` once when some are readable; replaces what was watched."""

    def stop(self) -> None:
        """An actor asked for the end of the whole system."""
