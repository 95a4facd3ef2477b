"""Settings of links and endpoints."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.actors.base.addresses import ENDPOINT_BYTES_MAX
from fleet.actors.base.handshake import FRAME_BYTES_MIN
from fleet.actors.base.names import addresses
from fleet.errors import ConfigError
from fleet.system.sockets import non_blocking


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """Fields end in their unit: bytes or milliseconds."""

    cluster: str = ""
    frame_bytes_max: int = 64 * 1024 * 1024
    """The longest frame that this process reads."""
    buffer_bytes_max: int = 64 * 1024 * 1024
    """Bytes that may wait for one peer that does not read; further messages for it are dropped."""
    buffers_bytes_max: int = 256 * 1024 * 1024
    """Bytes that may wait for all peers; then messages for peers above `mark_bytes` are dropped."""
    mark_bytes: int = 4 * 1024 * 1024
    """A process that only dials is not read from while more than this waits for it, until half has left."""
    waiting_bytes_max: int = 256 * 1024
    """Bytes that may wait for a connection to a peer, for at most `waiting_ms_max`."""
    waiting_ms_max: int = 1000
    connect_ms_max: int = 1000
    handshake_ms_max: int = 2000
    unproved_max: int = 128
    """Accepted connections without a finished handshake; one more closes the oldest."""
    retry_ms_min: int = 20
    retry_ms_max: int = 1000
    """The shortest and the longest back-off between two attempts to connect."""
    dead_after_ms: int = 5000
    """A link is closed when the peer's host was silent for this long."""

    def __post_init__(self) -> None:
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
    """("host", port) of "host:port" or "[v6]:port". Raises ConfigError for anything else."""
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
    """Which of these "host:port" is another name of `listen`; None if none is.

    Raises:
        OSError: a name that might be cannot be resolved now.
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


def bind(listen: str) -> socket.socket:
    """A listening, non-blocking socket.

    Raises:
        ConfigError: `listen` is invalid or cannot be resolved.
        OSError: the address cannot be used.
    """
    host, port = split_endpoint(listen)
    try:
        family, where = addresses(host, port)[0]
    except OSError as error:
        raise ConfigError(f"listen={listen!r} cannot be resolved: {error}") from None
    listener = non_blocking(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(512)
    except BaseException:
        listener.close()
        raise
    return listener


def is_name(host: str) -> bool:
    """Whether the host is a name rather than an IP address."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


def advertised(listener: socket.socket, listen: str, advertise: str | None) -> str:
    """The endpoint to announce. A name is not resolved, since lists of founders are compared as text.

    Raises:
        ConfigError: `listen` is every address of the host, and `advertise` is None.
    """
    named = split_endpoint(advertise or listen)
    if advertise is not None or is_name(named[0]):
        return join_endpoint(named[0], named[1] or listener.getsockname()[1])
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        raise ConfigError(f"listen={host!r} is every address of the host: choose one with advertise=")
    return join_endpoint(host, port)
