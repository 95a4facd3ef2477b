"""The fleet base: the object behind `ActorSystem(systemBase=...)`."""

import logging
import queue
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from time import monotonic, time
from typing import Any, NoReturn, TypeVar

from thespian.actors import ActorAddress, ActorSystem, ActorSystemFailure, ThespianGeneration
from thespian.system import isInternalActorSystemMessage

from fleet.actors.base.addresses import Address
from fleet.actors.base.cell import refuse
from fleet.actors.base.kernel import Kernel
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.limited import Admit
from fleet.actors.base.links import Links
from fleet.actors.base.reactor import Reactor
from fleet.actors.base.role_secrets import is_role_secret
from fleet.actors.base.settings import LinkSettings, advertised, bind
from fleet.actors.base.tls import Credentials
from fleet.errors import ConfigError, WouldDeadlock

log = logging.getLogger("fleet.base")

T = TypeVar("T")

STOP_S_MAX = 5.0
"""How long an orderly shutdown waits for actors to exit."""
_JOIN_S_MAX = 1.0
"""And beyond that, for the turn under way."""
_DRAIN_S_MAX = 1.0
"""How long it waits for messages to leave."""
_STOP_POLL_S = 0.005


class FleetBase:
    """One actor system in this process: a kernel, its links and the thread that runs them.

    It runs from construction to `shutdown`. Every method may be called from any thread. Inside an actor,
    `ask` and `listen` raise WouldDeadlock: they would block the thread that has to answer.

    Answers to `tell` and `ask` return to the mailbox that sent them. Threads that use the system directly
    share one mailbox; a thread that waits for its own answers needs `ActorSystem.private()`.

    Args:
        listen: "host:port" for links from other processes; port 0 picks a free one, see `endpoint`.
            None: only dial others.
        advertise: "host:port" where others reach this process, if not `listen`.
        cluster, secret: only processes with the same cluster id and secret exchange messages.
        admit: makes the gates of peers that have a role secret; None: they are refused.
        capabilities: Thespian's, for classes with an actorSystemCapabilityCheck.
        limits: the other fields of LinkSettings.

    Raises:
        ConfigError: an invalid setting.
        OSError: the port cannot be used.
    """

    def __init__(
        self,
        listen: str | None = None,
        advertise: str | None = None,
        cluster: str = "",
        secret: bytes | Keyring = b"",
        admit: Admit | None = None,
        capabilities: dict[str, Any] | None = None,
        **limits: Any,
    ) -> None:
        settings = LinkSettings(cluster=cluster, **limits)
        if not isinstance(secret, bytes | Keyring):
            raise ConfigError("secret must be bytes")
        if listen is not None and not secret:
            raise ConfigError("listen needs a secret: without one, anybody could run code here")
        credentials = Credentials(cluster, secret) if secret else None
        if listen is not None and credentials is not None:
            _check_is_whole(credentials.keyring)
        listener = None if listen is None else bind(listen)
        try:
            endpoint = "" if listener is None else advertised(listener, listen or "", advertise)
        except BaseException:
            if listener is not None:
                listener.close()
            raise
        self.endpoint = endpoint
        self.boot = secrets.randbelow(2**63 - 1) + 1
        self._reactor = Reactor()
        capabilities = {**_common_capabilities(), **(capabilities or {})}
        self.kernel = Kernel(self._reactor, self.boot, endpoint, capabilities)
        self._links = Links(self._reactor, self.kernel, settings, credentials, listener, admit)
        self._lock = threading.RLock()  # the collector may end an endpoint while this thread makes another
        self._waiting: set[queue.SimpleQueue[Any]] = set()
        self._ended = False
        self._external = _External(self)
        self._reactor.start(self.kernel, self._links, self._begin_stop, self._on_end)

    # -- what ActorSystem calls --------------------------------------------------------------------

    def newPrimaryActor(
        self, spec: Any, requirements: Any = None, name: str | None = None, source_hash: Any = None
    ) -> Address:
        """Create a top-level actor before returning. Raises what its constructor raises."""
        if source_hash is not None:
            refuse("createActor with sourceHash")
        return self.run_in_loop(partial(self.kernel.create_primary, spec, requirements, name))

    def tell(self, target: ActorAddress, message: Any) -> None:
        self._external.tell(target, message)

    def ask(self, target: ActorAddress, message: Any, timeout: Any = None) -> Any:
        return self._external.ask(target, message, timeout)

    def listen(self, timeout: Any = None) -> Any:
        return self._external.listen(timeout)

    def external_clone(self) -> "_External":
        return _External(self)

    def shutdown(self, abrupt: bool = False) -> None:
        """Stop. Afterwards no thread, socket or descriptor is left, and mailboxes that wait get None.

        Orderly: every actor gets an ActorExitRequest, children are awaited, and messages already sent are
        handed to the network, within STOP_S_MAX seconds. Abrupt: after the current turn, as if the process
        had died. Inside an actor it returns at once. Idempotent. An actor that never returns keeps its
        thread: this is logged with its stack, and `is_running` stays true.
        """
        self._reactor.post(self._reactor.end if abrupt else self._begin_stop)
        if not self._reactor.in_loop() and not self._reactor.join(STOP_S_MAX + _JOIN_S_MAX):
            log.critical("the loop did not end in time and is abandoned at\n%s", self._reactor.where())

    def updateCapability(self, name: str, value: Any = None) -> None:
        self.run_in_loop(partial(self.kernel.update_capability, name, value))

    def _handleDeadLetters(self, address: Any, enable: bool) -> None:
        self.run_in_loop(partial(self.kernel.handle_dead_letters, address, enable))

    def loadActorSource(self, name: Any) -> NoReturn:
        refuse("loadActorSource")

    def unloadActorSource(self, source_hash: Any) -> NoReturn:
        refuse("unloadActorSource")

    # -- what is ours ------------------------------------------------------------------------------

    def link_errors(self) -> dict[str, str]:
        """By endpoint, why the last attempt to reach it failed; removed once a link is up.

        The reasons are short fixed texts: "refused", "timeout", "unreachable", "unresolvable", "closed",
        "wrong secret", "wrong cluster id", "certificate out of date: check the clocks",
        "not a fleet process", "no secret", "another endpoint", "bad endpoint", "bad frame"; any other text
        is the operating system's, or begins with "wrong version: " and names the versions of both sides.
        """
        return self._links.errors.copy()

    def stats(self) -> dict[str, int]:
        """Counters of links and actors since the start, and how many exist now."""
        return self.run_in_loop(self._stats)

    def in_loop(self) -> bool:
        """Whether the caller runs in the thread of the actors, where nothing may block."""
        return self._reactor.in_loop()

    def after_flush(self, action: Callable[[], None]) -> None:
        """Run `action` at the end of the current turn, once everything that was sent in it has left. Only in
        the loop's thread."""
        self._reactor.after_flush(action)

    def is_running(self) -> bool:
        return self._reactor.is_running()

    @property
    def reactor(self) -> Reactor:
        """For what has descriptors of its own in the loop."""
        return self._reactor

    def run_in_loop(self, action: Callable[[], T]) -> T:
        """Run `action` between two messages in the thread of the actors. Returns or raises what it does."""
        if self._reactor.in_loop():
            return action()
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(action())
            except BaseException as error:
                future.set_exception(error)

        self._post(run)
        while True:
            try:
                return future.result(1.0)
            except TimeoutError:
                if future.done():
                    raise  # the action's own
                if not self._reactor.is_running():
                    raise ActorSystemFailure("the actor system was stopped") from None

    def _post(self, action: Callable[[], None]) -> None:
        if self._ended:
            raise ActorSystemFailure("the actor system was stopped")
        self._reactor.post(action)

    def _stats(self) -> dict[str, int]:
        kernel = self.kernel
        return {
            **self._links.stats(),
            "actors": kernel.actor_count(),
            "handler_failures": kernel.handler_failures,
            "dead_letters": kernel.dead_letters,
        }

    # -- the end, in the loop's thread -------------------------------------------------------------

    def _begin_stop(self) -> None:
        self.kernel.stop_actors()
        now = monotonic()
        self._go_on_stopping(now + STOP_S_MAX, now + _DRAIN_S_MAX)

    def _go_on_stopping(self, actors_until: float, links_until: float) -> None:
        now = monotonic()
        actors_left = self.kernel.actor_count()
        is_drained = self._links.is_drained() or now > links_until
        if actors_left == 0 and not self.kernel.queue and is_drained or now > actors_until:
            if actors_left:
                log.warning("%d actors did not exit in time and are dropped", actors_left)
            self._reactor.end()
        else:
            again = partial(self._go_on_stopping, actors_until, links_until)
            self._reactor.call_at(now + _STOP_POLL_S, again)

    def _on_end(self) -> None:
        self._ended = True
        with self._lock:
            for waiting in list(self._waiting):
                waiting.put(_END)


def _check_is_whole(keyring: Keyring) -> None:
    if any(map(is_role_secret, keyring.accepted)):
        raise ConfigError(
            f"a node needs the cluster's secret itself, and {keyring.source} has one of a role: "
            "name another file with --secret-file (secret_file=)"
        )


def _common_capabilities() -> dict[str, Any]:
    """The capabilities that Thespian defines for every actor system."""
    return {
        "Python Version": tuple(sys.version_info),
        "Thespian Generation": ThespianGeneration,
        "Thespian Version": str(int(time() * 1000)),
        "Thespian ActorSystem Name": "fleet",
        "Thespian ActorSystem Version": 1,
        "Thespian Watch Supported": True,
        "AllowRemoteActorSources": "No",
    }


class _End:
    """Put into a mailbox when the system has ended."""


_END = _End()


class _External:
    """A mailbox for code that is not an actor, with its own address and queue of answers."""

    def __init__(self, base: FleetBase) -> None:
        self._base = base
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        answers = self._answers
        opener = partial(base.kernel.open_mailbox, lambda message, sender: answers.put(message))
        self._address = base.run_in_loop(opener) if base._reactor.is_running() else opener()
        with base._lock:
            base._waiting.add(answers)
            if base._ended:
                answers.put(_END)

    def tell(self, target: ActorAddress, message: Any) -> None:
        base = self._base
        base._post(partial(base.kernel.send, target, self._address, message))

    def ask(self, target: ActorAddress, message: Any, timeout: Any = None) -> Any:
        """Send, and return the next message that arrives, whatever it answers: as in Thespian, ask one at a
        time."""
        self._check_not_an_actor()
        self.tell(target, message)
        return self.listen(timeout)

    def listen(self, timeout: Any = None) -> Any:
        """The next message; None on a timeout. Skips internal system messages, except poison."""
        self._check_not_an_actor()
        until = None if timeout is None else monotonic() + _seconds(timeout)
        while True:
            try:
                left = None if until is None else max(0.0, until - monotonic())
                message = self._answers.get(timeout=left)
            except queue.Empty:
                return None
            if message is _END:
                self._answers.put(_END)
                return None
            if not isInternalActorSystemMessage(message):
                return message

    def newPrimaryActor(self, *args: Any) -> Address:
        return self._base.newPrimaryActor(*args)

    def external_clone(self) -> "_External":
        return _External(self._base)

    def updateCapability(self, name: str, value: Any = None) -> None:
        self._base.updateCapability(name, value)

    def shutdown(self, abrupt: bool = False) -> None:
        self._base.shutdown(abrupt)

    def exit_context(self) -> None:
        base = self._base
        with base._lock:
            base._waiting.discard(self._answers)
        base._reactor.post(partial(base.kernel.close_mailbox, self._address))

    def __del__(self) -> None:
        if hasattr(self, "_address"):  # private() skips exit_context when its body raises
            self.exit_context()

    def _check_not_an_actor(self) -> None:
        if self._base.in_loop():
            raise WouldDeadlock("ask and listen block the thread that would have to answer; use send")


def _seconds(timeout: Any) -> float:
    return float(timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout)


def start_system(**settings: Any) -> ActorSystem:
    """An ActorSystem on its own FleetBase, which is `system.base`; the arguments are FleetBase's.

    Use this instead of `ActorSystem(systemBase=base)`, which keeps a process-wide singleton and gives a
    second caller the first one's base; only `transientUnique=True` makes an independent system.
    """
    base = FleetBase(**settings)
    system = ActorSystem(systemBase=base, capabilities=base.kernel.capabilities, transientUnique=True)
    system.base = base
    return system
