"""The fleet base: a Thespian system base with many light actors in one process.

`start_system()` returns an ordinary Thespian ActorSystem. Its actors share one thread; processes are
joined by encrypted links, one frame a peer and turn. `kernel` runs the actors, without time or
IO, on a `transport`: `reactor` and `links` on a real host, another one in the simulator.
"""

from fleet.actors.base.addresses import ActorId, Address, remote_address
from fleet.actors.base.base import FleetBase, start_system
from fleet.actors.base.kernel import Kernel
from fleet.actors.base.settings import LinkSettings
from fleet.actors.base.transport import LinkRefused, Transport
from fleet.actors.base.wire import decode_message, encode_message, register, register_as

__all__ = [
    "ActorId",
    "Address",
    "FleetBase",
    "Kernel",
    "LinkRefused",
    "LinkSettings",
    "Transport",
    "decode_message",
    "encode_message",
    "register",
    "register_as",
    "remote_address",
    "start_system",
]
