"""Nodes on Thespian's own base: each is many processes, of which the test knows one."""

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from tests.processes.nodes import NodeProcess
from tests.support.waiting import eventually

LISTENS = "0A"


class StockNodeProcess(NodeProcess):
    def command(self) -> list[str]:
        return [*super().command(), "--base", "multiprocTCPBase"]

    def processes(self) -> list[int]:
        """Those that share a pipe with the one that was started, but for what it shares with the test."""
        assert self.process is not None
        own = _files(self.process.pid, "pipe:") - _files(os.getpid(), "pipe:")
        everyone = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
        return [process for process in everyone if _files(process, "pipe:") & own]

    def process_of(self, actor: str) -> int:
        """Thespian names each process by the class of its actor."""
        names = {Path(f"/proc/{one}/cmdline").read_bytes().split()[0]: one for one in self.processes()}
        return names[actor.encode()]

    def ports(self) -> set[int]:
        """Where its processes listen, the address that everybody knows excepted."""
        sockets = {name for process in self.processes() for name in _files(process, "socket:")}
        found = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == LISTENS and f"socket:[{words[9]}]" in sockets:
                found.add(int(words[1].partition(":")[2], 16))
        return found - {int(self.address.partition(":")[2])}

    def kill(self) -> None:
        """Only the process that was started: the others end with it."""
        others = self.processes() if self.process is not None else []
        super().kill()
        eventually(lambda: not any(map(is_alive, others)), what="the processes of a killed node to end")

    def signal_all(self, number: int) -> None:
        for process in self.processes():
            os.kill(process, number)


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def _files(process: int, kind: str) -> set[str]:
    found: set[str] = set()
    with suppress(OSError):  # it has ended
        for path in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                found.add(os.readlink(path))
    return {name for name in found if name.startswith(kind)}


def send_to(port: int, data: bytes) -> None:
    """And break the connection as soon as the other side has done so, or has taken it."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2.0) as stranger:
        stranger.sendall(data)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(1000):
            pass
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
