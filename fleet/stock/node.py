"""A node whose actors are processes of Thespian's own base."""

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Self

from fleet.actors.base.settings import split_endpoint
from fleet.actors.messages.local import AskHealth, Health
from fleet.actors.node.records import STOCK_BASE
from fleet.any_node import START_S, AnyNode
from fleet.errors import FleetError, Unavailable
from fleet.stock.base import SealedSystem
from fleet.stock.gateway import NodeGateway
from fleet.stock.messages import GatewayOpened, NodeEnded, OpenGateway

LOOK_S = 0.2
"""How soon a signal, or the end of the node, is noticed."""
HEALTH_S = 1.0


class StockNode(AnyNode):
    """As `fleet.Node`, with `--base multiprocTCPBase`: every actor is a process, and objects live in those of
    their members, so that settings of executors mean nothing. The messages between processes are sealed.

    One at a time in a process. `start` forks: call it before the process has threads.
    """

    _sealed: SealedSystem | None = None
    _gateway = 0
    """The id of the gateway's process."""
    _watched: tuple[float, Callable[[tuple[str, ...]], None]] | None = None
    """How often `watch_health` looks, and whom it tells."""
    _look_at = 0.0

    def start(self) -> Self:
        """Start the node. Returns itself when every member on its disk has been started."""
        directory = Path(self.data_dir).absolute()
        self._check_founding_if_new()
        advertise = self.advertise or self._name_among_founders()
        self._open_store(STOCK_BASE).close()  # it cannot be open across a fork
        os.environ.setdefault("THESPLOG_FILE", str(directory / "thespian.log"))
        host, _ = split_endpoint(advertise or self.listen)
        self._sealed = SealedSystem(host, self.secret.accepted, self.cluster)
        self._system = self._sealed.actors
        try:
            self._open_gateway(advertise, str(directory))
            self._await_start()
        except BaseException:
            self.stop()
            raise
        return self

    def _open_gateway(self, advertise: str | None, directory: str) -> None:
        gateway = self._system.createActor(NodeGateway)
        start = self._start_message(
            address="", store=None, writer=None, directory=directory, keyring=self.secret
        )
        open_gateway = OpenGateway(start, self.listen, advertise, self.health, self.secret, self.data_modules)
        opened = self._system.ask(gateway, open_gateway, START_S)
        if not isinstance(opened, GatewayOpened):
            raise Unavailable("the node does not start; its log says why", node=self.name)
        if opened.error is not None:
            raise opened.error
        self._gateway = opened.process
        self.address, self._manager = opened.endpoint, opened.manager

    def stop(self) -> None:
        """As `fleet.Node.stop`; what does not end within Thespian's time is killed. Idempotent."""
        sealed, self._sealed = self._sealed, None
        if sealed is not None:
            sealed.stop()

    def leave(self, within_s: float, is_enough: Callable[[], bool] = lambda: False) -> bool:
        """As `fleet.Node.leave`."""
        self.has_left = super().leave(within_s, is_enough) or self.has_left
        return self.has_left

    def watch_health(self, every_s: float, told: Callable[[tuple[str, ...]], None]) -> None:
        """As `Node.watch_health`, while `run_until_signal` waits."""
        self._watched = every_s, told

    def _await_signal(self) -> None:
        while self._wakes.empty():
            message = self._system.listen(LOOK_S)
            if isinstance(message, NodeEnded):
                self._note_end(message.error)
            elif not self._is_running():
                raise Unavailable("the node ended by itself; its log says why", node=self.name)
            elif self._watched is not None and monotonic() >= self._look_at:
                every_s, told = self._watched
                self._look_at = monotonic() + every_s
                self._tell_health(told)

    def _is_running(self) -> bool:
        try:
            os.kill(self._gateway, 0)
        except ProcessLookupError:
            return False
        return True

    def _note_end(self, error: FleetError | None) -> None:
        if error is None:
            self._on_left()
        else:
            self._on_end(error)

    def _tell_health(self, told: Callable[[tuple[str, ...]], None]) -> None:
        with self._system.private() as endpoint:
            answer = endpoint.ask(self._manager, AskHealth(0), HEALTH_S)
        if isinstance(answer, Health):
            told(answer.why_not_ready)
