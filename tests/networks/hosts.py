"""Nodes on hosts of their own behind the switch: a network namespace each, and the test's own for clients."""

import ctypes
import fcntl
import json
import os
import random
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from fleet.actors.messages.operator import GetStatus, MemberStatus
from fleet.errors import Unavailable
from fleet.raft.ids import node_of
from tests.processes.fleet_hosts import ip
from tests.processes.fleet_nodes import FleetNode, NodeFleet

ROOT = Path(__file__).resolve().parents[2]
CLIENT = "client"
INSIDE = "192.168.77"
"""The network of a host behind a router, as it sees it."""
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_TAP_WITHOUT_HEADER = 0x1002


def why_not() -> str:
    """Why no switched hosts can be made here; "" if they can."""
    from tests.processes.fleet_hosts import why_not as why_no_namespaces

    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun cannot be opened"
    return why_no_namespaces()


def make_tap(device: str, namespace: str = "") -> int:
    """A tap device in the namespace; its file descriptor, by which frames come and go."""
    made: list[int | OSError] = []

    def make() -> None:
        try:
            if namespace:
                target = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
                try:  # of this thread alone, which ends
                    if ctypes.CDLL(None, use_errno=True).setns(target, _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), f"setns {namespace}")
                finally:
                    os.close(target)
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _TAP_WITHOUT_HEADER))
            except OSError:
                os.close(tap)
                raise
            made.append(tap)
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class SwitchedFleet(NodeFleet):
    """Links are perfect until `way` says otherwise."""

    def __init__(self, home: Path, seed: int = 0) -> None:
        super().__init__(home)
        self.net = f"10.{random.randrange(128, 192)}.{random.randrange(256)}"
        self.tag = f"f{random.randrange(16**6):06x}"
        self.hosts: list[str] = []
        self.homes: list[str] = []
        self.numbers: dict[str, int] = {}
        self.routers: dict[str, tuple[str, str, float, list[int]]] = {}
        """In front of hosts: the address as the host and as others see it, and what `Nat` has else."""
        self.seed = seed
        self.switch: subprocess.Popen[bytes] | None = None
        self.taps = {CLIENT: make_tap(self.tag)}
        try:
            ip("addr", "add", f"{self.net}.254/24", "dev", self.tag)
            ip("link", "set", self.tag, "up")
        except BaseException:
            self.close()
            raise

    def add(self, name: str, **settings: object) -> FleetNode:
        node = super().add(name, **settings)
        host = f"{self.tag}-{name}"
        self.hosts.append(name)
        self.numbers[name] = len(self.hosts)
        ip("netns", "add", host)
        self.taps[name] = make_tap("eth0", host)
        ip("-n", host, "link", "set", "lo", "up")
        self._address(name, "add")
        ip("-n", host, "link", "set", "eth0", "up")
        node.wrapper = ("ip", "netns", "exec", host)
        node.address = f"{self.net}.{self.numbers[name]}:7400"
        self._restart_switch()
        return node

    def add_home(self, name: str, idle_s: float, forwarded: tuple[int, ...] = ()) -> tuple[str, ...]:
        """A host behind a router of its own (`tests/networks/nat.py`). Returns what runs a command there."""
        host, number = f"{self.tag}-{name}", 200 + len(self.routers)
        self.homes.append(host)
        ip("netns", "add", host)
        self.taps[name] = make_tap("eth0", host)
        for words in (
            "link set lo up", f"addr add {INSIDE}.2/24 dev eth0", "link set eth0 up",
            f"route add default via {INSIDE}.1",
        ):  # fmt: skip
            ip("-n", host, *words.split())
        self.routers[name] = (f"{INSIDE}.2", f"{self.net}.{number}", idle_s, [*forwarded])
        self._restart_switch()
        return ("ip", "netns", "exec", host)

    def forget_connections(self, name: str) -> None:
        """The router in front of that host restarts."""
        self._say("forget", name)

    def connections_made(self, name: str) -> int:
        """Through the router in front of that host, in both directions."""
        made: int = self._say("made", name)
        return made

    def _address(self, name: str, how: str) -> None:
        ip("-n", f"{self.tag}-{name}", "addr", how, f"{self.net}.{self.numbers[name]}/24", "dev", "eth0")

    def move(self, name: str) -> None:
        """The host gets another address. Its node must be down."""
        self._address(name, "del")
        self.numbers[name] += 100
        self._address(name, "add")
        self[name].address = f"{self.net}.{self.numbers[name]}:7400"

    def seen_by(self, name: str, group: str) -> MemberStatus:
        """The group as that node's member of it sees it."""
        status = self.client._ask(GetStatus(), group, self[name].address, timeout=2.0)
        assert isinstance(status, MemberStatus)
        if node_of(status.member) != name:
            raise Unavailable("its member does not answer yet", group=group, node=name)
        return status

    # -- the switch --------------------------------------------------------------------------------

    def _restart_switch(self) -> None:
        """With the taps that there are."""
        self._end_switch()
        self.switch = subprocess.Popen(
            [sys.executable, "-m", "tests.networks.switch", str(self.seed)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=list(self.taps.values()),
        )
        for name, tap in self.taps.items():
            self._say("tap", name, tap)
        for name, how in self.routers.items():
            self._say("route", name, *how)

    def _say(self, *words: Any) -> Any:
        assert self.switch is not None and self.switch.stdin is not None and self.switch.stdout is not None
        self.switch.stdin.write(json.dumps(words).encode() + b"\n")
        self.switch.stdin.flush()
        answer = self.switch.stdout.readline()
        assert answer, "the switch has ended"
        return json.loads(answer)

    def _end_switch(self) -> None:
        if self.switch is not None:
            with self.switch:
                self.switch.kill()
            self.switch = None

    def way(self, sources: list[str], targets: list[str], both: bool = True, **how: float | bool) -> None:
        """From now on, by attributes of `tests.networks.switch.Way`; without any, links are perfect."""
        self._say("way", sources, targets, how)
        if both:
            self._say("way", targets, sources, how)

    def everywhere(self, **how: float | bool) -> None:
        """Between nodes. The client's links stay as they are."""
        self.way(self.hosts, self.hosts, both=False, **how)

    def others(self, name: str) -> list[str]:
        return [other for other in self.hosts if other != name]

    def cut_off(self, name: str) -> None:
        """The host hears and says nothing; its processes run on."""
        self.way([name], [*self.others(name), CLIENT], is_cut=True)

    def heal(self) -> None:
        everyone = [*self.hosts, CLIENT]
        self.way(everyone, everyone, both=False)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._end_switch()
            for tap in self.taps.values():
                os.close(tap)
            for host in [*(f"{self.tag}-{name}" for name in self.hosts), *self.homes]:
                subprocess.run(["ip", "netns", "del", host], capture_output=True)
