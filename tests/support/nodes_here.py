"""Nodes in this process, over loopback."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fleet
from fleet.errors import Unavailable

SECRET = "a secret of the tests, long enough"


class NodesHere:
    """Nodes by name, each with a directory in `home`. Started again, a node has the address that it had."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home = home
        self.stack = stack
        self.running: dict[str, fleet.Node] = {}
        self.addresses: dict[str, str] = {}

    def start(self, name: str, *join: str, listen: str = "", directory: str = "", **how: Any) -> fleet.Node:
        """`join`: addresses, or names of nodes that were started before. In another `directory` it is another
        node of the name. Stopped with the stack."""
        known = "" if directory else self.addresses.get(name, "")
        where = listen or known or "127.0.0.1:0"
        settings = {"secret": SECRET, "join": [self.addresses.get(other, other) for other in join]} | how
        node = fleet.Node(name, where, self.home / (directory or name), **settings).start()
        self.stack.callback(node.stop)
        self.running[name], self.addresses[name] = node, node.address
        return node

    def empty(self, name: str) -> None:
        """Stop the node and delete its directory."""
        self.running.pop(name).stop()
        shutil.rmtree(self.home / name)

    def connect(self, *names: str, timeout: float = 20.0) -> fleet.Fleet:
        addresses = [self.addresses[name] for name in names]
        return self.stack.enter_context(fleet.connect(addresses, secret=SECRET, timeout=timeout))

    def names(self, node: fleet.Node) -> list[str]:
        """The nodes of the cluster, as this one knows them; none while it has no answer."""
        with fleet.connect(node.address, secret=SECRET) as client:
            return node_names(client)


def node_names(client: fleet.Fleet) -> list[str]:
    try:
        return [record.name for record in client.nodes()]
    except Unavailable:
        return []
