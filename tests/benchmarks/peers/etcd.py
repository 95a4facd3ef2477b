"""Three processes of etcd, called by aetcd, which is for asyncio only: all its callers are tasks."""

import asyncio
import importlib
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks import load
from tests.benchmarks.figures import Figures
from tests.benchmarks.meters import Meter
from tests.support.ports import free_port
from tests.support.waiting import eventually

KEY = b"bench"


class Etcd:
    name = "etcd"
    has_reads = True

    def __init__(self, processes: "dict[int, subprocess.Popen[bytes]]") -> None:
        self.aetcd: Any = importlib.import_module("aetcd")
        self.processes = processes
        """By the port for clients."""

    def run(self, way: str, callers: int, seconds: float, is_read: bool = False) -> Figures:
        meter = Meter({process.pid: "node" for process in self.processes.values()})
        ran = asyncio.run(self._run(callers, seconds, is_read, meter))
        return ran.figures() | meter.all_us(ran.count)

    async def _run(self, callers: int, seconds: float, is_read: bool, meter: Meter) -> load.Load:
        async with self.aetcd.Client("127.0.0.1", await self._leader()) as client:
            count = 0

            async def put() -> None:
                nonlocal count
                count += 1
                await client.put(KEY, str(count).encode())

            async def get() -> None:
                await client.get(KEY)

            await put()
            return await load.await_calls([get if is_read else put], callers, seconds, meter)

    async def _leader(self) -> int:
        async with self.aetcd.Client("127.0.0.1", next(iter(self.processes))) as client:
            status = await client.status()
        return int(status.leader.client_urls[0].rpartition(":")[2])

    def is_ready(self) -> bool:
        try:
            return asyncio.run(self._leader()) in self.processes
        except (AttributeError, self.aetcd.ClientError):  # no leader yet; not reachable yet
            return False


@contextmanager
def three(home: Path, program: str) -> Iterator[Etcd]:
    ports = {f"e{number}": (free_port(), free_port()) for number in range(3)}
    members = ",".join(f"{name}=http://127.0.0.1:{peers}" for name, (_, peers) in ports.items())
    with ExitStack() as stack:
        processes = {}
        for name, (clients, peers) in ports.items():
            words = [program, "--name", name, "--data-dir", str(home / name), "--log-level", "error"]
            for side, port in (("client", clients), ("peer", peers)):
                words += [f"--listen-{side}-urls", f"http://127.0.0.1:{port}"]
            words += ["--advertise-client-urls", f"http://127.0.0.1:{clients}"]
            words += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{peers}"]
            words += ["--initial-cluster", members]
            process = stack.enter_context(subprocess.Popen(words, stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
            processes[clients] = process
        etcd = Etcd(processes)
        eventually(etcd.is_ready, what="etcd to have a leader")
        yield etcd
