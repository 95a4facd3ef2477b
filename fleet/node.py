"""One node in this process: its store, its actor system and its node manager."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from fleet.actors.base.base import start_system
from fleet.actors.executor.channel import ProcessChannel
from fleet.actors.executor.hook_threads import ThreadRunner
from fleet.actors.messages.well_known import MANAGER
from fleet.actors.node.gate import Gates
from fleet.actors.node.manager import NodeManager
from fleet.actors.node.records import FLEET_BASE, STOCK_BASE
from fleet.any_node import AnyNode
from fleet.config.effective import check_contradictions, configure, node_arguments
from fleet.config.settings import OF_A_NODE
from fleet.errors import ConfigError, Unavailable
from fleet.health import NodeHealth
from fleet.storage import LmdbStore, Writer

FORK_ABOVE_BYTES = 1 << 20
"""Encoding less than this takes less time than an election timeout, and not much more than a fork."""


class Node(AnyNode):
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

    _store: LmdbStore | None = None
    _hooks: ThreadRunner | None = None
    _health: NodeHealth | None = None

    @classmethod
    def from_config(cls, path: str | None = None, **arguments: Any) -> AnyNode:
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
        kind = cls if found["base"] == FLEET_BASE else node_class(found["base"])
        return kind(**own, **node_arguments(found))

    def start(self) -> Self:
        """Start the node. Returns itself when every member on its disk has been started."""
        self._check_founding_if_new()
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

    def _begin(self) -> None:
        """Open the store and start the actors. The port is bound already."""
        self.address = self._system.base.endpoint
        self._health = NodeHealth(self._system.base, self.name)
        if self.health is not None:
            self._health.serve(self.health)
        self._store = self._open_store(FLEET_BASE)
        self._manager = self._system.createActor(NodeManager, globalName=MANAGER)
        self._hooks = ThreadRunner() if not self.executors else None
        memory_max = self.executor_memory_max or own_share(self.executors)
        start = self._start_message(
            address=self.address,
            on_end=self._on_end,
            on_left=self._on_left,
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
        self._await_start()

    def _is_running(self) -> bool:
        return bool(self._system.base.is_running())

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


def node_class(base: str) -> type[AnyNode]:
    """The class of nodes on this base."""
    if base == STOCK_BASE:
        from fleet.stock.node import StockNode  # it would make `import fleet` slower for everybody

        return StockNode
    return Node


def own_share(executors: int) -> int:
    """Bytes for each executor, so that together they leave a quarter of the host's memory."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return host * 3 // 4 // max(1, executors)
