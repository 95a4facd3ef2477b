"""What a node's supervisor asks: is it alive, and can it serve?

Live: the node's loop turns, and its node manager handles messages. It says nothing of other nodes, since a
restart of this one would not bring them back. Ready: it can serve, see `fleet.cluster.readiness`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from thespian.actors import ActorAddress, ActorSystemFailure

from fleet.actors.base.base import FleetBase
from fleet.actors.base.probes import ProbeServer, Tell, bind_probes
from fleet.actors.messages.local import AskHealth, Health
from fleet.errors import Unavailable

LIVE, READY = "/live", "/ready"
WAITING_MAX = 1000
"""Questions that the node manager has not answered. If it answers none, the oldest are forgotten."""


class NodeHealth:
    """Asks the node manager, for probes over HTTP and for others. `ask` and `ask_manager` are for the loop's
    thread."""

    def __init__(self, base: FleetBase, node: str) -> None:
        self.node = node
        self.manager: ActorAddress | None = None
        """None: it has not been started yet."""
        self._base = base
        self._kernel = base.kernel
        self._server: ProbeServer | None = None
        self._mailbox = base.kernel.open_mailbox(self._on_answer)
        self._waiting: dict[int, Callable[[tuple[str, ...]], None]] = {}
        self._asked = 0

    def serve(self, listen: str) -> None:
        """Answer at "host:port" until `close`.

        Raises:
            Unavailable: the address cannot be used.
        """
        try:
            sock = bind_probes(listen)
        except OSError as error:
            why = error.strerror or str(error)
            what = f"cannot listen for health probes at {listen}: {why} - choose another --health"
            raise Unavailable(what) from None
        base = self._base
        self._server = base.run_in_loop(lambda: ProbeServer(base.reactor, sock, (LIVE, READY), self.ask))

    def close(self) -> None:
        """Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            try:
                self._base.run_in_loop(server.close)
            except ActorSystemFailure:  # the loop has ended
                server.close()

    def ask(self, path: str, tell: Tell) -> None:
        """Answer one of the paths. Never, while the node manager does not handle messages."""
        self.ask_manager(partial(self._tell, path, tell))

    def ask_manager(self, then: Callable[[tuple[str, ...]], None]) -> None:
        """`then` gets why the node is not ready."""
        if self.manager is None:
            then(("it is starting",))
            return
        self._asked += 1
        self._waiting[self._asked] = then
        if len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        self._kernel.send(self.manager, self._mailbox, AskHealth(self._asked))

    def watch(self, every_s: float, told: Callable[[tuple[str, ...]], None]) -> None:
        """Call `told` in the loop, now and after each `every_s` seconds, with why the node is not ready.

        It is not called while the loop does not turn, or the node manager does not answer.
        """
        reactor = self._base.reactor

        def look() -> None:
            reactor.call_at(reactor.now() + every_s, look)
            self.ask_manager(told)

        reactor.post(look)

    def _on_answer(self, message: Any, sender: ActorAddress) -> None:
        if isinstance(message, Health):
            self._take(message)

    def take(self, m: Health) -> None:
        """An answer that has come by another way. For any thread."""
        self._base.run_in_loop(partial(self._take, m))

    def _take(self, m: Health) -> None:
        then = self._waiting.pop(m.token, None)
        if then is not None:
            then(m.why_not_ready)

    def _tell(self, path: str, tell: Tell, why: tuple[str, ...]) -> None:
        body: Mapping[str, Any] = {"node": self.node, "live": True}
        if path == READY:
            body = {"node": self.node, "ready": not why, "why": why}
        tell(path == LIVE or not why, body)
