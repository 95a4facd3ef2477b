"""Ports of 127.0.0.1 for the nodes of tests."""

import os
import random
import socket
from collections.abc import Iterator
from itertools import cycle

SIDES = 8
FIRST, LAST = 24_000, 32_000
"""Below the ports of outgoing connections, so that one is still free after a restart; above those that
`fleet demo` takes."""


def _in_turn() -> Iterator[int]:
    """Tests that run side by side (pytest-xdist names their processes gw0, gw1, ...) get different ones. No
    port is given twice before all were: the node that has it may not listen yet, or be stopped for now."""
    side = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SIDES
    mine = range(FIRST + side, LAST, SIDES)
    return cycle(random.Random(os.getpid()).sample(mine, len(mine)))


_ports = _in_turn()


def free_port() -> int:
    """One on which no process listens, and that no test of this process was given lately."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no ports")


def free_ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]
