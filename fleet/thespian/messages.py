"""What the actors of this package say to each other and to those who connect an actor system."""

from msgspec import Struct
from thespian.actors import ActorAddress

from fleet.actors.base.keyring import Keyring
from fleet.errors import FleetError
from fleet.objects.messages import Call


class Connect(Struct, frozen=True):
    """To the gateway: be a client of that cluster."""

    addresses: tuple[str, ...]
    cluster: str
    secret: Keyring | None
    """None: the one of the actor system."""
    timeout: float
    wait: float
    calls_max: int
    bytes_max: int

    def __repr__(self) -> str:
        return f"Connect({', '.join(self.addresses)})"  # Thespian logs messages, and this one has the secret


class Connected(Struct, frozen=True):
    """The answer to an actor that called `fleet.thespian.connect`.

    `error`: None when a node has accepted the client, else what `fleet.connect` would raise. Calls may be
    sent all the same: they are answered once a node does answer, or after their timeout.
    """

    error: FleetError | None


class AddressHere(Struct, frozen=True):
    """To the gateway, once: the sender is a group's address that will pass calls on to it."""


class GatewayEnded(Struct, frozen=True):
    """To groups' addresses: the next call is for another gateway."""


class Asked(Struct, frozen=True):
    """From a group's address to the gateway: a call, and who gets its result."""

    group: str
    call: Call
    asker: ActorAddress
