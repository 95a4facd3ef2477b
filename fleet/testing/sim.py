"""A whole fleet in one thread, on virtual time: the shipping code on simulated links, disks and clocks."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

from fleet.actors.client.calls import ClientCall, bound_of
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import ConfigError, FleetError, NoSuchGroup, OutcomeUnknown, WouldDeadlock
from fleet.objects.class_refs import encode_class
from fleet.objects.context import strict
from fleet.objects.group_handle import bind
from fleet.objects.handles import AtRevision, CallOptions, Kind
from fleet.objects.outcomes import CallOutcome, Succeeded, Unsettled
from fleet.objects.replies import Reply
from fleet.objects.type_arguments import class_of
from fleet.objects.watch import Since
from fleet.raft.config import GroupConfig
from fleet.raft.ids import node_of
from fleet.sim.checks.appliers import applier_of
from fleet.sim.search.workload import since_of
from fleet.sim.world.client import SimClient
from fleet.sim.world.timeline import MS, S
from fleet.sim.world.world import World
from fleet.testing.faults import Faults
from fleet.testing.histories import Calls
from fleet.testing.stage import Stage, seconds
from fleet.testing.watches import SimSource, SimWatch

D = TypeVar("D")
TIMEOUT_S: Final = 10.0
PATIENCE_US: Final = 120 * S
"""How long, in virtual time, a request may take without faults."""


class Sim(Stage):
    """`Sim(seed=7, nodes=3)` is a founded cluster with nodes n1, n2, n3 and one client.

    Time passes only while `run` is called or a call waits for its answer. A failure of the fleet itself (a
    failed actor, two leaders, a lost command) raises `Broken`, with the seed. The same seed and the same
    calls give the same run, whatever PYTHONHASHSEED is.
    """

    def __init__(
        self,
        seed: int = 0,
        nodes: int = 3,
        *,
        zones: int = 0,
        faults: Faults = Faults(),
        tracing: bool = False,
        executors: int = 0,
        strict: bool = True,
    ) -> None:
        """`zones`: over how many the nodes are dealt out; 0: each has one of its own. `executors`: of each
        node, as `fleet start --executors`; 0: objects live with their members. `strict`: whether commands
        that read time, chance, the environment, files or sockets fail with ImpureCommand.
        """
        if nodes < 1:
            raise ConfigError(f"nodes must be at least 1, not {nodes}")
        self.seed = seed
        self.faults = faults
        self.is_strict = strict
        self.timeout = TIMEOUT_S
        self.world = World(seed, tracing)
        self.rng = random.Random(f"{seed}/faults")
        self.groups: dict[str, type[Any]] = {}
        self.told: list[str] = []
        """The faults so far, each with its time."""
        self._is_running = False
        self._calls: dict[str, Calls] = {}
        self._clients: dict[str, SimClient] = {}
        self._found(nodes, zones or nodes, executors)

    def _found(self, count: int, zones: int, executors: int) -> None:
        for number in range(1, count + 1):
            zone = f"z{(number - 1) % zones + 1}"
            self.world.add_node(f"n{number}", zone).executors = executors
        first, *others = self.nodes.values()
        for node in others:
            node.join = (first.endpoint,)
        for node in self.nodes.values():
            node.start()
        self.client = self._client("c1")
        self._until(lambda: self._nodes_known() == count, "the nodes did not become one cluster")

    def _nodes_known(self) -> int:
        managers = [node.manager for node in self.nodes.values()]
        return min((len(m.view.nodes) if m is not None and hasattr(m, "nodes") else 0) for m in managers)

    def __repr__(self) -> str:
        return f"Sim(seed={self.seed}, nodes={len(self.nodes)}) at {self.now:.3f} s"

    # -- groups and calls --------------------------------------------------------------------------

    def group(
        self,
        name: str,
        cls: type[D],
        *,
        replicas: int = 3,
        config: GroupConfig = GroupConfig(),
        persist: bool = True,
        client: str = "c1",
    ) -> D:
        """A handle as from `Fleet.group`; a missing group is created, as by `Fleet.create_group`.

        Calls block in virtual time; `.submit` returns a future, which completes during `run`. `client`: the
        name of the calling client; each has a session of its own.
        """
        caller = _Caller(self, self._client(client), client)
        if name not in self.groups:
            args = (name, replicas, encode_class(class_of(cls)), config, (), (), not persist)
            self._ask_cluster("add_group", args)
            self.groups[name] = class_of(cls)
            self._calls[name] = Calls(name, class_of(cls))
            self._until(lambda: self.leader(name) is not None, f"group {name} is not served")
        return bind(cls, name, caller)

    def _client(self, name: str) -> SimClient:
        if name not in self._clients:
            self._clients[name] = self.world.add_client(name)
        return self._clients[name]

    def _ask_cluster(self, method: str, args: tuple[Any, ...]) -> None:
        told: list[FleetError | None] = []

        def finish(value: Any, error: FleetError | None) -> None:
            told.append(error)

        def ask() -> None:
            self.client.call(CLUSTER_GROUP, method, args, False, 30_000, finish)

        self.client.in_turn(ask)
        self._until(lambda: bool(told), f"the cluster does not answer {method}")
        if told[0] is not None:
            raise told[0]

    # -- time --------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.world.now / S

    def run(
        self, duration: str | float, until: Callable[[], bool] | None = None, every: str | float = 0.02
    ) -> bool:
        """Let time pass: "30s", "500ms", "2min", or seconds. Returns True as soon as `until` holds, which is
        checked at intervals of `every`."""
        return self._advance(round(seconds(duration) * S), until, max(1, round(seconds(every) * S)))

    def _advance(self, us: int, until: Callable[[], bool] | None, every: int = 20 * MS) -> bool:
        if self._is_running:
            raise WouldDeadlock("time is passing already: this was called from inside the simulated fleet")
        self._is_running = True
        try:
            with strict(self.is_strict):
                return self.world.run(us, until, every)
        finally:
            self._is_running = False

    def _until(self, holds: Callable[[], bool], otherwise: str) -> None:
        self.world.need(self._advance(PATIENCE_US, holds), otherwise)

    # -- faults --------------------------------------------------------------------------------------

    def maybe_fault(self) -> str | None:
        """Let `faults` draw a fault, or none."""
        what = self.faults.strike(self, self.rng)
        if what is not None:
            self.told.append(f"{self.now:.3f} {what}")
        return what

    # -- questions ---------------------------------------------------------------------------------

    def leader(self, group: str) -> str | None:
        """The node that leads in the highest term, as far as any running member knows."""
        if group not in self.groups and group != CLUSTER_GROUP:
            raise NoSuchGroup(f"there is no group {group!r} in this simulation")
        leading = [member.core for member in self.world.members_of(group) if member.core.is_leader]
        return node_of(max(leading, key=lambda core: int(core.term)).id) if leading else None

    def states_equal(self, group: str) -> bool:
        """Wait until all running members have applied the same entries, at most two virtual minutes; returns
        whether their states are then equal, byte for byte."""

        def is_even() -> bool:
            members = self.world.members_of(group)
            return len({m.object.index for m in members}) == 1 and self.leader(group) is not None

        self._until(is_even, f"the members of {group} do not come to the same index")
        return len(set(map(dumped, self.world.members_of(group)))) == 1

    def linearizable(self, group: str) -> bool:
        """Whether one order of all calls so far explains every answer; if not, `explain` says why. The class
        itself is the model, so it may not use `fleet.ctx`. Raises NotDecided if the search takes too long."""
        return self.explain(group) is None

    def explain(self, group: str) -> str | None:
        """Why the calls of a group are not linearizable; None when they are. Raises NotDecided."""
        if group not in self._calls:
            raise NoSuchGroup(f"there is no group {group!r} in this simulation")
        with strict(self.is_strict):
            return self._calls[group].violation()

    def calls(self, group: str) -> Calls:
        return self._calls[group]


class _Caller:
    """What a handle needs of a client (`fleet.objects.handles.Caller`)."""

    def __init__(self, sim: Sim, client: SimClient, name: str) -> None:
        self.sim, self.client, self.name = sim, client, name

    def submit(self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions) -> Reply[Any]:
        sim, router = self.sim, self.client.router
        bound, now = bound_of(options), sim.world.now
        since = since_of(bound, now) if bound is not None else None
        reply: _Noted = _Noted(sim, sim.calls(group).begins(self.name, kind, method, payload, now, since))
        reply._read = options.read
        timeout_ms = round((options.timeout or sim.timeout) * 1000)
        deadline = router.clock.now_ms() + timeout_ms
        call = ClientCall(group, kind == "query", payload, deadline, reply, bound)
        self.client.in_turn(lambda: router.submit(call))
        return reply

    def submit_aio(
        self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions
    ) -> Awaitable[Any]:
        reply = self.submit(group, kind, method, payload, options)
        return _revised(reply) if options.with_revision else asyncio.wrap_future(reply)

    def watch(self, group: str, since: Since = None, kinds: Iterable[str] | None = None) -> SimWatch:
        sim = self.sim
        source = SimSource(self.client, group, sim.timeout)
        return SimWatch(source, since, kinds, lambda s, until: sim._advance(round(s * S), until, every=MS))

    def wait(self, reply: Reply[Any], options: CallOptions) -> bytes:
        within = round((options.timeout or self.sim.timeout) * S) + 5 * S
        self.sim._advance(within, reply.done, every=MS)
        if not reply.done():
            raise OutcomeUnknown("the simulated client does not answer")
        return reply.raw(0)


async def _revised(reply: Reply[Any]) -> AtRevision[Any]:
    return AtRevision(await asyncio.wrap_future(reply), reply.revision)


class _Noted(Reply[Any]):
    """A reply that writes the outcome into the history, and whose `error.again` lets virtual time pass."""

    def __init__(self, sim: Sim, note: Callable[[bytes | None, FleetError | None, int], None]) -> None:
        super().__init__()
        self.sim = sim
        self.note = note

    def settle(self, outcome: CallOutcome) -> None:
        if isinstance(outcome, Succeeded):
            self.note(outcome.value, None, self.sim.world.now)
        else:
            self.note(None, outcome.error, self.sim.world.now)
        super().settle(outcome)
        if isinstance(outcome, Unsettled):
            outcome.error._again = partial(self._wait_again, outcome.error)

    def _wait_again(self, unknown: OutcomeUnknown, timeout: float | None = None) -> Any:
        self.sim._advance(round((timeout or TIMEOUT_S) * S), self.later.done, every=MS)
        if not self.later.done():
            raise unknown
        return self.later.result(0)


def dumped(member: Any) -> bytes | None:
    """The state of its object, None while that is not open."""
    applier = applier_of(member)
    return applier.executor.dump() if applier is not None else None
