"""Three processes of PySyncObj, each with a journal, which it never syncs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import json

from tests.benchmarks.figures import Figures
from tests.benchmarks.meters import Meter
from tests.benchmarks.peers.syncobj_node import Ran, Run
from tests.support.ports import free_port
from tests.support.waiting import eventually

MODULE = "tests.benchmarks.peers.syncobj_node"


class SyncObjNode:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def ask(self, line: bytes) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line.decode() + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "a process of PySyncObj has ended"
        return line

    def leads(self) -> bool:
        return json.decode(self.ask(b"null"), type=bool)


class SyncObj:
    name = "PySyncObj"
    has_reads = False
    """Linearizable ones; a caller sends a command instead."""

    def __init__(self, nodes: list[SyncObjNode]) -> None:
        self.nodes = nodes

    def run(self, way: str, callers: int, seconds: float, is_read: bool = False) -> Figures:
        assert not is_read
        leader = eventually(
            lambda: next((node for node in self.nodes if node.leads()), None), what="a leader"
        )
        with Meter({node.process.pid: "node" for node in self.nodes}) as meter:
            ran = json.decode(leader.ask(json.encode(Run(way, callers, seconds))), type=Ran)
        return ran.figures | meter.all_us(ran.count)


@contextmanager
def three(home: Path) -> Iterator[SyncObj]:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    with ExitStack() as stack:
        nodes = []
        log = stack.enter_context((home / "syncobj.log").open("w"))
        for number, own in enumerate(addresses):
            others = ",".join(address for address in addresses if address != own)
            command = [sys.executable, "-m", MODULE, own, others, str(home / f"journal{number}")]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            nodes.append(SyncObjNode(process))
        for node in nodes:
            assert node.read() == "ready\n"
        yield SyncObj(nodes)
