"""Accepts the connections of other processes."""

import errno
import logging
import socket
from collections.abc import Callable

from fleet.actors.base.link import Events
from fleet.actors.base.rare_log import RareLog
from fleet.actors.base.settings import join_endpoint
from fleet.system.poll import READ

log = logging.getLogger("fleet.base")

_ACCEPTS_A_TURN = 64
_PAUSE_S = 0.1
"""While there is no free descriptor, which would make the listening socket ready again at once."""
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """Passes each connection to `accepted(sock, address)`, non-blocking. `sock` is the listening socket."""

    def __init__(
        self, reactor: Events, sock: socket.socket, accepted: Callable[[socket.socket, str], None]
    ) -> None:
        self._reactor = reactor
        self._sock = sock
        self._accepted = accepted
        self._is_closed = False
        self._rare_log = RareLog(log)
        reactor.add(sock.fileno(), READ, self._accept)

    def close(self) -> None:
        self._is_closed = True
        self._sock.close()

    def _accept(self, mask: int) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, where = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    self._pause(error)
                    return
                continue  # the connection was closed before it was accepted
            sock.setblocking(False)
            self._accepted(sock, join_endpoint(*where[:2]))

    def _pause(self, error: OSError) -> None:
        now = self._reactor.now()
        self._rare_log(now, "accept", "", "cannot accept links for now: %s", error)
        self._reactor.remove(self._sock.fileno())
        self._reactor.call_at(now + _PAUSE_S, self._resume)

    def _resume(self) -> None:
        if not self._is_closed:
            self._reactor.add(self._sock.fileno(), READ, self._accept)
