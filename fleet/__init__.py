"""fleet keeps a Python object alive on several hosts at once.

Write a class (`Data`, `command`, `query`, `reminder`), run nodes (`fleet start`, `Node`), and call it by name
(`connect`, for asyncio `aio.connect`). Errors are in `fleet.errors`: `NotDone` was not executed,
`OutcomeUnknown` may have been.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fleet.errors import FleetError, NotDone, OutcomeUnknown, Reject, Rejected
from fleet.objects.client_side import client_side
from fleet.objects.context import ctx
from fleet.objects.declare import Data
from fleet.objects.event import Event
from fleet.objects.hooks import Committed, LeaderHooks
from fleet.objects.methods import (
    Command,
    FunctionalCommand,
    FunctionalQuery,
    Query,
    Reminder,
    command,
    query,
    reminder,
)
from fleet.raft.config import GroupConfig

if TYPE_CHECKING:
    from fleet import aio, thespian
    from fleet.client.connection import Fleet, connect
    from fleet.node import Node
    from fleet.recipes.workers import worker

__all__ = [
    "Committed",
    "Data",
    "Event",
    "Fleet",
    "FleetError",
    "GroupConfig",
    "LeaderHooks",
    "Node",
    "NotDone",
    "OutcomeUnknown",
    "Reject",
    "Rejected",
    "aio",
    "client_side",
    "command",
    "connect",
    "ctx",
    "query",
    "reminder",
    "thespian",
    "worker",
]
_ON_DEMAND = {
    "Fleet": "fleet.client.connection",
    "Node": "fleet.node",
    "aio": "fleet.aio",
    "connect": "fleet.client.connection",
    "thespian": "fleet.thespian",
    "worker": "fleet.recipes.workers",
}
"""What an executor, which imports users' modules, does not need: its start takes a quarter of the time."""
_LASTING: tuple[type, ...] = (Committed, Data, Event, GroupConfig, LeaderHooks, type(ctx))
_LASTING += (Command, Query, Reminder, FunctionalCommand, FunctionalQuery)
for _kind in _LASTING:  # a class that travels by value refers to these, also on disk: under names that stay
    _kind.__module__ = __name__
command.__module__ = query.__module__ = reminder.__module__ = __name__
logging.getLogger("fleet").addHandler(logging.NullHandler())
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_ON_DEMAND[name])
    value = globals()[name] = module if module.__name__ == f"fleet.{name}" else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_DEMAND})
