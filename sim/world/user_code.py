"""What users' code does to the simulated process that runs it: it takes time, and imports fail.

The classes of simulated groups call this from within: they know nothing of the world that they are in.
"""

from typing import Any, Protocol

from fleet.objects.context import ctx

IMPORTS = ("", "raise", "exit")
"""What importing a class does: load it, raise, or end the interpreter."""
EVENT_KINDS = ("even", "odd")
EVENTS_EACH = (1, 0, 1, 2, 1, 3)
"""How many events commands emit, in turn."""


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

    def emitted(self, position: tuple[int, int], kind: str, number: int) -> None:
        """A command that succeeds emitted this event, at that place of its group's events."""


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


def emits(number: int, fails: bool = False) -> None:
    """Called by commands that are given the number of a call: emit its events; none for 0. `fails`: the
    command will."""
    host = _running[0]
    for place in range(EVENTS_EACH[number % len(EVENTS_EACH)] if number else 0):
        kind = EVENT_KINDS[(number + place) % len(EVENT_KINDS)]
        ctx.emit(kind, number)
        if host is not None and not fails:
            host.emitted((ctx.index, place), kind, number)


def is_told(teller: Any, name: str, *told: Any) -> None:
    """Called by every leader hook."""
    host = _running[0]
    if host is not None:
        host.spend()
        host.hook(teller, name, *told)
