"""Clients of the simulated world: the shipping request machinery in a small actor, and its use."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from thespian.actors import WakeupMessage

from fleet.actors.client.group_session import Call
from fleet.actors.client.requester import Asker
from fleet.actors.client.router import Question
from fleet.actors.messages.operator import GroupOp, NodeOp, OpValue
from fleet.cluster.codec import codec_of
from fleet.errors import CommandFailed, FleetError, ImpureQuery, NotDone, OutcomeUnknown
from fleet.interfaces import Clock
from fleet.objects.declare import Data, command, query
from fleet.objects.payload import decode_result
from fleet.sim.checks import models
from fleet.sim.checks.history import Call as Asked
from fleet.sim.checks.history import History

if TYPE_CHECKING:
    from fleet.sim.world.process import Process
    from fleet.sim.world.world import World

NEXT = "next"
Told = Callable[[Any, FleetError | None], None]


# -- what the groups hold ----------------------------------------------------------------------------
# `spoil` is a command that fails after it changed the object, `taint` a query that changes it: nobody may
# ever see what they did.


ENDINGS = (ValueError, SystemExit, KeyboardInterrupt, GeneratorExit)
"""What commands raise, each as good as the other: they are failures of the command alone."""


class Counter(Data):
    value: int = 0

    @command
    def spoil(self, value: int) -> None:
        self.value += value
        raise ENDINGS[value % len(ENDINGS)](value)

    @query
    def taint(self, value: int) -> None:
        self.value += value

    @command
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @query
    def get(self) -> int:
        return self.value


class Register(Data):
    value: int = 0

    @command
    def spoil(self, value: int) -> None:
        self.value = value
        raise ENDINGS[value % len(ENDINGS)](value)

    @query
    def taint(self, value: int) -> None:
        self.value = value

    @command
    def write(self, value: int) -> None:
        self.value = value

    @command
    def cas(self, old: int, new: int) -> bool:
        if self.value != old:
            return False
        self.value = new
        return True

    @query
    def read(self) -> int:
        return self.value


class Listed(Data):
    values: list[int] = []

    @command
    def spoil(self, value: int) -> None:
        self.values.append(value)
        raise ENDINGS[value % len(ENDINGS)](value)

    @command
    def append(self, value: int) -> None:
        self.values.append(value)

    @query
    def all(self) -> tuple[int, ...]:
        return tuple(self.values)


KINDS: dict[str, type[Data]] = {"counter": Counter, "register": Register, "list": Listed}
MODELS: dict[str, models.Model] = {
    "counter": models.Counter(),
    "register": models.Register(0),
    "list": models.ListAppend(),
}
QUESTIONS: dict[str, tuple[models.Input, str]] = {
    "counter": (models.Get(), "get"),
    "register": (models.Read(), "read"),
    "list": (models.All(), "all"),
}


# -- a client ----------------------------------------------------------------------------------------


class StartClient(Struct, frozen=True):
    clock: Clock
    name: str
    seed: int
    addresses: tuple[str, ...]


class SimClient(Asker):
    """As the client actor of a real process, told what to do by the world in place of threads."""

    process: "Process"

    def on_start(self, m: StartClient, sender: Any) -> None:
        self.on_time: Callable[[], None] = lambda: None
        self.begin(m.clock, m.name, m.seed, m.addresses)

    # From outside, between turns or within one:

    def call(
        self, group: str, method: str, args: tuple[Any, ...], is_query: bool, within_ms: int, told: Told
    ) -> None:
        """`told(value, error)` once, whatever becomes of it."""
        open_calls = [True]

        def finish(call: Call, value: bytes | None, revision: int, error: FleetError | None) -> None:
            if not open_calls:
                return
            open_calls.clear()
            result = None
            if error is None:
                assert value is not None
                try:
                    result = decode_result(value)
                except FleetError as refusal:
                    error = refusal
            told(result, error)

        deadline = self.requests.clock.now_ms() + within_ms
        payload = codec_of(group).encode_call(method, args, {})
        self.requests.submit(Call(group, is_query, payload, deadline, finish))

    def ask(
        self,
        op: NodeOp | GroupOp,
        group: str,
        address: str,
        told: Callable[[OpValue | None, FleetError | None], None],
        within_ms: int = 5000,
    ) -> None:
        deadline = self.requests.clock.now_ms() + within_ms
        self.requests.ask(Question(op, group, address, deadline, told))

    def in_turn(self, action: Callable[[], None]) -> None:
        self.process.do(action)

    def wake_in(self, us: int) -> None:
        self.wakeupAfter(timedelta(microseconds=us), payload=NEXT)

    # What arrives:

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        if m.payload == NEXT:
            self.on_time()
        else:
            super().on_wakeup(m, sender)

    handlers = Asker.handlers | {StartClient: on_start, WakeupMessage: on_wakeup}


# -- load --------------------------------------------------------------------------------------------


class Load:
    """One client that calls now this group, now that one, one call at a time, and writes down what it saw."""

    def __init__(
        self,
        world: "World",
        name: str,
        groups: dict[str, str],
        histories: dict[str, History],
        pause_us: int,
        timeout_ms: int = 4000,
        reads: float = 0.4,
    ) -> None:
        self.world = world
        self.name = name
        self.groups = groups
        self.histories = histories
        self.pause_us = pause_us
        self.timeout_ms = timeout_ms
        self.reads = reads
        self.rng = random.Random(world.rng.getrandbits(64))
        self.spoils = self.rng.choice([0, 0, 0.05, 0.2])
        """How likely a call is one that fails after it changed the object."""
        self.number = 0
        self.done = 0
        self.failed = 0
        self.is_busy = False
        self.is_stopping = False
        self.client = world.add_client(name)
        self.client.on_time = self.next
        self.client.in_turn(self._pause)

    def _pause(self) -> None:
        self.client.wake_in(1 + int(self.rng.random() * 2 * self.pause_us))

    def next(self) -> None:
        if self.is_stopping or not self.groups:
            if not self.is_stopping:
                self._pause()
            return
        group = self.rng.choice(list(self.groups))
        if self.rng.random() < self.spoils:
            self._spoil(group)
            return
        asked, method, args, is_query = self._draw(self.groups[group])
        history = self.histories[group]
        call = history.call(self.name, group, asked, self.world.now)
        self.is_busy = True

        def told(value: Any, error: FleetError | None) -> None:
            self.is_busy = False
            self._note(history, call, is_query, value, error)
            self._pause()

        self.client.call(group, method, args, is_query, self.timeout_ms, told)

    def _spoil(self, group: str) -> None:
        """Its place in the history is nowhere."""
        is_query = self.groups[group] != "list" and self.rng.random() < 0.3
        self.is_busy = True

        def told(value: Any, error: FleetError | None) -> None:
            self.is_busy = False
            expected = ImpureQuery if is_query else CommandFailed
            if not isinstance(error, (expected, NotDone, OutcomeUnknown)):
                self.world.violated(f"{self.name} spoiled {group} and was told {error!r}")
            self._pause()

        method, args = "taint" if is_query else "spoil", (self._unique(),)
        self.client.call(group, method, args, is_query, self.timeout_ms, told)

    def _unique(self) -> int:
        self.number += 1
        return int(self.name[1:]) * 1_000_000 + self.number

    def _draw(self, kind: str) -> tuple[models.Input, str, tuple[Any, ...], bool]:
        rng, unique = self.rng, self._unique()
        if rng.random() < self.reads:
            question, method = QUESTIONS[kind]
            return question, method, (), True
        if kind == "counter":
            n = rng.randint(1, 3)
            return models.Add(n), "add", (n,), False
        if kind == "list":
            return models.Append(unique), "append", (unique,), False
        if rng.random() < 0.3:
            old, new = rng.randint(0, 4), rng.randint(0, 4)
            return models.Cas(old, new), "cas", (old, new), False
        value = rng.choice([unique, rng.randint(0, 4)])
        return models.Write(value), "write", (value,), False

    def _note(
        self, history: History, call: Asked, is_query: bool, value: Any, error: FleetError | None
    ) -> None:
        if error is None:
            self.done += 1
            history.done(call, value, self.world.now)
            return
        self.failed += 1
        if is_query or isinstance(error, NotDone):
            history.failed(call)
        elif isinstance(error, OutcomeUnknown):
            history.lost(call)
        else:
            self.world.violated(f"{self.name} was told {error!r} for {call.input}")
