"""A dialled endpoint: its address, and whether a process has proved to be it."""

import ipaddress
import socket

from fleet.actors.base.dialling import DialState, L
from fleet.actors.base.settings import split_endpoint
from fleet.errors import ConfigError


class Peer(DialState[L]):
    """`host` is "" for an invalid endpoint; `family` is None for a name, which is looked up for each
    attempt."""

    __slots__ = ("host", "port", "family", "is_resolving", "is_itself")

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.is_resolving = False
        self.is_itself = False
        """A process has proved to be exactly this endpoint, so it is not just another name of one."""
        self.family: int | None = None
        try:
            self.host, self.port = split_endpoint(endpoint)
            version = ipaddress.ip_address(self.host.partition("%")[0]).version
            self.family = socket.AF_INET if version == 4 else socket.AF_INET6
        except ConfigError:
            self.host, self.port = "", 0
        except ValueError:
            pass
