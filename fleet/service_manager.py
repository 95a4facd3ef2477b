"""What a node tells the service manager that started it, by systemd's protocol: datagrams to a socket."""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

from fleet.system.sockets import non_blocking

STATUS_EVERY_S = 5.0
DIGITS_MAX = 18
"""Of the microseconds that it wants to be told within."""
GRACE_S = 10.0
"""For the end itself."""


class ServiceManager:
    """Tells nothing if no service manager wants to be told. Never blocks, never raises."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Takes the variables out of `environ`: they are not for child processes."""
        address = environ.pop("NOTIFY_SOCKET", "")
        wanted, process = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        is_number = wanted.isascii() and wanted.isdigit() and len(wanted) <= DIGITS_MAX
        self.watchdog_s = int(wanted) / 1e6 if is_number and process in ("", str(os.getpid())) else 0.0
        """It ends this process if it hears nothing for so long; 0: it does not."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        self._socket: socket.socket | None = None
        if address:
            self._socket = non_blocking(socket.AF_UNIX, socket.SOCK_DGRAM)

    @property
    def is_there(self) -> bool:
        return self._socket is not None

    @property
    def every_s(self) -> float:
        """How often `on_health` should be called."""
        return min(self.watchdog_s / 3 or STATUS_EVERY_S, STATUS_EVERY_S)

    def serves(self) -> None:
        """The node listens and its members are started. It does not wait for other nodes: hosts would
        otherwise start one after the other, each until its time is up."""
        self._tell("READY=1")

    def on_health(self, why_not_ready: tuple[str, ...]) -> None:
        """The node is alive, whether or not it is ready."""
        status = f"not ready: {'; '.join(why_not_ready)}" if why_not_ready else "ready"
        lines = ["WATCHDOG=1"] if self.watchdog_s else []
        if status != self._status:
            lines.append(f"STATUS={status}")
            self._status = status
        if lines:
            self._tell(*lines)

    def stops(self, within_s: float) -> None:
        """The node ends; leaving the cluster may take so long."""
        self._status = f"leaves the cluster, within {within_s:g} s" if within_s else "stops"
        longer = round((within_s + GRACE_S) * 1e6)
        self._tell("STOPPING=1", f"STATUS={self._status}", f"EXTEND_TIMEOUT_USEC={longer}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)
