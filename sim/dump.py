"""What `fleet.actors.forked` does, in virtual time: a child has the state as of now, and takes a while."""

from collections.abc import Callable
from contextlib import suppress

from fleet.errors import FleetError


class SimDump:
    """`table` holds it by its descriptor for as long as that is open."""

    def __init__(
        self, dump: Callable[[], bytes], fileno: int, table: "dict[int, SimDump]", is_killed: bool
    ) -> None:
        self.owner = getattr(dump, "__self__", None)
        """Whose state it is."""
        self.is_over = False
        self._fileno = fileno
        self._table = table
        self._data: bytes | None = None
        if not is_killed:
            with suppress(FleetError):  # the child fails
                self._data = dump()

    def fileno(self) -> int:
        return self._fileno

    def take(self) -> bytes | None:
        self._close()
        return self._data

    def cancel(self) -> None:
        self._close()

    def _close(self) -> None:
        assert self._table.pop(self._fileno, None) is self, "a descriptor is closed twice"
