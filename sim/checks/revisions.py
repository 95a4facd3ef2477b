"""What clients of one group are told, by its revisions."""

from collections.abc import Hashable
from typing import Any


class Revisions:
    """A state has one revision, and no query of a client goes back behind what that client was told before it
    asked, also when another member answers (S21)."""

    def __init__(self) -> None:
        self.newest = 0
        """That any client was told of."""
        self._seen: dict[Hashable, int] = {}
        self._states: dict[int, Any] = {}

    def seen(self, client: Hashable) -> int:
        return self._seen.get(client, 0)

    def told(self, client: Hashable, revision: int) -> None:
        """Also of commands."""
        self._seen[client] = max(self.seen(client), revision)
        self.newest = max(self.newest, revision)

    def objection(self, seen: int, revision: int, state: Any) -> str:
        """To what a query is told, whose client had seen that revision when it asked; "" if there is none.
        All queries of a group ask for its whole state."""
        if revision < seen:
            return f"a query is answered at revision {revision}, its client had seen {seen} before"
        first = self._states.setdefault(revision, state)
        return "" if first == state else f"revision {revision} is both {first!r} and {state!r}"
