"""A simulated process (a kernel and its links), and the machine that it runs on."""

from collections.abc import Callable, Sequence
from errno import ENOMEM
from functools import partial
from itertools import count
from typing import Any

from fleet.actors.base.kernel import Kernel
from fleet.interfaces import Write
from fleet.sim.checks.invariants import Observed
from fleet.sim.world.clock import SimClock
from fleet.sim.world.disk import TOKEN, SimWriter
from fleet.sim.world.dump import SimDump
from fleet.sim.world.executor import SimExecutor
from fleet.sim.world.network import Network
from fleet.sim.world.timeline import Timeline
from fleet.sim.world.trace import LIFE
from fleet.sim.world.user_code import runs_in
from fleet.sim.world.wire import End, Wire

MESSAGES_MAX = 500_000
"""More messages in one turn than this count as an endless loop."""
CUT_MESSAGES_MAX = 40
"""The most messages that a busy process handles before it looks for new arrivals."""
CUT_US_MAX = 10_000
"""The longest that this takes, with the other work of the process."""
FILENO_FIRST = 10
DAY_US = 86_400_000_000


class Environment(Timeline):
    """What processes and their hosts use of the world."""

    def __init__(self, seed: int, tracing: bool) -> None:
        super().__init__(seed, tracing)
        self.network = Network(self)

    def after_turn(self, process: "Process") -> None:
        """Called at the end of each turn, cut ones too."""
        raise NotImplementedError

    def written(self, process: "Process", writes: Sequence[Write]) -> None:
        """Called when these are durable on the disk of its host."""
        raise NotImplementedError

    def hook(self, teller: Any, name: str, *told: Any) -> None:
        """A leader hook was called; `teller` is the hooks object."""
        raise NotImplementedError

    def note_code(self, group: str, revision: int, version: int) -> None:
        """As `ExecutorsProcess.note_code`."""
        raise NotImplementedError

    def emitted(self, position: tuple[int, int], kind: str, number: int) -> None:
        """As `fleet.sim.world.user_code.Host.emitted`."""
        raise NotImplementedError


class SimHost:
    """A machine with a clock. Clients live on one without a disk."""

    def __init__(self, world: Environment, name: str, rate: int = 1000) -> None:
        self.world = world
        self.name = name
        self.lives = 0
        self.process: Process | None = None
        rng = world.rng
        self.busy_until = 0
        """Until then its turns end after any message."""
        self.forks_fail = 0.0
        """How likely a fork fails, and how likely its child is killed."""
        self.dump_us = (200, 2_000)
        """How long a child takes to encode a state."""
        self.code_us = 0
        """How long users' code takes at most, each time it runs."""
        self.hangs = self.dies = 0
        """So many of the next calls of users' methods never return, or end their executors."""
        self.start_us = 0
        """How much longer than usual an executor takes to start."""
        self.fork_above_bytes = 0
        self.imports = ""
        """What importing a user's class does, one of `user_code.IMPORTS`."""
        self.code = 0
        """Which code of users' classes new executors load, as `user_code.deployed_code` has it."""
        up_us = rng.randrange(DAY_US)
        wall_us = 20_000 * DAY_US + rng.randrange(1_000_000)
        self.clock = SimClock(world, up_us, wall_us - up_us, rate)

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.is_alive

    def ended(self, process: "Process") -> None:
        """That process of it asked to end."""


class Process:
    """One life: after a restart its host has another process, with another boot id."""

    def __init__(self, world: Environment, host: SimHost, endpoint: str) -> None:
        self.world = world
        self.host = host
        self.clock: SimClock = host.clock
        self.endpoint = endpoint
        self.boot = world.rng.getrandbits(62) + 1
        self.wire = Wire(world.network, self)
        self.kernel = Kernel(self.wire, self.boot, endpoint)
        self.writer: SimWriter | None = None
        self.manager: Any = None
        """The address of its node manager; None for a client."""
        self.caller: Any = None
        """The actor that calls groups: the client, or the node manager, also after it has exited."""
        self.is_alive = True
        self.is_paused = False
        self.is_occupied = False
        """Its last turn still takes time."""
        self.is_in_turn = False
        self.is_amid = False
        """A turn was cut; it goes on soon, with what has arrived meanwhile at the end of its queue."""
        self.dumps: dict[int, SimDump] = {}
        """Snapshots that children of it encode, by descriptor."""
        self.executors: dict[int, SimExecutor] = {}
        """By descriptor."""
        self.backlog: list[Callable[[], None]] = []
        self.wakes_at: int | None = None
        self.armed_for = 0.0
        """By its own clock."""
        self.observed = Observed()

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def is_held(self) -> bool:
        return self.is_paused or self.is_occupied

    @property
    def ahead_us(self) -> int:
        return max(0, self.clock.turn_until - self.world.now)

    def do(self, action: Callable[[], None]) -> None:
        """Handle an arrival with everything that follows from it, in no time but that of users' code. A busy
        process handles a part of it."""
        if self.is_held:
            self.backlog.append(action)
        elif self.is_alive:
            action()
            self.turn()

    def receive(self, end: End, frames: bytes) -> None:
        """`do` for frames, the most frequent arrivals."""
        if self.is_paused or self.is_occupied:
            self.backlog.append(partial(self.world.network.deliver, end, frames))
        elif self.is_alive:
            self.world.network.deliver(end, frames)
            self.turn()

    def turn(self, is_whole: bool = False) -> None:
        assert not self.is_in_turn, "a turn within a turn"
        self.is_in_turn = True
        self._take_turn(is_whole)
        self.is_in_turn = False

    def _take_turn(self, is_whole: bool) -> None:
        kernel, clock = self.kernel, self.clock
        runs_in(self)
        if not is_whole and (self.is_amid or self.host.busy_until > self.world.now):
            if not self.is_amid:
                self._part_of_a_turn()
            return
        turns = 0
        while kernel.run(clock.seconds()) or self.wire.look():
            turns += 1
            if turns > MESSAGES_MAX // 1000:
                self.world.violated(f"{self.name} never comes to the end of a turn")
        self._end_turn()

    def _part_of_a_turn(self) -> None:
        """Like a loop whose slice of time is over: messages for others leave, and new arrivals enter the
        queue before the turn continues."""
        random = self.world.rng.random
        self.wire.look()
        budget = 1 + int(random() ** 4 * CUT_MESSAGES_MAX)
        if self.kernel.run(self.clock.seconds(), budget) or self.wire.look():
            self.is_amid = True
            self.world.mark("a turn is cut in the middle of its queue")
            self.world.after(1 + int(random() ** 3 * CUT_US_MAX), self._go_on)
        self._end_turn()

    def _go_on(self) -> None:
        self.is_amid = False
        self.do(_nothing)

    def _end_turn(self) -> None:
        runs_in(None)
        self.wire.flush()
        if self.clock.turn_until > self.world.now:
            self.is_occupied = True
            self.world.at(self.clock.turn_until, self._turn_is_over)
        self.world.after_turn(self)
        self._arm()

    def _turn_is_over(self) -> None:
        if self.is_alive:
            self.is_occupied = False
            self._catch_up()

    # -- users' code -------------------------------------------------------------------------------

    def spend(self) -> None:
        if self.host.code_us:
            self.world.mark("users' code takes its time")
            taken_us = 1 + int(self.world.rng.random() * self.host.code_us)
            self.clock.turn_until = self.clock.now_us + taken_us

    def hang(self) -> None:
        """Users' code never returns. Without executors it raises: the node would be lost."""

    @property
    def imports(self) -> str:
        return self.host.imports

    @property
    def code(self) -> int:
        return 0

    def note_code(self, group: str, revision: int, version: int) -> None:
        self.world.note_code(group, revision, version)

    def hook(self, teller: Any, name: str, *told: Any) -> None:
        self.world.hook(teller, name, *told)

    def emitted(self, position: tuple[int, int], kind: str, number: int) -> None:
        self.world.emitted(position, kind, number)

    # -- time --------------------------------------------------------------------------------------

    def _arm(self) -> None:
        timer = self.kernel.next_timer()
        if timer is None or (timer == self.armed_for and self.wakes_at is not None):
            return
        self.armed_for = timer
        at = max(self.world.now, self.clock.when(timer))
        if self.wakes_at is None or at < self.wakes_at:
            self.wakes_at = at
            self.world.at(at, self._wake, at)

    def _wake(self, at: int) -> None:
        if at == self.wakes_at and self.is_alive:
            self.wakes_at = None
            self.do(_nothing)

    def clock_moved(self) -> None:
        """Compute again when timers are due."""
        self.wakes_at = None
        self._arm()

    def is_readable(self, fileno: int) -> bool:
        if fileno in self.executors:
            return self.executors[fileno].is_readable
        if fileno != TOKEN:
            return fileno in self.dumps and self.dumps[fileno].is_over
        assert self.writer is not None
        return self.writer.is_readable

    def fork(self, dump: Callable[[], bytes]) -> SimDump:
        """As `ForkedDump`. Raises OSError."""
        world = self.world
        child = SimDump.forked(dump, self._free_fileno(), self.dumps, self.host.forks_fail, world)
        least, most = self.host.dump_us
        world.after(least + int(world.rng.random() * (most - least)), self._child_ends, child)
        return child

    def _free_fileno(self) -> int:
        taken = (self.dumps, self.executors)
        return next(number for number in count(FILENO_FIRST) if not any(number in one for one in taken))

    def open_executor(self) -> SimExecutor:
        """As `ProcessChannel`. Raises OSError."""
        if self.host.forks_fail and self.world.rng.random() < self.host.forks_fail:
            self.world.mark("an executor cannot be started")
            raise OSError(ENOMEM, "the simulated machine has no memory for another process")
        fileno = self._free_fileno()
        executor = self.executors[fileno] = SimExecutor(self, fileno)
        return executor

    def readable(self, fileno: int) -> None:
        """An executor has answered, or ended."""
        self.wire.readable(fileno)
        if self.kernel.queue:
            self.do(_nothing)

    def _child_ends(self, child: SimDump) -> None:
        child.is_over = True
        if self.is_alive and self.dumps.get(child.fileno()) is child:
            self.wire.readable(child.fileno())
            if self.kernel.queue:
                self.do(_nothing)

    def ends(self) -> None:
        """An actor asked for the end of the system."""
        self.world.after(0, self.host.ended, self)

    def pause(self) -> None:
        self.is_paused = True
        self.world.trace(LIFE, self.name, "stands still")

    def resume(self) -> None:
        if not self.is_paused:
            return
        self.is_paused = False
        self.world.trace(LIFE, self.name, "goes on")
        self._catch_up()

    def _catch_up(self) -> None:
        """Handle everything that arrived meanwhile in one turn."""
        if self.is_held:
            return
        missed, self.backlog = self.backlog, []
        if self.is_alive:
            for action in missed:
                action()
            self.wakes_at = None
            self.turn()

    def die(self, with_notice: bool) -> None:
        if not self.is_alive:
            return
        self.is_alive = False
        for executor in list(self.executors.values()):
            executor.end()
        self.clock.turn_until = 0
        self.backlog.clear()
        self._forget_calls()
        network = self.world.network
        if network.listening.get(self.endpoint) is self:
            del network.listening[self.endpoint]
        network.died(self, with_notice)

    def _forget_calls(self) -> None:
        """Calls under way refer to their actors in circles that the garbage collector does not see."""
        router = getattr(self.caller, "router", None)
        if router is not None:
            router.sessions.clear()


def _nothing() -> None:
    pass
