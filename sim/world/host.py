"""A simulated machine: its clock, its disk, and the node on it, put together as a real one."""

import random
import sys
from functools import partial
from typing import Any

from msgspec.structs import replace

from fleet.actors.messages.local import StartNode
from fleet.actors.messages.well_known import MANAGER
from fleet.actors.node.manager import NodeManager
from fleet.errors import Damaged, OtherFormat, StorageFault
from fleet.objects.hooks import InlineRunner
from fleet.raft.ids import NodeName
from fleet.sim.world.disk import TOKEN, DiskStore, SimDisk, SimWriter
from fleet.sim.world.process import Environment, Process, SimHost
from fleet.sim.world.trace import LIFE
from fleet.versions import THIS_BUILD

CLUSTER = "sim"
LAST_TRANSACTIONS = (0, 0, 1, 2, sys.maxsize)
"""How many transactions of the writer's current round still reach the disk when its process dies."""
RESTART_US = 1_000_000
"""After how long a supervisor restarts a node that ended by itself."""


class SimNode(SimHost):
    """`join` and `founders` as in StartNode: endpoints of others."""

    def __init__(self, world: Environment, name: str, zone: str, rate: int = 1000) -> None:
        super().__init__(world, name, rate)
        self.zone = zone
        self.endpoint = f"{name}:7400"
        self.join: tuple[str, ...] = ()
        self.founders: tuple[str, ...] = ()
        self.active = True
        self.weight = 1.0
        self.purge_after_ms = 600_000
        self.disks = 0
        self.disk = SimDisk()
        self.trouble = ""
        """Why its node does not start: its disk has to be replaced."""
        self.has_left = False
        self.executors = 0
        """How many its node has."""
        self.build = replace(THIS_BUILD, release="sim")
        self.restart_us = RESTART_US
        self.is_ending = False
        """A vital actor was ended on purpose: critical log lines about that are expected."""
        self.replace_disk()

    def replace_disk(self) -> None:
        """Give it an empty disk. Only while no process runs."""
        assert not self.is_up
        self.disks += 1
        fresh = f"{self.name}d{self.disks}"
        old = self.disk
        self.disk = SimDisk(
            incarnation=fresh,
            sync_us=old.sync_us,
            us_per_kb=old.us_per_kb,
            inline_bytes_max=old.inline_bytes_max,
        )
        self.trouble = ""

    def start(self) -> bool:
        """Start the node, unless it runs. Returns False when its disk cannot be opened."""
        if self.is_up:
            return True
        world = self.world
        self.lives += 1
        rng = random.Random(world.rng.getrandbits(64))
        try:
            store = DiskStore(self.disk, CLUSTER, self.name, rng, mark=world.mark, build=self.build)
            store.check_own()
        except (Damaged, OtherFormat, StorageFault) as error:
            self.trouble = str(error)
            return False
        self.is_ending = False
        process = self.process = Process(world, self, self.endpoint)
        process.writer = SimWriter(
            store,
            lambda: world.now,
            partial(_later_in, process),
            partial(process.wire.readable, TOKEN),
        )
        store.written = partial(world.written, process)
        world.network.listening[self.endpoint] = process
        world.network.powered.add(self.name)
        world.trace(LIFE, self.name, "starts")
        process.manager = process.kernel.create_primary(NodeManager, name=MANAGER)
        process.caller = process.kernel.instance(process.manager)
        start = StartNode(
            name=NodeName(self.name),
            address=self.endpoint,
            zone=self.zone,
            cluster=CLUSTER,
            clock=self.clock,
            seed=rng.getrandbits(32),
            join=self.join,
            founders=self.founders,
            active=self.active,
            weight=self.weight,
            purge_after_ms=self.purge_after_ms,
            store=store,
            writer=process.writer,
            fork_above_bytes=self.fork_above_bytes,
            fork=process.fork,
            executors=self.executors,
            open_executor=process.open_executor,
            hooks=InlineRunner(),
            build=self.build,
        )
        process.do(partial(process.kernel.send, process.manager, process.kernel.system_address, start))
        return True

    def kill(self, power: bool = False) -> None:
        """kill -9 of the process, or a power loss of the whole machine."""
        process = self.process
        if process is None or not process.is_alive:
            return
        self.world.trace(LIFE, self.name, "loses power" if power else "is killed")
        if power:
            self.world.network.powered.discard(self.name)
        process.die(with_notice=not power)
        if process.writer is not None:
            process.writer.lose(self.world.rng.choice(LAST_TRANSACTIONS))

    def stop(self) -> None:
        """In good order."""
        process = self.process
        if process is not None and process.is_alive:
            self.world.trace(LIFE, self.name, "stops")
            process.resume()
            process.kernel.stop_actors()
            process.turn(is_whole=True)
            process.die(with_notice=True)
            if process.writer is not None:
                process.writer.lose(sys.maxsize)

    def recover(self) -> None:
        """End the faults of the machine."""
        self.busy_until, self.forks_fail, self.code_us, self.imports = 0, 0.0, 0, ""
        self.hangs = self.dies = self.start_us = self.code = 0
        self.disk.recover()
        if self.process is not None:
            self.process.resume()

    def ended(self, process: Process) -> None:
        """A supervisor starts it again."""
        if process.is_alive:
            self.world.trace(LIFE, self.name, "ends by itself")
            process.die(with_notice=True)
            if process.writer is not None:
                process.writer.lose(self.world.rng.choice(LAST_TRANSACTIONS))
            self.world.after(self.restart_us, self.start)

    @property
    def manager(self) -> Any:
        """The node manager's own object, None while it does not run."""
        process = self.process
        if process is None or not process.is_alive or process.manager is None:
            return None
        return process.kernel.instance(process.manager)


def _later_in(process: Process, delay_us: int, action: Any) -> None:
    """The disk continues while its process is paused."""
    process.world.after(delay_us, _disk_step, process, action)


def _disk_step(process: Process, action: Any) -> None:
    if process.is_alive:
        action()
        if process.kernel.queue:
            process.do(_nothing)


def _nothing() -> None:
    pass
