"""What every demo needs: nodes, clients, time that passes with an eye on both, and nothing left behind."""

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
"""Longer than any step takes on a busy machine; what takes longer has failed."""


class Stage:
    """One run in an empty directory. Whoever lets it begin lets it `clean_up` too, however that ended."""

    def __init__(self, directory: Path, zones: Sequence[str], purge_after: str = "10m") -> None:
        self.began_at = monotonic()
        self.nodes = DemoNodes(directory, zones, purge_after)
        self.connections: list[fleet.Fleet] = []
        self.loads: dict[str, Load] = {}
        """By group."""
        self.handler = logging.FileHandler(directory / "clients.log")
        logging.getLogger().addHandler(self.handler)

    def draw(self) -> None:
        """Called with every tick."""

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
                raise DemoFailed(f"waited {STEP_S_MAX:.0f} s in vain for {what}")
            self.tick()

    def tick(self) -> None:
        """A moment passes; whatever went wrong in it ends the demo."""
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
        """What the nodes said last, for whoever looks into a failure."""
        return [f"{node.name}: {line}" for node in self.nodes.nodes.values() for line in node.log_tail()]

    def clean_up(self) -> None:
        """No process and no connection is left."""
        for load in self.loads.values():
            load.stop()
        for connection in self.connections:
            connection.close()  # whoever waits for an answer is told
        self.nodes.stop()
        logging.getLogger().removeHandler(self.handler)
        self.handler.close()


def node_count(connection: fleet.Fleet) -> int:
    """0 while there is no cluster yet."""
    try:
        return len(connection.nodes())
    except Unavailable:
        return 0
