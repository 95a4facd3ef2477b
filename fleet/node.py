"""One node in this process: its store, its actor system and its node manager."""

import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Self

from thespian.actors import ActorSystemFailure

from fleet.actors.base.base import start_system
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.settings import own_name
from fleet.actors.client.cluster_pin import uid_text
from fleet.actors.executor.channel import ProcessChannel
from fleet.actors.executor.hook_threads import ThreadRunner
from fleet.actors.messages.local import StartNode
from fleet.actors.messages.operator import ListMembers, MemberList, NodeRequest, OpReply
from fleet.actors.messages.well_known import MANAGER
from fleet.actors.node.cluster_membership import CLUSTER_KEY
from fleet.actors.node.gate import Gates
from fleet.actors.node.greetings import NODES_KEY
from fleet.actors.node.manager import NodeManager
from fleet.actors.runtime.clock import SystemClock
from fleet.client.connection import Fleet, connect
from fleet.config.checks import check_places
from fleet.config.effective import check_contradictions, configure, node_arguments
from fleet.config.settings import OF_A_NODE, check_values
from fleet.errors import ConfigError, Damaged, FleetError, NodeDamaged, Unavailable, UnknownName
from fleet.health import NodeHealth
from fleet.interfaces import Clock
from fleet.raft.ids import NodeName
from fleet.secret import find_secret
from fleet.storage import LmdbStore, Writer
from fleet.storage.directory import ENVIRONMENT

log = logging.getLogger(__name__)
START_S = 30.0
LOOK_S = 0.1
FORK_ABOVE_BYTES = 1 << 20
"""Encoding less than this takes less time than an election timeout, and not much more than a fork."""


class Node:
    """A node in this process: serves from `start()` (or `with`) until `stop()`.

    Args:
        name: unique in the cluster, and always the same for one data directory.
        listen: "host:port"; port 0 picks a free one.
        data_dir: this node's own directory, created when missing; "fleet-NAME" by default.
        advertise: "host:port" where others reach this node, if not `listen`.
        join: addresses of nodes of a cluster; one that answers is enough, and none is needed after the
            first start.
        found: True: found a cluster, alone; the directory must be empty. False: never. None: found one if
            the directory is empty and neither `join` nor `founders` names another node.
        founders: addresses of the nodes that found a cluster together, the same list on each of them.
        zone: its failure domain; replicas are spread over zones.
        weight: its share of members, relative to other nodes; 0 for none.
        active: False: belong to the cluster, but host no groups until activated.
        purge_after: seconds a node may be unreachable before a majority declares it gone. Takes effect on
            the founder of a cluster.
        executors: child processes that hold the objects of groups and run their code, so that a slow or a
            fatal command costs its own group only. 0: this process does, which is for trusted, fast code.
        executor_memory_max: bytes that one of them may use; 0: three quarters of the host's memory, shared
            among them.
        data_modules: names of modules, with whose data classes, and those of modules below them, processes
            with a role secret of the role `caller` may create groups.
        health: "host:port" where GET of /live and /ready is answered over HTTP; None: nowhere.
        cluster, secret, secret_file: the same on all nodes and clients; see `fleet.secret`. `secret` is a
            `Keyring` from then on.

    Raises:
        ConfigError: an invalid setting (here or from `start`).
        DirectoryInUse, WrongDirectory, NodeDamaged: from `start`, about the data directory; nothing was
            changed.
        UnknownName: from `start`: a host name in `listen` or `founders` cannot be resolved.
        OSError: from `start`: it cannot listen, or cannot start a thread.
    """

    address = ""
    cluster_uid = ""
    """The uid of its cluster in hexadecimal digits; "none" before it belongs to one."""
    has_left = False
    """Whether it was drained and has left its cluster."""
    _system: Any = None
    _store: LmdbStore | None = None
    _manager: Any = None
    _hooks: ThreadRunner | None = None
    _health: NodeHealth | None = None
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
        self._signalled = threading.Event()
        """Set on a signal, and when the node ends by itself."""

    @classmethod
    def from_config(cls, path: str | None = None, **arguments: Any) -> Self:
        """A node with the settings of `fleet.toml`, or of the file at `path`, as `fleet start` finds them.

        `arguments` are those of `Node`; they override the environment, which overrides the file.

        Raises:
            ConfigError: an invalid setting; says where it is.
        """
        own = {key: arguments.pop(key) for key in ("secret", "clock") if key in arguments}
        found = configure(OF_A_NODE, arguments, path, flag_names="")
        unknown = arguments.keys() - found.found.keys()
        if unknown:
            raise ConfigError(f"a node has no setting {min(unknown)!r}")
        check_contradictions(found)
        return cls(**own, **node_arguments(found))

    def start(self) -> Self:
        """Start the node. Returns itself when every member on its disk has been started."""
        if not (Path(self.data_dir) / ENVIRONMENT).exists():
            self._check_founding(is_empty=True)
        self._system = start_system(
            listen=self.listen,
            advertise=self.advertise or self._name_among_founders(),
            cluster=self.cluster,
            secret=self.secret,
            admit=Gates(self.data_modules).admit,
        )
        try:
            self._begin()
        except BaseException:
            self.stop()
            raise
        return self

    def _name_among_founders(self) -> str | None:
        """This node's address as written in the list of founders, by which founders know each other."""
        try:
            return own_name(self.listen, self.founders)
        except OSError as error:
            what = f"cannot tell which of the founders this node is, since a name cannot be resolved: {error}"
            raise UnknownName(what, listen=self.listen, founders=", ".join(self.founders)) from None

    def _check_founding(self, is_empty: bool) -> None:
        """The command that founded a cluster must not found another after its directory was emptied."""
        if self.found and not is_empty:
            raise ConfigError(
                f"{self.data_dir} belongs to a cluster already: start this node without --found (found=True)"
            )
        if self.found is False and is_empty and not (self.join or self.founders):
            raise ConfigError(
                f"{self.data_dir} is empty, and no other node is named: --join host:port of a node of the "
                "cluster, or --founder host:port of each founder, or --found for a cluster of one node"
            )

    def _begin(self) -> None:
        """Open the store and start the actors. The port is bound already."""
        self.address = self._system.base.endpoint
        self._health = NodeHealth(self._system.base, self.name)
        if self.health is not None:
            self._health.serve(self.health)
        try:
            self._store = LmdbStore(self.data_dir, cluster=self.cluster, node=self.name)
        except Damaged as error:
            raise NodeDamaged(error.what, **error.facts) from error
        known = (self._store.get_meta(key) for key in (CLUSTER_KEY, NODES_KEY))
        self._check_founding(not self._store.groups() and all(one is None for one in known))
        self._manager = self._system.createActor(NodeManager, globalName=MANAGER)
        self._hooks = ThreadRunner() if not self.executors else None
        memory_max = self.executor_memory_max or own_share(self.executors)
        start = StartNode(
            name=NodeName(self.name),
            address=self.address,
            zone=self.zone,
            cluster=self.cluster,
            clock=self.clock,
            seed=secrets.randbits(32),
            join=self.join,
            founders=self.founders,
            on_end=self._on_end,
            on_left=self._on_left,
            may_found=self.found is not False,
            active=self.active,
            weight=self.weight,
            purge_after_ms=round(self.purge_after * 1000),
            store=self._store,
            writer=Writer(self._store, self._system.base.after_flush),
            fork_above_bytes=FORK_ABOVE_BYTES,
            executors=self.executors,
            keyring=self.secret,
            open_executor=partial(ProcessChannel, memory_max, FORK_ABOVE_BYTES, self.name),
            hooks=self._hooks,
        )
        self._system.tell(self._manager, start)
        self._health.manager = self._manager
        self.members()
        if self.found:
            self._await_founding()

    def _await_founding(self) -> None:
        """Wait until this node's new cluster is on its disk and `cluster_uid` names it."""
        until = time.monotonic() + START_S
        while self.cluster_uid == uid_text(0):
            if time.monotonic() > until:
                raise Unavailable("the node does not found its cluster; its log says why", node=self.name)
            self._signalled.wait(0.002)
            self.members()

    def _on_end(self, error: FleetError) -> None:
        self._error = error
        self._signalled.set()

    def _on_left(self) -> None:
        self.has_left = True
        self._signalled.set()

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

    def stop(self) -> None:
        """Stop the node. Its members stay on it; acknowledged commands are on disk already. Idempotent.

        A running leader hook gets one second to finish.

        Raises:
            Unavailable: an actor hangs. It is abandoned; the directory stays locked while the process runs.
        """
        if self._system is not None:
            system, self._system = self._system, None
            if self._health is not None:
                self._health.close()
            system.shutdown()
            if system.base.is_running():
                what = "the node does not stop, since one of its actors never returned; its log says where"
                raise Unavailable(what, node=self.name)
        if self._hooks is not None:
            self._hooks.close()
            self._hooks = None
        if self._store is not None:
            self._store.close()
            self._store = None

    def watch_health(self, every_s: float, told: Callable[[tuple[str, ...]], None]) -> None:
        """As `NodeHealth.watch`, of a node that has started."""
        assert self._health is not None
        self._health.watch(every_s, told)

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
            self._signalled.set()

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._serve(numbers, drain_s, on_stop)
        finally:
            for number, handler in before.items():
                if handler is not None:  # it was installed by Python
                    signal.signal(number, handler)

    def _serve(self, numbers: list[int], drain_s: float, on_stop: Callable[[], None]) -> None:
        while not self._signalled.wait(1.0):
            if not self._system.base.is_running():
                raise Unavailable("the node ended by itself; its log says why", node=self.name)
        on_stop()
        if self._error is not None:
            self.stop()
            raise self._error
        if drain_s and numbers and numbers[0] == signal.SIGTERM:
            self.leave(drain_s, lambda: len(numbers) > 1)
        self.stop()

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


def own_share(executors: int) -> int:
    """Bytes for each executor, so that together they leave a quarter of the host's memory."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return host * 3 // 4 // max(1, executors)
