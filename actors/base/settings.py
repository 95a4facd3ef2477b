"""Settings of links, and the rule that no process listens to a network by accident."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.actors.base.addresses import ENDPOINT_BYTES_MAX
from fleet.actors.base.handshake import FRAME_BYTES_MIN
from fleet.actors.base.names import addresses
from fleet.errors import ConfigError, OpenToNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    cluster: str = ""
    secret: bytes = field(default=b"", repr=False)
    frame_bytes_max: int = 64 * 1024 * 1024
    buffer_bytes_max: int = 64 * 1024 * 1024
    """Bytes that may wait for one peer that does not read; beyond them messages for it are dropped."""
    buffers_bytes_max: int = 256 * 1024 * 1024
    """Bytes that may wait for all peers; beyond them messages for peers above their mark are dropped."""
    mark_bytes: int = 4 * 1024 * 1024
    """A process that only dials and has so much waiting for it is not read until half of that has left."""
    waiting_bytes_max: int = 256 * 1024
    """Bytes that may wait for the first connection to a peer, for `waiting_ms_max` at most."""
    waiting_ms_max: int = 1000
    connect_ms_max: int = 1000
    handshake_ms_max: int = 2000
    unproved_max: int = 128
    """Accepted connections that have not proved themselves yet; one more closes the oldest."""
    retry_ms_min: int = 20
    retry_ms_max: int = 1000
    dead_after_ms: int = 5000
    """A peer whose host is silent for so long is given up."""

    def __post_init__(self) -> None:
        if not isinstance(self.secret, bytes):
            raise ConfigError("secret must be bytes")
        if not FRAME_BYTES_MIN <= self.frame_bytes_max < 2**32:
            raise ConfigError(
                "frame_bytes_max is out of range", value=self.frame_bytes_max, at_least=FRAME_BYTES_MIN
            )

    @property
    def mark(self) -> int:
        """So many bytes may wait on any link."""
        return min(self.mark_bytes, self.buffer_bytes_max)

    def is_over_budget(self, waiting: int, is_backlogged: bool, waiting_all: int) -> bool:
        """For a link above its mark, with `waiting` bytes: whether no more may wait there.
        `is_backlogged`: its socket takes no more for now; `waiting_all`: what sockets have refused, on all
        links."""
        return waiting > self.buffer_bytes_max or (is_backlogged and waiting_all > self.buffers_bytes_max)


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """("host", port) of "host:port" or "[v6]:port". Raises ConfigError."""
    if not endpoint.isprintable() or len(endpoint.encode()) > ENDPOINT_BYTES_MAX:
        raise ConfigError(f"{endpoint[:80]!r} is not host:port, of at most {ENDPOINT_BYTES_MAX} bytes")
    host, colon, port = endpoint.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"write {endpoint!r} with the address in brackets: [address]:port")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    if not colon or not host or not is_port:
        raise ConfigError(f"{endpoint!r} is not host:port")
    return host, int(port)


def own_name(listen: str, names: Sequence[str]) -> str | None:
    """Which of these "host:port" is another name for `listen`; None: none of them.

    Raises: OSError: one that could be cannot be resolved now.
    """
    host, port = split_endpoint(listen)
    if listen in names or not port:
        return listen if listen in names else None
    here = {where[0] for _, where in addresses(host, port)}
    is_everywhere = any(ipaddress.ip_address(one).is_unspecified for one in here)
    for name in names:
        its_host, its_port = split_endpoint(name)
        if its_port == port:
            for family, where in addresses(its_host, port):
                if where[0] in here or is_everywhere and _is_local(family, where[0]):
                    return name
    return None


def _is_local(family: int, address: str) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def join_endpoint(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(listen: str, insecure: bool) -> socket.socket:
    """A listening, non-blocking socket. Raises ConfigError for a bind to the network without `insecure`,
    OSError when the address cannot be had."""
    host, port = split_endpoint(listen)
    try:
        family, where = addresses(host, port)[0]
    except OSError as error:
        raise ConfigError(f"listen={listen!r} cannot be resolved: {error}") from None
    if not ipaddress.ip_address(where[0]).is_loopback and not insecure:
        raise OpenToNetwork(f"listen={listen!r} is open to the network, and links are not encrypted")
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(512)
    except BaseException:
        listener.close()
        raise
    return listener


def is_name(host: str) -> bool:
    """Whether it has to be looked up."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


def is_loopback(endpoint: str) -> bool:
    """By its text; a name other than localhost may be anything."""
    host, _ = split_endpoint(endpoint)
    return host == "localhost" if is_name(host) else ipaddress.ip_address(host.partition("%")[0]).is_loopback


def advertised(listener: socket.socket, listen: str, advertise: str | None) -> str:
    """The endpoint that others are told: a name stays one, since lists of founders are compared as text.
    Raises ConfigError when it cannot be guessed."""
    named = split_endpoint(advertise or listen)
    if advertise is not None or is_name(named[0]):
        return join_endpoint(named[0], named[1] or listener.getsockname()[1])
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        raise ConfigError(f"listen={host!r} is every address of the host: say with advertise= which to use")
    return join_endpoint(host, port)
