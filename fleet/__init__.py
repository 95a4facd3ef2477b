"""fleet keeps a Python object alive on several hosts at once.

Write a class (`Data`, `command`, `query`), run nodes (`fleet start`, `Node`), and call it by name
(`connect`, for asyncio `aio.connect`). Errors are in `fleet.errors`: `NotDone` was not executed,
`OutcomeUnknown` may have been.
"""

import logging

from fleet import aio
from fleet.client.connection import Fleet, connect
from fleet.errors import FleetError, NotDone, OutcomeUnknown, Reject, Rejected
from fleet.node import Node
from fleet.objects.context import ctx
from fleet.objects.declare import (
    Command,
    Data,
    FunctionalCommand,
    FunctionalQuery,
    Query,
    command,
    query,
)
from fleet.objects.hooks import Committed, LeaderHooks
from fleet.raft.config import GroupConfig

__all__ = [
    "Committed",
    "Data",
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
    "command",
    "connect",
    "ctx",
    "query",
]
_LASTING: tuple[type, ...] = (Committed, Data, GroupConfig, LeaderHooks, type(ctx))
_LASTING += (Command, Query, FunctionalCommand, FunctionalQuery)
for _kind in _LASTING:  # a class that travels by value refers to these, also on disk: under names that stay
    _kind.__module__ = __name__
command.__module__ = query.__module__ = __name__
logging.getLogger("fleet").addHandler(logging.NullHandler())
__version__ = "0.1.0"
