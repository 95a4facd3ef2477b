"""The state before and after each command, encoded, for `on_changed`."""

from collections.abc import Callable

from fleet.raft.ids import Revision


class StateChanges:
    def __init__(self, dump: Callable[[], bytes | None]) -> None:
        self._dump = dump
        """None: the state cannot be encoded now."""
        self._last: bytes | None = None
        self._noted: dict[Revision, tuple[bytes, bytes]] = {}

    def begin(self) -> None:
        """A leadership begins with the state as it is."""
        self._noted.clear()
        self._last = self._dump()

    def end(self) -> None:
        self._noted.clear()
        self._last = None

    def note(self, revision: Revision) -> None:
        """The command of that revision has just been executed."""
        before, self._last = self._last, self._dump()
        if before is not None and self._last is not None and before != self._last:
            self._noted[revision] = before, self._last

    def take(self, revision: Revision) -> tuple[bytes, bytes] | None:
        """The states around it; None: it has changed nothing, or they are not known."""
        return self._noted.pop(revision, None)
