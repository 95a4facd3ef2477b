"""Which threads may wait for a cluster: not a loop that would have to answer, nor an import by a node."""

import asyncio
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fleet.errors import WouldDeadlock

IN_ASYNCIO = (
    "a blocking call of fleet in a running asyncio loop: nothing else runs in the loop meanwhile. "
    "Await handle.method.aio(...) instead, and use fleet.aio.connect(...)"
)

STOCK_BASES = ("thespian.system.actorManager", "thespian.system.simpleSystemBase")
"""The modules of Thespian that run actors: the first for all its bases with a process an actor."""


class _Here(threading.local):
    in_loop = False
    """This thread runs the actors of a node or client."""
    importing = ""
    """The class that a node is importing in this thread."""


HERE = _Here()


@contextmanager
def importing(what: str) -> Iterator[None]:
    """Marks an import on a node's behalf: it may not wait for a cluster."""
    before, HERE.importing = HERE.importing, what
    try:
        yield
    finally:
        HERE.importing = before


def refuse_import(what: str) -> None:
    """Raises WouldDeadlock while a node imports a module: a client in it would wait for that very node."""
    if HERE.importing:
        raise WouldDeadlock(
            f"{what} at the top level of a module that a node imports for {HERE.importing}: "
            "the node would wait for itself"
        )


def is_in_stock_actor() -> bool:
    """Whether one of Thespian's own bases runs an actor in this thread. They keep no record of it that holds
    for all of them, but whatever an actor does has a frame of the base below it."""
    if STOCK_BASES[0] not in sys.modules and STOCK_BASES[1] not in sys.modules:
        return False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") in STOCK_BASES:
            return True
        frame = frame.f_back
    return False


def check_may_block(what: str) -> None:
    """Raises WouldDeadlock where waiting would never end or would stop the mailbox of a Thespian actor, and
    warns where it stops an asyncio loop."""
    refuse_import(what)
    if is_in_stock_actor():
        raise WouldDeadlock(
            f"{what} inside a Thespian actor: its mailbox would stand still; send fleet.thespian.Call instead"
        )
    if HERE.in_loop:
        raise WouldDeadlock(
            f"{what} in the thread that runs the actors of a node or client, which would wait for itself"
        )
    if asyncio._get_running_loop() is not None:
        _warn(sys._getframe(1))


def _warn(frame: FrameType | None) -> None:
    """Warn at the caller's own line, once per line."""
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fleet":
        frame = frame.f_back
    if frame is not None:
        registry = frame.f_globals.setdefault("__warningregistry__", {})
        name = frame.f_globals.get("__name__", "")
        file, line = frame.f_code.co_filename, frame.f_lineno
        warnings.warn_explicit(IN_ASYNCIO, RuntimeWarning, file, line, name, registry)
