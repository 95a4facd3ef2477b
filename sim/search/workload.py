"""The load on a simulated fleet: clients that call, and write down what they saw."""

import random
from typing import Any

from fleet.errors import CommandFailed, FleetError, ImpureQuery, NotDone, OutcomeUnknown
from fleet.sim.checks import models
from fleet.sim.checks.history import History, RecordedCall
from fleet.sim.world.world import World

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


TOGETHER = (1, 1, 1, 1, 1, 1, 1, 2, 3, 6)
"""How many calls a client makes in one turn: its commands among them travel as one entry of the log."""


class Load:
    """One client that calls now this group, now that one, and writes down what it saw. It goes on when all
    its calls have ended."""

    def __init__(
        self,
        world: World,
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
        self.open = 0
        """Calls under way."""
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
        self.open = self.rng.choice(TOGETHER)
        for _ in range(self.open):
            if self.rng.random() < self.spoils:
                self._spoil(group)
            else:
                self._call(group)

    @property
    def is_busy(self) -> bool:
        return self.open > 0

    def _ended(self) -> None:
        self.open -= 1
        if not self.open:
            self._pause()

    def _call(self, group: str) -> None:
        asked, method, args, is_query = self._draw(self.groups[group])
        history = self.histories[group]
        call = history.call(self.name, group, asked, self.world.now)

        def told(value: Any, error: FleetError | None) -> None:
            self._note(history, call, is_query, value, error)
            self._ended()

        self.client.call(group, method, args, is_query, self.timeout_ms, told)

    def _spoil(self, group: str) -> None:
        """Its place in the history is nowhere."""
        is_query = self.groups[group] != "list" and self.rng.random() < 0.3

        def told(value: Any, error: FleetError | None) -> None:
            expected = ImpureQuery if is_query else CommandFailed
            if not isinstance(error, (expected, NotDone, OutcomeUnknown)):
                self.world.violated(f"{self.name} spoiled {group} and was told {error!r}")
            self._ended()

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
        self, history: History, call: RecordedCall, is_query: bool, value: Any, error: FleetError | None
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
