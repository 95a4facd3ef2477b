"""Hosts of their own for nodes: network namespaces on a bridge, cut one direction at a time."""

import os
import random
import shutil
import subprocess
from pathlib import Path

from .fleet_nodes import FleetNode, NodeFleet


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def why_not() -> str:
    """Why no namespaces can be made here; "" if they can."""
    if shutil.which("ip") is None:
        return "there is no ip command"
    name = f"fleet-try-{os.getpid()}"
    for words in (["netns", "add", name], ["netns", "del", name]):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode:
            return f"network namespaces cannot be made: {done.stderr.strip()}"
    return ""


class HostFleet(NodeFleet):
    """One host a node, and one, the test's own, for clients, which reaches all of them at all times."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.net = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"
        self.tag = f"f{random.randrange(16**6):06x}"  # the last fleet's links may take a moment to go
        self.hosts: list[str] = []
        self.cuts: set[tuple[str, str]] = set()
        ip("link", "add", self.tag, "type", "bridge")
        ip("addr", "add", f"{self.net}.254/24", "dev", self.tag)
        ip("link", "set", self.tag, "up")

    def add(self, name: str, **settings: object) -> FleetNode:
        node = super().add(name, **settings)
        number = len(self.hosts) + 1
        host, plug = f"{self.tag}-{name}", f"{self.tag}v{number}"
        self.hosts.append(name)
        ip("netns", "add", host)
        ip("link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", host)
        ip("link", "set", plug, "master", self.tag, "up")
        ip("-n", host, "link", "set", "lo", "up")
        ip("-n", host, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        ip("-n", host, "link", "set", "eth0", "up")
        node.wrapper = ("ip", "netns", "exec", host)
        node.address = f"{self.address(name)}:7400"
        return node

    def address(self, name: str) -> str:
        return f"{self.net}.{self.hosts.index(name) + 1}"

    def cut(self, source: str, target: str) -> None:
        """What `source` sends to `target` is lost; the other direction is not touched."""
        ip("-n", f"{self.tag}-{source}", "route", "add", "blackhole", f"{self.address(target)}/32")
        self.cuts.add((source, target))

    def split(self, one: list[str], other: list[str]) -> None:
        for a in one:
            for b in other:
                self.cut(a, b)
                self.cut(b, a)

    def heal(self) -> None:
        for source, target in self.cuts:
            ip("-n", f"{self.tag}-{source}", "route", "del", "blackhole", f"{self.address(target)}/32")
        self.cuts.clear()

    def close(self) -> None:
        try:
            super().close()
        finally:
            for name in self.hosts:
                subprocess.run(["ip", "netns", "del", f"{self.tag}-{name}"], capture_output=True)
            subprocess.run(["ip", "link", "del", self.tag], capture_output=True)
