"""The simulated world: many nodes in one thread, on virtual time, all chance seeded.

The actors and the kernel are the shipping ones; time, links and disks are the world's. Nothing here reads
a real clock or an unseeded source of chance, so one seed is one history, byte for byte.
"""

import heapq
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fleet.interfaces import Write
from fleet.sim.checks.codes import Codes
from fleet.sim.checks.events import EmittedEvents
from fleet.sim.checks.hooks import HookJournal
from fleet.sim.checks.invariants import Invariants
from fleet.sim.world.client import SimClient, StartClient
from fleet.sim.world.host import SimNode
from fleet.sim.world.process import Environment, Process, SimHost
from fleet.sim.world.timeline import MS
from fleet.sim.world.trace import lines


class World(Environment):
    """Time is in microseconds. `tracing`: keep every message, fault and commit as an event."""

    def __init__(self, seed: int = 0, tracing: bool = False) -> None:
        super().__init__(seed, tracing)
        self.nodes: dict[str, SimNode] = {}
        self.clients: dict[str, SimClient] = {}
        self.invariants = Invariants(self)
        self.hooks = HookJournal(self)
        self.codes = Codes(self)
        self.emissions = EmittedEvents(self)
        self.alarms: list[str] = []
        self.accused = ""
        """What a judge found wrong in the middle of a turn, where actors log what is raised."""
        self.may_conflict = False
        """Older copies of disks were put back: what one has committed another may have lost."""
        self.turns = 0
        self.turns_max = sys.maxsize
        """A world that takes more than these does not end."""

    # -- time --------------------------------------------------------------------------------------

    def run(self, duration: int, until: Callable[[], bool] | None = None, every: int = 20 * MS) -> bool:
        """Let time pass; True as soon as `until` holds, which is asked `every` so often."""
        end = self.now + duration
        ask_at = self.now
        heap, pop = self._heap, heapq.heappop
        with self._listening():
            while until is None and heap and heap[0][0] <= end:
                self.now, _, action, args = pop(heap)
                action(*args)
                if self.alarms:
                    self.violated("an actor failed: " + self.alarms[0])
            while True:
                at = heap[0][0] if heap else end + 1
                if until is not None and (at > ask_at or at > end):
                    self.now = max(self.now, min(ask_at, end))
                    if until():
                        return True
                    if self.now >= end:
                        return False
                    ask_at = min(self.now + every, end)
                elif at > end:
                    self.now = end
                    return True
                else:
                    when, _, action, args = pop(heap)
                    self.now = when
                    action(*args)
                if self.alarms:
                    self.violated("an actor failed: " + self.alarms[0])

    # -- who there is ------------------------------------------------------------------------------

    def add_node(self, name: str, zone: str = "z", rate: int = 1000) -> SimNode:
        node = self.nodes[name] = SimNode(self, name, zone, rate)
        self.network.places[node.endpoint] = name
        return node

    def add_client(self, name: str) -> SimClient:
        """A client's process, started at once; it knows every node there is now."""
        host = SimHost(self, name)
        self.network.powered.add(name)
        process = host.process = Process(self, host, "")
        addresses = tuple(node.endpoint for node in self.nodes.values())
        start = StartClient(host.clock, f"{name}/{self.seed:x}", self.rng.getrandbits(32), addresses)
        where = process.kernel.create_primary(SimClient)
        process.do(lambda: process.kernel.send(where, process.kernel.system_address, start))
        client = process.kernel.instance(where)
        assert isinstance(client, SimClient)
        client.in_turn, client.process = process.do, process
        process.caller = client
        self.clients[name] = client
        return client

    def close(self) -> None:
        """It is used no more: let go of what only refers to itself."""
        hosts = [
            *self.nodes.values(),
            *(client.process for client in self.clients.values()),
        ]
        for host in hosts:
            process = host.process if isinstance(host, SimNode) else host
            if process is not None:
                process.die(with_notice=False)

    def members(self) -> Iterator[tuple[SimNode, Any]]:
        """Every member that runs: its node and the actor's object."""
        for node in self.nodes.values():
            manager = node.manager
            if manager is None or not manager.is_serving:
                continue
            kernel = manager._myRef.kernel
            for hosted in manager.hosted_members.by_number.values():
                if hosted.address is not None:
                    member = kernel.instance(hosted.address)
                    if member is not None and hasattr(member, "core"):
                        yield node, member

    def members_of(self, group: str) -> list[Any]:
        return [member for _, member in self.members() if member.spec.name == group]

    # -- watching ----------------------------------------------------------------------------------

    def after_turn(self, process: Process) -> None:
        self.turns += 1
        if self.turns > self.turns_max:
            self.violated(f"no end after {self.turns_max} turns")
        if process.kernel.handler_failures:
            self.violated(f"a handler raised at {process.name}: {' / '.join(self.alarms)}")
        if self.accused:
            self.violated(self.accused)
        if process.manager is not None:
            self.invariants.look_at(process)

    def accuse(self, sentence: str) -> None:
        self.accused = self.accused or sentence

    def written(self, process: Process, writes: Sequence[Write]) -> None:
        if self.events is not None:
            self.events.written(self.now, process.name, process.observed.homes, writes)
        self.invariants.written(process, writes)

    def note_code(self, group: str, revision: int, version: int) -> None:
        self.codes.note(group, revision, version)

    def emitted(self, position: tuple[int, int], kind: str, number: int) -> None:
        self.emissions.note(position, kind, number)

    def hook(self, teller: Any, name: str, *told: Any) -> None:
        self.hooks.note(teller, name, told)

    @property
    def lines(self) -> list[str]:
        """The trace; two runs of one seed have the same."""
        return [] if self.events is None else lines(self.events.finished())

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """What actors log as critical is a bug that was met; the rest is kept with the trace."""
        log = logging.getLogger("fleet")
        ear = _Ear(self)
        before = log.level, log.propagate
        log.setLevel(logging.INFO if self.events is not None else logging.ERROR)
        log.propagate = False
        log.addHandler(ear)
        try:
            yield
        finally:
            log.removeHandler(ear)
            log.level, log.propagate = before
            log.setLevel(before[0])


class _Ear(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if record.levelno >= logging.CRITICAL or "raised" in str(record.msg):
            ending = (node.name for node in self.world.nodes.values() if node.is_ending)
            if not any(f"node={name} " in said for name in ending):
                self.world.alarms.append(self.format(record))
        if "committed data conflicts" in said and not self.world.may_conflict:
            self.world.alarms.append(said)
        self.world.trace("log", say=said)
