"""Remembers requests, so that a copy gets no other treatment than the first."""

from fleet.actors.messages.client import ClientRequest

REMEMBERED_MAX = 4096


class RememberedRequests:
    """A copy of a request that was refused must not be carried out: its client counts on the refusal. Nor may
    a copy be refused whose first was taken: that one may have been carried out (S78).

    Links carry a request once. Thespian's TCP base and the simulated network may carry it twice.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, int], None] = {}

    def add(self, group: str, client: str, number: int) -> None:
        self._numbers[group, client, number] = None
        if len(self._numbers) > REMEMBERED_MAX:
            del self._numbers[next(iter(self._numbers))]

    def __contains__(self, m: ClientRequest) -> bool:
        return bool(self._numbers) and (m.group, m.client, m.number) in self._numbers
