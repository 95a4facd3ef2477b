"""The interface between the kernel and its surroundings: time, and links to other processes."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from fleet.actors.base.addresses import ActorId, Address, LocalId


class LinkRefused(Struct, frozen=True):
    """An attempt to reach the process at `endpoint` failed; `reason` is a short fixed text.

    Delivered once per attempt to actors that called notifyOnSystemRegistrationChanges().
    """

    endpoint: str
    reason: str


class Transport(Protocol):
    """Time, and links to other processes. No call may block or raise."""

    def now(self) -> float:
        """Monotonic seconds; only differences have a meaning."""

    def send(self, dst: ActorId, sender: Address, message: Any) -> None:
        """Deliver a message to another process, or lose it. Keeps the order per pair of addresses."""

    def watch(self, local: LocalId, filenos: Sequence[int]) -> None:
        """Call `kernel.ready(local, filenos)` once, when some are readable. Replaces the former
        descriptors."""

    def stop(self) -> None:
        """Stop the whole actor system: an actor has asked for it."""
