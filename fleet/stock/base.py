"""`multiprocTCPBase` with sealed messages, whose processes end with the one that has started them."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from thespian.actors import ActorSystem
from thespian.system.multiprocTCPBase import ActorSystemBase

from fleet.errors import ConfigError, UnknownName
from fleet.stock.seal import Seal
from fleet.stock.transport import SealedTransport, install
from fleet.system.death_signal import DeathSignal

START_METHOD = "fork"
"""So every process has the seal from its parent's memory: no secret is passed on by other ways."""


class SealedBase(ActorSystemBase):  # type: ignore[misc]
    transportType = SealedTransport


class SealedSystem:
    """An actor system of its own in processes of its own. One at a time in a process.

    Args:
        host: the IPv4 address, or a name of it, at which processes of other hosts reach these.
        secrets, cluster: only processes with them exchange messages.

    Raises:
        UnknownName, ConfigError: `host` has no IPv4 address, or is one of no host.
        ActorSystemFailure and other errors of Thespian: it does not start.
    """

    def __init__(self, host: str, secrets: Sequence[bytes], cluster: str) -> None:
        os.environ["THESPIAN_BASE_IPADDR"] = address_of(host)
        install(Seal(secrets, cluster))
        self._death_signal = SealedTransport.death_signal = DeathSignal()
        with socket.socket() as reserved:  # until Thespian listens there
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("", 0))
            port = reserved.getsockname()[1]
            capabilities: dict[str, Any] = {"Admin Port": port, "Process Startup Method": START_METHOD}
            try:
                base = SealedBase(SimpleNamespace(capabilities=capabilities))
            except BaseException:
                self._death_signal.send()
                raise
        self.actors = ActorSystem(systemBase=base, capabilities=capabilities, transientUnique=True)

    def stop(self) -> None:
        """Every actor gets an ActorExitRequest; what has not ended then is killed. Idempotent."""
        try:
            with suppress(Exception):  # it may be dead, or half of it
                self.actors.shutdown()
        finally:
            self._death_signal.send()


def address_of(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise UnknownName(
            f"{host} has no IPv4 address, and multiprocTCPBase knows no other: {error}"
        ) from None
    address = str(found[0][4][0])
    if address == "0.0.0.0":
        raise ConfigError("multiprocTCPBase tells others one address of this host: name it with --advertise")
    return address
