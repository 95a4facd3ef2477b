"""Node processes for `fleet demo`. None outlives the demo, however it ends."""

import os
import random
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from fleet.errors import FleetError

CLUSTER = "fleet-demo"
STOP_S_MAX = 5.0
TAIL_LINES = 15
PORTS = range(20_000, 24_000)
"""Below the ports of outgoing connections, so that a node finds its port free when it returns."""


class DemoFailed(FleetError):
    """The demo has failed."""


class NodeProcess:
    """One node and its directory.

    Invariant: `process` is None, or was started and not yet waited for; when it is None, `serves` is false.
    """

    def __init__(self, name: str, address: str, zone: str, directory: Path) -> None:
        self.name = name
        self.address = address
        self.zone = zone
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None
        self.serves = False
        self.log_path = directory.with_suffix(".log")

    def begin(self, options: list[str], environment: dict[str, str]) -> None:
        """Start the process; `look` notices when it serves."""
        assert self.process is None
        command = [sys.executable, "-m", "fleet.cli", "start", "--until-eof"]
        command += ["--name", self.name, "--listen", self.address, "--zone", self.zone]
        command += ["--data-dir", str(self.directory), "--cluster", CLUSTER, *options]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # closing it stops the node
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the demo only, which stops its nodes in order
            )

    def look(self) -> bool:
        """Whether it has reported that it serves."""
        assert self.process is not None and self.process.stdout is not None
        while not self.serves and select.select([self.process.stdout], [], [], 0)[0]:
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                self.check(STOP_S_MAX)
                raise DemoFailed(f"node {self.name} closed its output")
            self.serves = piece.endswith(b"\n")  # it prints one line
        return self.serves

    def check(self, wait_s: float = 0.0) -> None:
        """Raises DemoFailed if it ended by itself."""
        if self.process is None:
            return
        try:
            code = self.process.wait(wait_s) if wait_s else self.process.poll()
        except subprocess.TimeoutExpired:
            return
        if code is not None:
            how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
            raise DemoFailed(f"node {self.name} ended by itself ({how})")

    def kill(self) -> None:
        """Kill the process, as a power failure would. Returns when it has ended."""
        assert self.process is not None
        self.process.kill()
        self._wait(None)

    def terminate(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def finish(self, deadline: float) -> int | None:
        """Stop it. Returns its exit code; None if it did not run or had to be killed."""
        if self.process is None:
            return None
        try:
            return self._wait(max(0.0, deadline - monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def _wait(self, seconds: float | None) -> int:
        assert self.process is not None
        code = self.process.wait(seconds)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process, self.serves = None, False
        return code

    def log_tail(self) -> list[str]:
        if not self.log_path.exists():
            return []
        return self.log_path.read_text(errors="replace").splitlines()[-TAIL_LINES:]


class DemoNodes:
    """The nodes of one demo, by name. The secret is created for it and passed in the environment.

    The first ones, an odd number, are the founders: they found the cluster together. The others join them.
    """

    def __init__(self, directory: Path, zones: Sequence[str], purge_after: str = "10m") -> None:
        self.secret = secrets.token_hex(32)
        self.directory = directory
        self.purge_after = purge_after
        self.nodes: dict[str, NodeProcess] = {}
        self.retired: set[str] = set()
        """Killed or drained for good."""
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("FLEET_")},
            "FLEET_SECRET": self.secret,
            "FLEET_CONFIG": "",  # and not the fleet.toml of the directory where the demo is started
            # The nodes import the same fleet as this process.
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
            "PYTHONSAFEPATH": "1",
        }
        for zone, port in zip(zones, free_ports(len(zones)), strict=True):
            self._add(zone, port)
        self.founders = tuple(self.addresses[: len(zones) - (len(zones) + 1) % 2])

    def _add(self, zone: str, port: int) -> NodeProcess:
        name = f"n{len(self.nodes) + 1}"
        node = NodeProcess(name, f"127.0.0.1:{port}", zone, self.directory / name)
        self.nodes[name] = node
        return node

    def add(self, zone: str) -> NodeProcess:
        """Add a node; `begin` starts it and lets it join."""
        return self._add(zone, free_ports(1)[0])

    @property
    def addresses(self) -> list[str]:
        return [node.address for node in self.nodes.values()]

    def begin_all(self) -> None:
        for name in self.nodes:
            self.begin(name)

    def begin(self, name: str) -> None:
        node = self.nodes[name]
        role = "--founder" if node.address in self.founders else "--join"
        options = [f"{role}={address}" for address in self.founders]
        node.begin([*options, f"--purge-after={self.purge_after}"], self._environment)

    def all_serve(self) -> bool:
        serving = [node.look() for name, node in self.nodes.items() if name not in self.retired]
        return all(serving)

    def retire(self, name: str) -> None:
        """Wait for the end of a drained node."""
        self.retired.add(name)
        if self.nodes[name].finish(monotonic() + STOP_S_MAX) != 0:
            raise DemoFailed(f"{name} did not end after it had left")

    def check(self) -> None:
        for name, node in self.nodes.items():
            if name not in self.retired:
                node.check()

    def stop(self) -> dict[str, int | None]:
        """Stop all nodes at once, killing those that take longer than STOP_S_MAX. Returns exit codes by
        name."""
        for node in self.nodes.values():
            node.terminate()
        deadline = monotonic() + STOP_S_MAX
        return {name: node.finish(deadline) for name, node in self.nodes.items()}


def free_ports(count: int) -> list[int]:
    """Different ports on which no process listens now."""
    found: list[int] = []
    for port in random.sample(PORTS, 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise DemoFailed(f"no {count} free ports between {PORTS.start} and {PORTS.stop} on 127.0.0.1")
