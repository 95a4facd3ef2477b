import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from thespian.actors import ActorSystem

from fleet.actors.base import start_system
from tests.actors.base.helpers import CLUSTER, SECRET, open_descriptors
from tests.support.waiting import eventually


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """The test leaves no thread and no descriptor of its own."""
    threads = set(threading.enumerate())
    descriptors = open_descriptors()
    yield
    eventually(lambda: set(threading.enumerate()) <= threads)
    assert open_descriptors() <= descriptors


@pytest.fixture
def start(nothing_left: None) -> Iterator[Callable[..., ActorSystem]]:
    """Start actor systems of the test cluster; they are stopped at the end. `listen=None` for a client."""
    systems: list[Any] = []

    def start(**settings: Any) -> ActorSystem:
        given = {"listen": "127.0.0.1:0", "cluster": CLUSTER, "secret": SECRET, **settings}
        system = start_system(**given)
        systems.append(system)
        return system

    yield start
    for system in systems:
        if system._systemBase is not None:
            system.shutdown()


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint whose host takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An endpoint that does not even complete a connect: its queue of connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        where = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(where)
            fillers.append(filler)
        yield f"127.0.0.1:{where[1]}"
        for filler in fillers:
            filler.close()
