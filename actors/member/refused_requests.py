"""Remembers requests, so that a copy gets no other treatment than the first."""

from fleet.actors.messages.client import ClientRequest

REMEMBERED_MAX = 4096
"""So many are remembered at least, and twice as many at most."""


class RememberedRequests:
    """A copy of a request that was refused must not be carried out: its client counts on the refusal. Nor may
    a copy be refused whose first was taken: that one may have been carried out (S78).

    Links carry a request once. Thespian's TCP base and the simulated network may carry it twice.
    """

    def __init__(self) -> None:
        self._newer: set[tuple[str, str, int]] = set()
        self._older: set[tuple[str, str, int]] = set()

    def add(self, group: str, client: str, number: int) -> None:
        self._newer.add((group, client, number))
        if len(self._newer) >= REMEMBERED_MAX:
            self._newer, self._older = set(), self._newer

    def __contains__(self, m: ClientRequest) -> bool:
        if not self._newer and not self._older:
            return False
        request = m.group, m.client, m.number
        return request in self._newer or request in self._older
