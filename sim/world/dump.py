"""`fleet.actors.runtime.forked_dump` in virtual time: a child takes a while to encode a state."""

from collections.abc import Callable
from errno import ENOMEM
from zlib import crc32

from fleet.actors.executor.state_points import StatePoints
from fleet.errors import FleetError
from fleet.sim.world.timeline import Timeline


class SimDump:
    """`table` holds it by its descriptor for as long as that is open."""

    def __init__(
        self,
        dump: Callable[[], bytes],
        fileno: int,
        table: "dict[int, SimDump]",
        is_killed: bool,
        mark: Callable[[str], None],
    ) -> None:
        self._mark = mark
        owner = getattr(getattr(dump, "func", dump), "__self__", None)
        self.owner = owner.owner.applier if isinstance(owner, StatePoints) else owner
        """Whose state it is."""
        self.is_over = False
        self._fileno = fileno
        self._table = table
        self._data: bytes | Exception = ChildProcessError("the simulated child was killed")
        if not is_killed:
            try:
                self._data = dump()
            except FleetError as error:
                self._data = error

    @classmethod
    def forked(
        cls,
        dump: Callable[[], bytes],
        fileno: int,
        table: "dict[int, SimDump]",
        fails: float,
        world: Timeline,
    ) -> "SimDump":
        """`fails`: how likely there is no child, or it is killed. Raises OSError."""
        if fails and world.rng.random() < fails:
            world.mark("a fork fails")
            raise OSError(ENOMEM, "the simulated machine has no memory for another process")
        is_killed = world.rng.random() < fails
        child = table[fileno] = cls(dump, fileno, table, is_killed, world.mark)
        return child

    def fileno(self) -> int:
        return self._fileno

    def is_done(self) -> bool:
        return self.is_over

    memory: int | None = None

    def release(self) -> None:
        pass

    def take(self) -> tuple[bytes, int]:
        self._close()
        self._mark("a child encodes a state")
        if isinstance(self._data, Exception):
            self._mark("a child that encodes a state fails")
            raise self._data
        return self._data, crc32(self._data)

    def cancel(self) -> None:
        self._mark("a state that a child encodes is no longer wanted")
        self._close()

    def _close(self) -> None:
        assert self._table.pop(self._fileno, None) is self, "a descriptor is closed twice"
