"""What users' code does to the simulated process that runs it: it takes time, and imports fail.

The classes of simulated groups call this from within: they know nothing of the world that they are in.
"""

from typing import Any, Protocol

IMPORTS = ("", "raise", "exit")
"""What importing a class does: load it, raise, or end the interpreter."""


class Host(Protocol):
    """The process that is in the middle of a turn."""

    def spend(self) -> None:
        """Users' code runs, and takes its time."""

    def hang(self) -> None:
        """Users' code never returns."""

    @property
    def imports(self) -> str: ...

    @property
    def code(self) -> int:
        """As in `deployed_code`."""

    def hook(self, teller: Any, name: str, *told: Any) -> None:
        """A leader hook was called."""


_running: list[Host | None] = [None]


def runs_in(host: Host | None) -> None:
    _running[0] = host


def works() -> None:
    """Called by every method of a class."""
    host = _running[0]
    if host is not None:
        host.spend()


def hangs() -> None:
    """Called by a method that never returns. It is left out of account what it does afterwards."""
    host = _running[0]
    if host is not None:
        host.hang()


def is_imported() -> None:
    """Called when a class is loaded by its name."""
    host = _running[0]
    if host is None:
        return
    host.spend()
    if host.imports == "raise":
        raise RuntimeError("the simulated module raises when it is imported")
    if host.imports == "exit":
        raise SystemExit("the simulated module ends the interpreter when it is imported")


def deployed_code() -> int:
    """Which code of the classes is loaded: the first, the second, 3: none, or 0: whichever is asked for."""
    host = _running[0]
    return host.code if host is not None else 0


def is_told(teller: Any, name: str, *told: Any) -> None:
    """Called by every leader hook."""
    host = _running[0]
    if host is not None:
        host.spend()
        host.hook(teller, name, *told)
