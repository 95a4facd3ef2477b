"""Common to both demos: nodes and clients, supervised while time passes, and cleaned up."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep

import fleet
from fleet.cli.demo.load import Load
from fleet.cli.demo.nodes import DemoFailed, DemoNodes
from fleet.errors import Unavailable

TICK_S = 0.05
STEP_S_MAX = 20.0
"""A step that takes longer, even on a busy host, has failed."""


class DemoStage:
    """One run in an empty directory. The caller must `clean_up`, however it ended."""

    def __init__(self, directory: Path, zones: Sequence[str], purge_after: str = "10m") -> None:
        self.began_at = monotonic()
        self.nodes = DemoNodes(directory, zones, purge_after)
        self.connections: list[fleet.Fleet] = []
        self.loads: dict[str, Load] = {}
        """By group."""
        self.handler = logging.FileHandler(directory / "clients.log")
        logging.getLogger().addHandler(self.handler)

    def draw(self) -> None:
        """Called on every tick."""

    def say(self, text: str) -> None:
        raise NotImplementedError

    @property
    def now_s(self) -> float:
        return monotonic() - self.began_at

    # -- passing time ------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        end = monotonic() + seconds
        while monotonic() < end:
            self.tick()

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = monotonic() + STEP_S_MAX
        while not holds():
            if monotonic() > deadline:
                raise DemoFailed(f"waited {STEP_S_MAX:.0f} s for {what}")
            self.tick()

    def tick(self) -> None:
        """Wait a moment. Raises DemoFailed if a node or client has failed."""
        sleep(TICK_S)
        self.nodes.check()
        for load in self.loads.values():
            load.check()
        self.draw()

    # -- the end -----------------------------------------------------------------------------------

    def stop_loads(self) -> None:
        for load in self.loads.values():
            load.stop()
        self.until("the clients to settle their last calls",
                   lambda: not any(load.is_running for load in self.loads.values()))  # fmt: skip
        for load in self.loads.values():
            load.check()

    def stop_nodes(self) -> None:
        codes = {name: code for name, code in self.nodes.stop().items() if name not in self.nodes.retired}
        if any(codes.values()) or None in codes.values():
            raise DemoFailed(f"the nodes did not stop in order; exit codes: {codes}")

    def log_tails(self) -> list[str]:
        """The last lines of the nodes' logs."""
        return [f"{node.name}: {line}" for node in self.nodes.nodes.values() for line in node.log_tail()]

    def clean_up(self) -> None:
        """Stop all processes and close all connections."""
        for load in self.loads.values():
            load.stop()
        for connection in self.connections:
            connection.close()  # calls that wait for an answer end
        self.nodes.stop()
        logging.getLogger().removeHandler(self.handler)
        self.handler.close()


def node_count(connection: fleet.Fleet) -> int:
    """The number of nodes; 0 while there is no cluster yet."""
    try:
        return len(connection.nodes())
    except Unavailable:
        return 0
