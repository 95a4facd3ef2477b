"""Messages between a node's gateway, its node manager and the process that has started them."""

from typing import Any

from msgspec import Struct
from thespian.actors import ActorAddress

from fleet.actors.base.addresses import Address
from fleet.actors.base.keyring import Keyring
from fleet.actors.messages.local import StartNode
from fleet.errors import FleetError


class OpenGateway(Struct, frozen=True):
    """Answered by `GatewayOpened`. `start` lacks what only the gateway knows: the addresses."""

    start: StartNode
    listen: str
    advertise: str | None
    health: str | None
    keyring: Keyring
    data_modules: tuple[str, ...]


class GatewayOpened(Struct, frozen=True):
    """`error`: why it cannot be opened. `process`: its id."""

    endpoint: str
    manager: ActorAddress | None
    process: int
    error: Exception | None = None


class Outward(Struct, frozen=True):
    """For a client, or for an actor of another node that is known by name only."""

    target: Address
    message: Any


class NodeEnded(Struct, frozen=True):
    """The gateway's last word: why its node has ended, or None if it was drained and has left its cluster."""

    error: FleetError | None
