"""The faults that a test can cause in a simulated fleet, by name."""

import random
import re
from typing import Any, Final

from fleet.actors.messages.operator import TransferLeader
from fleet.errors import ConfigError, NoSuchNode
from fleet.sim.world.client import SimClient
from fleet.sim.world.host import SimNode
from fleet.sim.world.timeline import S
from fleet.sim.world.weather import Weather
from fleet.sim.world.world import World

_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)\s*")
_UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Stage:
    """The nodes and clients of one world, and the faults that can be caused in it."""

    world: World
    client: SimClient
    groups: dict[str, type[Any]]
    _clients: dict[str, SimClient]

    @property
    def nodes(self) -> dict[str, SimNode]:
        return self.world.nodes

    def _node(self, name: str) -> SimNode:
        if name not in self.nodes:
            raise NoSuchNode(f"there is no node {name!r}", nodes=", ".join(self.nodes))
        return self.nodes[name]

    def is_up(self, name: str) -> bool:
        return self._node(name).is_up

    def partition(self, *side: str) -> None:
        """Cut these nodes, and the clients named, off from all other nodes; an earlier cut stays. A client
        that was never named reaches every node."""
        clients = {name for name in side if name in self._clients}
        inside = {self._node(name).name for name in side if name not in clients}
        outside = [name for name in self.nodes if name not in inside]
        cut = self.world.network.weather.cut
        for one in inside | clients:
            for other in outside:
                cut.update(((one, other), (other, one)))

    def heal_links(self) -> None:
        """End all cuts and delays. Nodes that are down stay down."""
        weather = self.world.network.weather
        weather.cut.clear()
        weather.slow_us.clear()
        self.world.network.heal()

    def heal(self) -> None:
        """End all faults: every node runs, is connected, and its disk works."""
        self.heal_links()
        for node in self.nodes.values():
            node.disk.errs, node.disk.is_full, node.disk.hangs_until = 0.0, False, 0
            node.busy_until, node.forks_fail = 0, 0.0
            if node.process is not None:
                node.process.resume()
            node.start()

    def kill(self, name: str, power: bool = False) -> None:
        """End it as by kill -9, or with `power` as by a power loss of its host; synced data stays."""
        self._node(name).kill(power)

    def stop(self, name: str) -> None:
        """Stop it in good order."""
        self._node(name).stop()

    def restart(self, name: str) -> None:
        """Start it again, killed or not."""
        node = self._node(name)
        node.kill()
        node.start()

    def pause(self, name: str, duration: str | float) -> None:
        """Stop its process, as by SIGSTOP."""
        process = self._node(name).process
        if process is not None:
            process.pause()
            self.world.after(round(seconds(duration) * S), process.resume)

    def slow(self, name: str, extra: str | float) -> None:
        """Delay every frame to and from the node by this much, until `heal`."""
        slow_us = self.world.network.weather.slow_us
        for other in (*self.nodes, *self.world.clients):
            slow_us[self._node(name).name, other] = slow_us[other, name] = round(seconds(extra) * S)

    def hang(self, name: str, duration: str | float) -> None:
        """Let its disk hang for so long."""
        self._node(name).disk.hangs_until = self.world.now + round(seconds(duration) * S)

    def weather(self, **settings: Any) -> None:
        """What the network does to every frame, for example `late=0.05, reorder=0.02`: see
        `fleet.sim.world.weather.Weather`. Cuts stay."""
        now = self.world.network.weather
        self.world.network.weather = Weather(**settings, cut=now.cut, slow_us=now.slow_us)

    def hand_over(self, rng: random.Random) -> str:
        """Ask some group's leader to hand over to another member, without waiting; returns it in words."""
        members = [member for group in self.groups for member in self.world.members_of(group)]
        if not members:
            return "nobody"
        chosen = rng.choice(members)
        group, target, client = chosen.spec.name, chosen.core.id, self.client
        client.in_turn(lambda: client.ask(TransferLeader(target), group, "", lambda value, error: None))
        return f"{group} to {target}"


def seconds(duration: str | float) -> float:
    if not isinstance(duration, str):
        return float(duration)
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ConfigError(f'no duration: {duration!r}; say "500ms", "30s", "2min" or a number of seconds')
    return float(match[1]) * _UNITS[match[2]]
