"""What nodes have in common, whatever base their actors run on."""

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Self

from msgspec.structs import replace
from thespian.actors import ActorSystemFailure

from fleet.actors.base.keyring import Keyring
from fleet.actors.base.settings import own_name
from fleet.actors.client.cluster_pin import uid_text
from fleet.actors.messages.local import StartNode
from fleet.actors.messages.operator import ListMembers, MemberList, NodeRequest, OpReply
from fleet.actors.runtime.clock import SystemClock
from fleet.client.connection import Fleet, connect
from fleet.config.checks import check_places
from fleet.config.settings import check_values
from fleet.errors import FleetError, Unavailable, UnknownName
from fleet.interfaces import Clock
from fleet.node_directory import check_founding, open_directory
from fleet.raft.ids import NodeName
from fleet.secret import find_secret
from fleet.storage import LmdbStore
from fleet.storage.directory import ENVIRONMENT
from fleet.versions import THIS_BUILD

log = logging.getLogger(__name__)
START_S = 30.0
LOOK_S = 0.1
ALIVE_S = 1.0
"""How often a node that serves looks whether its actors are there."""


class AnyNode:
    """A node: its settings, its directory, and its life from a start to a signal. See `fleet.Node`."""

    address = ""
    cluster_uid = ""
    """The uid of its cluster in hexadecimal digits; "none" before it belongs to one."""
    has_left = False
    """Whether it was drained and has left its cluster."""
    _system: Any = None
    _manager: Any = None
    _error: FleetError | None = None

    def __init__(
        self,
        name: str,
        listen: str = "127.0.0.1:7400",
        data_dir: str | os.PathLike[str] | None = None,
        *,
        advertise: str | None = None,
        join: Sequence[str] = (),
        founders: Sequence[str] = (),
        found: bool | None = None,
        zone: str = "default",
        weight: float = 1.0,
        active: bool = True,
        purge_after: float = 600.0,
        cluster: str = "fleet",
        secret: bytes | str | Keyring | None = None,
        secret_file: str | os.PathLike[str] | None = None,
        executors: int = 1,
        executor_memory_max: int = 0,
        data_modules: Sequence[str] = (),
        health: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_values(name=name, listen=listen, data_dir=data_dir, advertise=advertise, health=health)
        check_values(join=join, founders=founders, weight=weight, purge_after=purge_after)
        check_values(executors=executors, executor_memory_max=executor_memory_max)
        check_values(data_modules=tuple(data_modules))
        check_places(listen, join, founders, found, health)
        self.name = name
        self.listen = listen
        self.data_dir = data_dir if data_dir is not None else f"fleet-{name}"
        self.advertise = advertise
        self.join = tuple(join)
        self.founders = tuple(founders)
        self.found = found
        self.weight = weight
        self.active = active
        self.purge_after = purge_after
        self.zone = zone
        self.cluster = cluster
        self.secret = find_secret(secret, secret_file)
        self.executors = executors
        self.executor_memory_max = executor_memory_max
        self.data_modules = tuple(data_modules)
        self.health = health
        self.clock = clock or SystemClock()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        """One on each signal, and when the node ends by itself. A handler of a signal can put into it at any
        instruction of the thread that waits; `Event.set` would wait for a lock which that thread may hold."""

    def start(self) -> Self:
        """Start the node. Returns itself when every member on its disk has been started."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the node. Its members stay on it; acknowledged commands are on disk already. Idempotent."""
        raise NotImplementedError

    def watch_health(self, every_s: float, told: Callable[[tuple[str, ...]], None]) -> None:
        """Call `told` now and after each `every_s` seconds, with why the node is not ready.

        It is not called while the node's actors do not handle messages.
        """
        raise NotImplementedError

    def _is_running(self) -> bool:
        """Whether the actors are there; looked at about every second."""
        raise NotImplementedError

    def _name_among_founders(self) -> str | None:
        """This node's address as written in the list of founders, by which founders know each other."""
        try:
            return own_name(self.listen, self.founders)
        except OSError as error:
            what = f"cannot tell which of the founders this node is, since a name cannot be resolved: {error}"
            raise UnknownName(what, listen=self.listen, founders=", ".join(self.founders)) from None

    def _open_store(self, base: str) -> LmdbStore:
        """Raises what `start` does about the directory."""
        return open_directory(self.data_dir, self.cluster, self.name, base, self._check_founding)

    def _check_founding_if_new(self) -> None:
        if not (Path(self.data_dir) / ENVIRONMENT).exists():
            self._check_founding(is_empty=True)

    def _check_founding(self, is_empty: bool) -> None:
        check_founding(self.data_dir, self.found, bool(self.join or self.founders), is_empty)

    def _start_message(self, **own: Any) -> StartNode:
        return StartNode(
            build=replace(THIS_BUILD, release=import_module("fleet").__version__),
            name=NodeName(self.name),
            zone=self.zone,
            cluster=self.cluster,
            clock=self.clock,
            seed=secrets.randbits(32),
            join=self.join,
            founders=self.founders,
            may_found=self.found is not False,
            active=self.active,
            weight=self.weight,
            purge_after_ms=round(self.purge_after * 1000),
            **own,
        )

    def _await_start(self) -> None:
        self.members()
        if self.found:
            self._await_founding()

    def _await_founding(self) -> None:
        """Wait until this node's new cluster is on its disk and `cluster_uid` names it."""
        until = time.monotonic() + START_S
        while self.cluster_uid == uid_text(0):
            if time.monotonic() > until:
                raise Unavailable("the node does not found its cluster; its log says why", node=self.name)
            time.sleep(0.002)
            self.members()

    def _on_end(self, error: FleetError) -> None:
        self._error = error
        self._wakes.put(None)

    def _on_left(self) -> None:
        self.has_left = True
        self._wakes.put(None)

    def members(self) -> MemberList:
        """The members on this node and their states.

        Raises:
            Unavailable: the node does not answer.
        """
        try:
            with self._system.private() as endpoint:
                reply = endpoint.ask(self._manager, NodeRequest(0, None, ListMembers()), START_S)
        except ActorSystemFailure:
            reply = None
        if isinstance(reply, OpReply) and reply.error is not None:
            raise reply.error.to_error()
        if not isinstance(reply, OpReply) or not isinstance(reply.value, MemberList):
            raise self._error or Unavailable("the node does not answer; its log says why", node=self.name)
        self.cluster_uid = uid_text(reply.cluster)
        return reply.value

    def run_until_signal(self, drain_s: float = 0.0, on_stop: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT, or until the node was drained and has left its cluster, then stop.
        Call it in the main thread. The handlers of both signals are afterwards as they were before.

        `drain_s`: seconds that leaving the cluster may take after SIGTERM; a second signal ends it early.
        `on_stop`: called when the end begins.

        Raises:
            WrongSecret, WrongCluster, NameTaken, DirectoryInUse, Unavailable: why the node ended by itself.
        """
        numbers: list[int] = []

        def on_signal(number: int, frame: FrameType | None) -> None:
            numbers.append(number)
            self._wakes.put(None)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._serve(numbers, drain_s, on_stop)
        finally:
            for number, handler in before.items():
                if handler is not None:  # it was installed by Python
                    signal.signal(number, handler)

    def _serve(self, numbers: list[int], drain_s: float, on_stop: Callable[[], None]) -> None:
        self._await_signal()
        on_stop()
        if self._error is not None:
            self.stop()
            raise self._error
        if drain_s and numbers and numbers[0] == signal.SIGTERM:
            self.leave(drain_s, lambda: len(numbers) > 1)
        self.stop()

    def _await_signal(self) -> None:
        while True:
            try:
                return self._wakes.get(timeout=ALIVE_S)
            except Empty:
                if not self._is_running():
                    raise Unavailable("the node ended by itself; its log says why", node=self.name) from None

    def leave(self, within_s: float, is_enough: Callable[[], bool] = lambda: False) -> bool:
        """Transfer leaderships, move the members away and leave the cluster. Call `stop` afterwards.

        Returns whether it left within `within_s` seconds, before `is_enough()` returned True. Otherwise the
        node continues to leave when it is started again, unless it is activated.
        """
        until = time.monotonic() + within_s
        try:
            with connect(self.address, cluster=self.cluster, secret=self.secret, timeout=within_s) as fleet:
                fleet.cluster()
                fleet.drain(self.name)
                while time.monotonic() < until and not is_enough():
                    if self._has_left(fleet):
                        return True
                    time.sleep(LOOK_S)
        except FleetError as error:
            log.warning("node=%s cannot leave: %s", self.name, error)
        return False

    def _has_left(self, fleet: Fleet) -> bool:
        try:
            return all(record.name != self.name for record in fleet.nodes())
        except Unavailable:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
