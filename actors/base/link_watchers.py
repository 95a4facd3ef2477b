"""Which lives of other processes are linked with this one, reported to the actors that asked to know.

Thespian's notifyOnSystemRegistrationChanges(): one ActorSystemConventionUpdate a process that comes or goes.
"""

from collections import deque
from typing import Any

from thespian.actors import ActorSystemConventionUpdate

from fleet.actors.base.addresses import SYSTEM, ActorId, Address, LocalId
from fleet.actors.base.cell import Cell
from fleet.actors.base.transport import LinkRefused


class LinkWatchers:
    """`queue` is the kernel's, `system` the address that the reports come from."""

    def __init__(self, queue: deque[tuple[Cell, Any, Address]], system: Address) -> None:
        self._queue = queue
        self._system = system
        self._watchers: dict[LocalId, Cell] = {}
        self._links: dict[tuple[str, int], int] = {}
        """By endpoint and boot id, how many links are up: there may be two, one opened from each side."""

    def add(self, cell: Cell) -> None:
        """Report all changes from now on, and first the processes that are linked already. Idempotent."""
        local = cell.address.ident.local
        if local not in self._watchers:
            self._watchers[local] = cell
            for endpoint, boot in self._links:
                self._queue.append((cell, _update(endpoint, boot, True), self._system))

    def remove(self, local: LocalId) -> None:
        """Idempotent."""
        self._watchers.pop(local, None)

    def link_up(self, endpoint: str, boot: int) -> None:
        peer = (endpoint, boot)
        self._links[peer] = self._links.get(peer, 0) + 1
        if self._links[peer] == 1:
            self._report(_update(endpoint, boot, True))

    def link_down(self, endpoint: str, boot: int) -> None:
        peer = (endpoint, boot)
        assert self._links[peer] > 0
        self._links[peer] -= 1
        if not self._links[peer]:
            del self._links[peer]
            self._report(_update(endpoint, boot, False))

    def link_refused(self, endpoint: str, reason: str) -> None:
        self._report(LinkRefused(endpoint, reason))

    def _report(self, message: Any) -> None:
        for cell in self._watchers.values():
            self._queue.append((cell, message, self._system))


def _update(endpoint: str, boot: int, added: bool) -> Any:
    return ActorSystemConventionUpdate(Address(ActorId(endpoint, boot, SYSTEM)), {}, added)
