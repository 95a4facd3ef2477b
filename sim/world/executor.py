"""`fleet.actors.executor.channel` in virtual time: objects that take their time, hang, or end the process."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from fleet.actors.executor.channel import ExecutorEnded
from fleet.actors.executor.hosted_objects import HostedObjects
from fleet.actors.messages.executor import FromExecutor, ObjectMessage
from fleet.interfaces import Dump
from fleet.objects.context import QUERYING, RUNNING
from fleet.objects.hooks import InlineRunner
from fleet.objects.progress import CELLS, TAKEN, Doing, read
from fleet.sim.world.dump import SimDump
from fleet.sim.world.timeline import Timeline
from fleet.sim.world.user_code import runs_in

HOP_US = (20, 200)
START_US = (5_000, 400_000)


class ExecutorsHost(Protocol):
    """The machine that it runs on."""

    forks_fail: float
    fork_above_bytes: int
    dump_us: tuple[int, int]
    code_us: int
    imports: str
    code: int
    start_us: int
    hangs: int
    """So many of the next calls of users' methods never return."""
    dies: int
    """So many end their executors."""


class ExecutorsProcess(Protocol):
    """The node's process."""

    @property
    def world(self) -> Timeline: ...

    @property
    def host(self) -> ExecutorsHost: ...

    @property
    def executors(self) -> "dict[int, SimExecutor]": ...

    is_alive: bool

    def readable(self, fileno: int) -> None:
        """That descriptor can be read now."""

    def hook(self, teller: Any, name: str, *told: Any) -> None: ...

    def note_code(self, group: str, revision: int, version: int) -> None:
        """The command of that revision is executed by that version of its class."""

    def emitted(self, position: tuple[int, int], kind: str, number: int) -> None: ...


class SimExecutor:
    """A `fleet.actors.executor.channel.Channel`, and the process at its other end."""

    def __init__(self, process: ExecutorsProcess, fileno: int) -> None:
        self.process = process
        self.world = process.world
        self.code = process.host.code
        self.cells = [0] * CELLS
        self.objects = HostedObjects(
            self._answer,
            self._fork,
            cells=self.cells,
            fork_above_bytes=process.host.fork_above_bytes,
            hooks=InlineRunner(),
            now=lambda: 0.0,
        )
        self.shown = [0] * CELLS
        """The cells as the node reads them: what is done takes until `busy_until`."""
        self.sent = 0
        self._fileno = fileno
        self._gathered: list[ObjectMessage] = []
        self._inbox: deque[ObjectMessage] = deque()
        self._answers: list[FromExecutor] = []
        """Of the message that is handled."""
        self._arrived: list[FromExecutor] = []
        self._takes_at = self._arrives_at = 0
        self._spent_us = 0
        self._effects: list[tuple[Any, ...]] = []
        """That hooks are told of, when the time that was spent until then is over."""
        self._stopped_at: int | None = None
        """How many answers were given when users' code hung or ended the process."""
        self._ends_with = ""
        """Why the process ends now; "": it does not."""
        self._children: dict[int, SimDump] = {}
        self.is_busy = True
        self.why = ""
        """How it ended."""
        self.world.after(process.host.start_us + self._draw(START_US), self._started)

    # -- the node's end ------------------------------------------------------------------------------

    def send(self, message: ObjectMessage) -> None:
        self.sent += 1
        self._gathered.append(message)

    def flush(self) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            self._takes_at = max(self._takes_at, self.world.now + self._draw(HOP_US))
            self.world.at(self._takes_at, self._take, gathered)

    def fileno(self) -> int:
        return self._fileno

    @property
    def is_readable(self) -> bool:
        return bool(self._arrived or self.why)

    def receive(self) -> list[FromExecutor]:
        arrived, self._arrived = self._arrived, []
        if not arrived and self.why:
            raise ExecutorEnded(self.why)
        return arrived

    def doing(self) -> Doing:
        return read(self.shown)

    def finish(self) -> None:
        """What hooks are told while a node stops is not judged."""

    def end(self, patience_s: float = 0.0) -> None:
        """By its node, in whose turn nothing may be reported to it."""
        self._is_over("it was ended")
        self.process.executors.pop(self._fileno, None)

    @property
    def has_stopped(self) -> bool:
        """Users' code hung in it, or ends it: what its objects did since did not happen."""
        return self._stopped_at is not None

    # -- the executor's end --------------------------------------------------------------------------

    def _started(self) -> None:
        self.is_busy = False
        self._work()

    def _take(self, messages: list[ObjectMessage]) -> None:
        if not self.why:
            self._inbox.extend(messages)
            self._work()

    def _work(self) -> None:
        while self._inbox and not self.is_busy and not self.why:
            self.cells[TAKEN] += 1
            self.shown[TAKEN] += 1
            self._do(partial(self.objects.handle, self._inbox.popleft()))

    def _do(self, action: Callable[[], None]) -> None:
        """Handle something; its answers leave when the time that users' code takes is over."""
        self._spent_us = 0
        runs_in(self)
        try:
            action()
        finally:
            runs_in(None)
        answers, self._answers = self._answers, []
        if self._stopped_at is not None:  # for good: it is ended, sooner or later
            self.is_busy = True
            self._note_effects()
            self._send(answers[: self._stopped_at])
            if self._ends_with:
                self.world.after(self._spent_us, self.die, self._ends_with)
        elif self._spent_us:
            self.is_busy = True
            self.world.after(self._spent_us, self._done, answers)
        else:
            self._send(answers)

    def _send(self, answers: list[FromExecutor]) -> None:
        self._arrives_at = max(self._arrives_at, self.world.now + self._draw(HOP_US))
        self.world.at(self._arrives_at, self._arrive, answers)

    def _done(self, answers: list[FromExecutor]) -> None:
        if self.why:
            return
        self.is_busy = False
        self.shown[:] = self.cells
        self._note_effects()
        self._send(answers)
        self._work()

    def _arrive(self, answers: list[FromExecutor]) -> None:
        if answers and not self.why and self.process.is_alive:
            self._arrived += answers
            self.process.readable(self._fileno)

    def _answer(self, answer: FromExecutor) -> None:
        self._answers.append(answer)

    def die(self, why: str) -> None:
        """Idempotent. What has left it arrives."""
        if not self.why:
            self._is_over(why)
            if self.process.is_alive:
                self.process.readable(self._fileno)

    def _is_over(self, why: str) -> None:
        self.why = self.why or why
        self._inbox.clear()
        for child in list(self._children.values()):
            child.cancel()

    def _draw(self, range_us: tuple[int, int]) -> int:
        least, most = range_us
        return least + int(self.world.rng.random() * (most - least))

    # -- users' code ---------------------------------------------------------------------------------

    def spend(self) -> None:
        """It takes its time, hangs, or ends the process. What it does after that did not happen."""
        host = self.process.host
        if self._stopped_at is not None:
            return
        self._note_code()
        if host.hangs:
            host.hangs -= 1
            self.hang()
        elif host.dies:
            host.dies -= 1
            self.world.mark("a command ends its executor")
            self._stop("it was ended by SIGSEGV")
        elif host.code_us:
            self.world.mark("users' code takes its time")
            self._spent_us += 1 + int(self.world.rng.random() * host.code_us)
            self.shown[:] = self.cells

    def _note_code(self) -> None:
        """Which version of its class executes the command at hand."""
        hosted, context = self.objects.objects.get(read(self.cells).number), RUNNING.context
        if hosted is not None and context not in (None, QUERYING):
            group = f"{hosted.group} {hosted.applier.sessions.salt}"
            version = getattr(hosted.executor, "data_class").__fleet_version__
            self.process.note_code(group, context.revision, version)

    def hang(self) -> None:
        self.world.mark("users' code never returns")
        self._stop("")

    def _stop(self, why: str) -> None:
        if self._stopped_at is None:
            self._stopped_at, self._ends_with = len(self._answers), why
            self.shown[:] = self.cells

    @property
    def imports(self) -> str:
        return self.process.host.imports

    def hook(self, teller: Any, name: str, *told: Any) -> None:
        if self._stopped_at is not None:
            return
        if name == "effect" and self._spent_us:  # the process may be ended before that
            self._effects.append((teller, name, *told))
        else:
            self.process.hook(teller, name, *told)

    def _note_effects(self) -> None:
        effects, self._effects = self._effects, []
        for one in effects:
            self.process.hook(*one)

    def emitted(self, position: tuple[int, int], kind: str, number: int) -> None:
        if self._stopped_at is None:
            self.process.emitted(position, kind, number)

    # -- children ------------------------------------------------------------------------------------

    def _fork(self, dump: Callable[[], bytes]) -> Dump:
        """As `ForkedDump`. Raises OSError."""
        fileno = 1 + max(self._children, default=0)
        child = SimDump.forked(dump, fileno, self._children, self.process.host.forks_fail, self.world)
        self.world.after(self._draw(self.process.host.dump_us), self._child_ends, child)
        return child

    def _child_ends(self, child: SimDump) -> None:
        child.is_over = True
        if self._children.get(child.fileno()) is not child or self.why:
            return
        if self.is_busy:  # it looks when it has time again
            self.world.after(1_000, self._child_ends, child)
        else:
            self._do(partial(self.objects.on_dumped, child.fileno()))
            self._work()
