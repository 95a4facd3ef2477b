"""A real node in a process of its own, strangers and colleagues who send it nonsense, and another client."""

import json
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from fleet.actors.base.addresses import ActorId, Address
from fleet.actors.base.certificates import Authority
from fleet.actors.base.handshake import Connector, LinkIdentity
from fleet.actors.base.settings import split_endpoint
from fleet.actors.base.wire import encode_item
from fleet.actors.messages.operator import ListNodes, NodeRequest
from fleet.secret import find_secret
from tests.actors.base.sockets import context, read_frame
from tests.fuzz.inputs import Inputs, framed
from tests.processes.nodes import CLUSTER, ROOT, Cluster
from tests.support.classes import Counter
from tests.support.waiting import eventually

WAIT_S = 5.0


class Live:
    def __init__(self, seed: int, home: Path) -> None:
        self.rng = random.Random(seed)
        self.cluster = Cluster(home)
        self.cluster.start(1)
        self.node = self.cluster.nodes[0]
        with self.cluster.connect() as client:
            client.create_group("victim", Counter)
            client.create_group("measured", Counter)
            self.member = str(eventually(lambda: client.status("victim").leader))
        self.secret = find_secret(None, self.node.secret_file).shown
        self.leaf = Authority(self.secret).leaf(time.time())
        self.tls = context(self.secret, self.leaf, cluster=CLUSTER)
        self.count = 0
        self.meter: Any = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.meter", self.node.address, str(self.node.secret_file)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.meter.stdout is not None and self.meter.stdout.readline() == "counting\n"
        self.trap = socket.create_server(("127.0.0.1", 0))
        self.trap.settimeout(1.0)

    def identity(self) -> LinkIdentity:
        return LinkIdentity(CLUSTER, self.secret, self.rng.randrange(1, 2**63), "", 1 << 20)

    def _dial(self) -> socket.socket:
        return socket.create_connection(split_endpoint(self.node.address), WAIT_S)

    def _dial_tls(self) -> tuple[ssl.SSLSocket, bytes]:
        sock = self.tls.wrap_socket(self._dial())
        theirs = sock.getpeercert(True)
        assert theirs is not None
        return sock, sha256(self.leaf.certificate).digest() + sha256(theirs).digest()

    def _join(self) -> socket.socket:
        sock, channel = self._dial_tls()
        connector = Connector(self.identity(), channel)
        sock.sendall(connector.greeting)
        sock.sendall(connector.answered(read_frame(sock))[1])
        return sock

    def run(self, until: float) -> None:
        inputs = Inputs(self.rng, self.identity(), "victim", self.member, self.node.address)
        while time.monotonic() < until and self.node.process is not None and self.node.process.poll() is None:
            try:
                self._some(inputs)
            except (OSError, struct.error):
                pass  # hung up on, as it should be

    def _some(self, inputs: Inputs) -> None:
        how = self.rng.random()
        if how < 0.2:
            with self._dial() as sock:
                self.count += 1
                sock.sendall(inputs.stranger())
        elif how < 0.3:
            with self._dial_tls()[0] as sock:
                self.count += 1
                sock.sendall(inputs.offer())
        elif how < 0.35:
            self._lure(inputs)
        else:
            with self._join() as sock:
                for _ in range(20):
                    self.count += 1
                    sock.sendall(inputs.frame())

    def _lure(self, inputs: Inputs) -> None:
        """Have the node dial a listener that is none."""
        where = f"127.0.0.1:{self.trap.getsockname()[1]}"
        request = NodeRequest(1, Address(ActorId(where, 0, "x")), ListNodes())
        with self._join() as sock:
            sock.sendall(framed(b"\x91" + encode_item("node", 7, request)))
            caught, _ = self.trap.accept()
            with caught:
                self.count += 1
                caught.sendall(inputs.stranger())

    def resources(self) -> tuple[int, int]:
        """Descriptors, and resident memory in KiB."""
        assert self.node.process is not None
        proc = Path("/proc") / str(self.node.process.pid)
        pages = int((proc / "statm").read_text().split()[1])
        return len(os.listdir(proc / "fd")), pages * os.sysconf("SC_PAGE_SIZE") // 1024

    def close(self) -> Any:
        self.trap.close()
        out, _ = self.meter.communicate("\n")
        self.cluster.close()
        return json.loads(out)


def run(seed: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        live = Live(seed, Path(home))
        try:
            live.run(time.monotonic() + seconds / 10)  # what caches hold is no leak
            before = live.resources()
            live.run(time.monotonic() + seconds)
            pause = threading.Event()
            until = time.monotonic() + 10
            while live.resources()[0] > before[0] and time.monotonic() < until:
                pause.wait(0.1)
            lives = live.node.process is not None and live.node.process.poll() is None
            after = live.resources() if lives else (0, 0)
            log = live.node.log.read_text()
        finally:
            latency = live.close()
        return {
            "inputs": live.count,
            "node lives": lives,
            "descriptors": [before[0], after[0]],
            "RSS KiB": [before[1], after[1]],
            "log lines": log.count("\n"),
            "CRITICAL": log.count(" CRITICAL "),
            "other client, ms": latency,
        }
