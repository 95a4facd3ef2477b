"""The nodes that a client knows, where they are, and which of them it may ask."""

import random

from thespian.actors import ActorAddress

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.messages.values import NodeInfo
from fleet.actors.messages.well_known import REGISTRY
from fleet.raft.ids import Millis

KNOCK_MS: Millis = 100
"""How often a node whose link was lost is tried."""


class Endpoints:
    """Invariant: no address in `registries` is one of another cluster (`pin.foreign`), unless it is the only
    one or was handed in as an actor."""

    def __init__(self, rng: random.Random, pin: ClusterPin, zone: str = "") -> None:
        self.rng = rng
        self.pin = pin
        self.zone = zone
        """Where this client is, or "": nodes there are near."""
        self.zones: dict[str, str] = {}
        """Of nodes, by their addresses, as far as they were heard of."""
        self.registries: dict[str, ActorAddress] = {}
        """Whom to ask, by address of the node."""
        self.refused: dict[str, str] = {}
        """Nodes whose links will not come up, and why."""
        self.given: set[str] = set()
        """Names of registries that were handed in as actors: their nodes have no address to ask at."""
        self.down: dict[str, Millis] = {}
        """Nodes whose link was lost, and when they were last tried: a hint to one is not followed yet."""
        self.boots: dict[str, int] = {}
        """The life of each endpoint to which a link was made last."""
        self.infos: dict[str, NodeInfo] = {}
        """Nodes by name, as of their latest start: where they are now."""

    # -- which there are ---------------------------------------------------------------------------

    def learn(self, address: str, registry: ActorAddress | None = None) -> None:
        if registry is not None:
            self.given.add(address)
        if address in self.pin.foreign and registry is None:
            return
        if address and (registry is not None or address not in self.registries):
            self.registries[address] = registry or remote_address(address, REGISTRY)

    def learn_node(self, info: NodeInfo) -> None:
        """A node that came back at another address is no longer at the old one."""
        known = self.infos.get(info.name)
        if known is not None and known.started_ms > info.started_ms:
            return
        self.infos[info.name] = info
        self.zones[info.address] = info.zone
        self.learn(info.address)
        if known is not None and known.address != info.address:
            self.zones.pop(known.address, None)
            self.registries.pop(known.address, None)
            self.down.pop(known.address, None)
            self.refused.pop(known.address, None)

    def address_of(self, node: str, hint: str) -> str:
        """A group's log may still say where its leader's node was once."""
        info = self.infos.get(node)
        return info.address if info is not None and info.address else hint

    def is_near(self, address: str) -> bool:
        """Whether the node there is known to be in this client's zone."""
        return bool(self.zone) and self.zones.get(address) == self.zone

    # -- whom to ask -------------------------------------------------------------------------------

    def another(self, than: ActorAddress | None) -> ActorAddress:
        """Another node than the one that did not help, where there is one."""
        others = {at: registry for at, registry in self.registries.items() if registry != than}
        choices = [registry for at, registry in others.items() if at not in self.down]
        return self.rng.choice(choices or list(others.values()) or list(self.registries.values()))

    def any_address(self, but: str = "") -> str:
        others = [address for address in self.registries if address != but]
        return self.rng.choice(others or list(self.registries))

    def reachable(self, address: str) -> ActorAddress | None:
        """The registry there, unless the link to it was lost."""
        return self.registries.get(address) if address not in self.down else None

    def answering(self) -> list[str]:
        """Addresses to ask which nodes there are."""
        answering = [at for at in self.registries if at not in self.refused] or list(self.registries)
        return [at for at in answering if at not in self.given]

    # -- links -------------------------------------------------------------------------------------

    def link_made(self, endpoint: str, boot: int) -> None:
        self.boots[endpoint] = boot
        self.refused.pop(endpoint, None)
        self.down.pop(endpoint, None)
        if self.pin.foreign.pop(endpoint, 0):
            self.learn(endpoint)  # another process may be of this cluster

    def link_lost(self, endpoint: str, boot: int, now: Millis) -> ActorAddress | None:
        """Whoever is not reached any more. None for the link of an earlier life, which was noticed late: the
        process of now is reached."""
        lost = self.registries.get(endpoint)
        if lost is None or self.boots.get(endpoint, boot) != boot:
            return None
        self.down[endpoint] = now
        return lost

    def to_knock(self, now: Millis) -> list[str]:
        """A link is only made for something to send: where to see whether lost nodes are back."""
        due = [endpoint for endpoint, tried_at in self.down.items() if now - tried_at >= KNOCK_MS]
        self.down.update(dict.fromkeys(due, now))
        return due
