"""Slow and cut links between hosts: every node advertises a relay, which delays or holds what it gets."""

import asyncio
import os
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.support.ports import free_port

from .nodes import NodeProcess

CHUNK_BYTES = 16 << 10
QUEUE_BYTES_MAX = 256 << 10
"""What a slow link holds; then its sender has to wait."""


@dataclass(slots=True)
class Slowness:
    delay_s: float = 0.0
    """Each way."""
    bytes_per_s: float = float("inf")


@dataclass(slots=True)
class Relays:
    """One for each node, all in one thread. What they relay is encrypted: who dials is known by the process
    that holds the other end of the connection."""

    slow: dict[str, Slowness] = field(default_factory=dict)
    """By the advertised address of the host."""
    cuts: set[frozenset[str]] = field(default_factory=set)
    """Pairs of advertised addresses: what either sends to the other waits until the pair is taken out."""
    nodes: dict[str, NodeProcess] = field(default_factory=dict)
    """By advertised address."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    thread: threading.Thread | None = None

    def start(self) -> "Relays":
        self.thread = threading.Thread(target=self.loop.run_forever, name="relays", daemon=True)
        self.thread.start()
        return self

    def close(self) -> None:
        async def end() -> None:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)
        assert self.thread is not None
        self.thread.join(10)
        self.loop.close()

    def in_front_of(self, node: NodeProcess) -> str:
        """The address to advertise."""
        address = f"127.0.0.1:{free_port()}"
        self.nodes[address] = node

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            await self._relay(address, node.address, reader, writer)

        host, _, port = address.partition(":")
        asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, host, int(port)), self.loop).result(10)
        return address

    async def _relay(
        self, address: str, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = target.partition(":")
        try:
            there = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        ends = [address, *self._dialled_by(writer.get_extra_info("peername")[1])]
        pumps = [
            asyncio.ensure_future(self._pump(ends, reader, there[1])),
            asyncio.ensure_future(self._pump(ends, there[0], writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (writer, there[1]):
                end.close()

    def _dialled_by(self, port: int) -> list[str]:
        """The address of the node whose connection comes from this port; empty if it is not a node's."""
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}")}
        return [address for address, node in self.nodes.items() if sockets & descriptors(node)]

    async def _pump(
        self, ends: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        waiting: deque[tuple[float, bytes]] = deque()
        free_at, more = 0.0, asyncio.Event()

        async def read() -> None:
            nonlocal free_at
            while data := await reader.read(CHUNK_BYTES):
                now = self.loop.time()
                how = [self.slow[end] for end in ends if end in self.slow]
                free_at = max([now, free_at]) + max([len(data) / one.bytes_per_s for one in how], default=0)
                waiting.append((free_at + sum(one.delay_s for one in how), data))
                more.set()
                while sum(len(data) for _, data in waiting) > QUEUE_BYTES_MAX:
                    await asyncio.sleep(0.005)

        reading: Any = asyncio.ensure_future(read())
        reading.add_done_callback(lambda _: more.set())
        with suppress(OSError):
            while waiting or not reading.done():
                if not waiting:
                    more.clear()
                    await more.wait()
                    continue
                due, data = waiting[0]
                await asyncio.sleep(max(0.0, due - self.loop.time()))
                while frozenset(ends) in self.cuts:
                    await asyncio.sleep(0.005)
                waiting.popleft()
                writer.write(data)
                await writer.drain()
        reading.cancel()


def descriptors(node: NodeProcess) -> set[str]:
    """What the process of the node has open."""
    found: set[str] = set()
    if node.process is not None:
        folder = f"/proc/{node.process.pid}/fd"
        with suppress(OSError):
            for name in os.listdir(folder):
                with suppress(OSError):
                    found.add(os.readlink(f"{folder}/{name}"))
    return found
