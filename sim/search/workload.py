"""The load on a simulated fleet: clients that call, and write down what they saw."""

import random
from typing import Any

from msgspec import UNSET

from fleet.actors.messages.client import ReadBound
from fleet.errors import (
    CommandFailed,
    DeadlineExceededBeforeSend,
    FleetError,
    ImpureQuery,
    KeyReused,
    KeysFull,
    NoSuchGroup,
    NotDone,
    OutcomeUnknown,
    Overloaded,
    QueryFailed,
    SessionExpired,
    TooStale,
)
from fleet.sim.checks import models
from fleet.sim.checks.answers import OperatorHistory
from fleet.sim.checks.history import History, RecordedCall
from fleet.sim.checks.keys import Keys, KeyUse
from fleet.sim.world.objects import ENCODED
from fleet.sim.world.timeline import MS, S
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
# marks
TOLD: dict[type, str] = {
    SessionExpired: "a client is told that its session expired",
    OutcomeUnknown: "a client does not learn the outcome of a command",
    Overloaded: "a client is told that too much is under way",
    NoSuchGroup: "a client is told that there is no such group",
    DeadlineExceededBeforeSend: "a call is never sent, since its time is over",
    TooStale: "a client is told that no state is as new as it asks for",
}
# end of marks


RECENT_KEYS = 8
"""So many keys that were used last are used again."""


class Groups:
    """The groups that are there as far as operators were told, and what clients saw of each.

    A group that was removed and a later one of its name are two, with a history each. Where an operator
    does not learn what became of a request, that name is called no more.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.kinds: dict[str, str] = {}
        self.histories: dict[str, History] = {}
        self.keys: dict[str, Keys] = {}
        """What was called under keys, by group."""
        self.former: list[tuple[str, str, History]] = []
        """Name, kind and history of groups that were removed."""
        self.operators = OperatorHistory()
        self.requests: dict[str, int] = {}
        """By name, how many requests to add or remove it there were."""
        self.adds: dict[str, int] = {}
        """By name, how many to add it."""
        self.unsure: set[str] = set()
        self.open: dict[str, int] = {}
        """By name, calls under way."""
        self.quiet_until = 0
        """Nobody calls any group before this."""
        self.watched = ""
        """The group whose commands emit events; "": there is none."""

    def add(self, name: str, kind: str) -> None:
        self.kinds[name] = kind
        self.histories[name] = History()
        self.keys[name] = Keys()

    def drop(self, name: str) -> None:
        kind = self.kinds.pop(name, None)
        if kind is not None:
            self.former.append((name, kind, self.histories.pop(name)))

    def all(self) -> list[tuple[str, str, History]]:
        return [*self.former, *((name, kind, self.histories[name]) for name, kind in self.kinds.items())]

    # -- operators ---------------------------------------------------------------------------------

    def asks(self, method: str, args: tuple[Any, ...]) -> Any:
        name = args[0]
        if method in ("add_group", "remove_group"):
            self.requests[name] = self.requests.get(name, 0) + 1
            self.adds[name] = self.adds.get(name, 0) + (method == "add_group")
        if method == "remove_group":
            self.drop(name)
        kind = KIND_OF[args[2]] if method == "add_group" else ""
        return self.operators.asks(method, args, self.world.now), method, name, kind, self.requests.get(name)

    def answered(self, call: Any, error: FleetError | None) -> None:
        recorded, method, name, kind, request = call
        self.operators.answered(recorded, error, self.world.now)
        if method not in ("add_group", "remove_group"):
            return
        if isinstance(error, OutcomeUnknown):
            self.unsure.add(name)
            self.drop(name)
        is_newest = request == self.requests[name] and name not in self.unsure
        if error is None and method == "add_group" and is_newest and not self.open.get(name):
            if any(former == name for former, _, _ in self.former):
                self.world.mark("a group is called whose name another one had")
            self.add(name, kind)


def has_executors(world: World) -> bool:
    """Whether all nodes have, so that a command that never returns is one on each of them."""
    return all(node.executors for node in world.nodes.values())


def since_of(bound: ReadBound, now: int) -> int:
    """The earliest time whose state a query may be told that is asked now."""
    return max(0, now - bound.max_age_ms * MS) if bound.max_age_ms >= 0 else 0


KIND_OF = {encoded: kind for kind, encoded in ENCODED.items()}


TOGETHER = (1, 1, 1, 1, 1, 1, 1, 2, 3, 6)
"""How many calls a client makes in one turn: its commands among them travel as one entry of the log."""


class Load:
    """One client that calls now this group, now that one, and writes down what it saw. It goes on when all
    its calls have ended."""

    def __init__(
        self,
        world: World,
        name: str,
        groups: Groups,
        pause_us: int,
        timeout_ms: int = 4000,
        reads: float = 0.4,
        keyed: float = 0.0,
    ) -> None:
        """`keyed`: how likely a call is a command with a key."""
        self.world = world
        self.name = name
        self.groups = groups
        self.pause_us = pause_us
        self.timeout_ms = timeout_ms
        self.reads = reads
        self.keyed = keyed
        self.rng = random.Random(world.rng.getrandbits(64))
        self.spoils = self.rng.choice([0, 0, 0.05, 0.2])
        """How likely a call is one that fails after it changed the object."""
        self.rests = self.rng.choice([0, 0, 0, 0.02])
        """How likely it then calls nothing for so long that its sessions may expire."""
        self.hangs = self.rng.choice([0, 0, 0, 0.005]) if has_executors(world) else 0.0
        """How likely a call is one that never returns."""
        self.lulls = self.rng.choice([0, 0, 0.01])
        """How likely it then makes all clients quiet, so that groups sleep."""
        self.stale = self.rng.choice([0, 0.1, 0.5])
        """How likely a query is one that any member may answer."""
        self.number = 0
        self.done = 0
        self.failed = 0
        self.open = 0
        """Calls under way."""
        self.is_stopping = False
        self.client = world.add_client(name)
        self.client.on_time = self.next
        self.client.in_turn(self._pause)

    @property
    def is_busy(self) -> bool:
        return self.open > 0

    def _pause(self) -> None:
        if self.lulls and self.rng.random() < self.lulls:
            self.groups.quiet_until = self.world.now + self.rng.randint(2 * S, 6 * S)
        if self.groups.quiet_until > self.world.now:
            self.client.wake_in(self.groups.quiet_until - self.world.now + self.rng.randint(1, S))
        elif self.rests and self.rng.random() < self.rests:
            self.client.wake_in(self.rng.randint(2 * S, 6 * S))
        else:
            self.client.wake_in(1 + int(self.rng.random() * 2 * self.pause_us))

    def next(self) -> None:
        if self.is_stopping:
            return
        if not self.groups.kinds:
            self._pause()
            return
        group = self.rng.choice(list(self.groups.kinds))
        for _ in range(self.rng.choice(TOGETHER)):
            if self.rng.random() < self.spoils:
                self._spoil(group)
            elif self.hangs and self.rng.random() < self.hangs:
                self._fail_at(group, "hang", False)
            elif self.keyed and self.rng.random() < self.keyed:
                self.call_keyed(group)
            else:
                self.call(group)

    def _begin(self, group: str) -> None:
        self.open += 1
        self.groups.open[group] = self.groups.open.get(group, 0) + 1

    def _end(self, group: str, error: FleetError | None) -> None:
        if error is not None and type(error) in TOLD:
            self.world.mark(TOLD[type(error)])
        self.groups.open[group] -= 1
        self.open -= 1
        if not self.open:
            self._pause()

    def call(self, group: str) -> None:
        asked, method, args, is_query = self._draw(group)
        history, now = self.groups.histories[group], self.world.now
        bound = self._draw_bound(history) if is_query and self.rng.random() < self.stale else None
        since = since_of(bound, now) if bound is not None else None
        call = history.call(self.name, group, asked, now, since)
        seen, newest = history.revisions.seen(self.name), history.revisions.newest
        least = max(seen, bound.at_least) if bound is not None else seen
        adds = self.groups.adds.get(group)
        self._begin(group)

        def told(value: Any, error: FleetError | None) -> None:
            if is_query and self.groups.adds.get(group) != adds:  # perhaps a later group of that name answers
                self._end(group, error)
                return
            if error is None:
                self._judge(history, is_query, least, value)
                if is_query and self.client.told_revision < newest:
                    self.world.mark("a query is answered with an old state")
            self._note(history, call, is_query, value, error)
            self._end(group, error)

        self.client.call(group, method, args, is_query, self.timeout_ms, told, bound)

    def _draw_bound(self, history: History) -> ReadBound:
        """How old the state may be, and sometimes a revision that somebody was told of."""
        max_age_ms = self.rng.choice([0, 100, 400, 400, 1500, -1])
        return ReadBound(max_age_ms, self.rng.choice([0, 0, history.revisions.newest]))

    def _judge(self, history: History, is_query: bool, least: int, value: Any) -> None:
        revision, known = self.client.told_revision, history.revisions
        objection = known.objection(least, revision, value) if is_query else ""
        if objection:  # not here: the client's actor would take it for a reply that is none
            self.world.after(0, self.world.violated, f"{self.name}: {objection}")
        known.told(self.name, revision)

    # -- keys --------------------------------------------------------------------------------------

    def call_keyed(self, group: str) -> None:
        """Under a new key, or again under one that some client has used."""
        keys, now = self.groups.keys[group], self.world.now
        if keys.uses and self.rng.random() < 0.6:
            use = self.rng.choice(keys.uses[-RECENT_KEYS:])
        else:
            is_query = True
            while is_query:
                asked, method, args, is_query = self._draw(group)
            call = self.groups.histories[group].call(self.name, group, asked, now)
            use = keys.begin(f"{self.name}/{self.number}", method, args, call)
        history = self.groups.histories[group]
        use.under_way += 1
        self._begin(group)

        def told(value: Any, error: FleetError | None) -> None:
            self._note_keyed(history, use, value, error)
            if keys.end(use):
                history.failed(use.call)
            self._end(group, error)

        self.client.call(group, use.method, use.args, False, self.timeout_ms, told, key=use.key)

    def _note_keyed(self, history: History, use: KeyUse, value: Any, error: FleetError | None) -> None:
        is_skipped = isinstance(error, CommandFailed) and error.error == "Skipped"
        if error is not None and not is_skipped:
            self.failed += not isinstance(error, SessionExpired)
            use.is_unsure |= isinstance(error, OutcomeUnknown)
            if isinstance(error, KeysFull):
                self.world.mark("a command with a new key is refused, since too many are kept")
            if isinstance(error, KeyReused) or not isinstance(error, NotDone | OutcomeUnknown):
                self.world.violated(f"{self.name} was told {error!r} for key {use.key}")
            return
        answer, revision = "skipped" if is_skipped else value, self.client.told_revision
        if use.told is not UNSET:
            self.world.mark("a command with a key is told what came of an earlier one")
        objection = use.objection(answer, revision)
        if objection:  # as in `_judge`
            self.world.after(0, self.world.violated, objection)
        elif use.told is UNSET:
            use.told = answer, revision
            if is_skipped:
                history.failed(use.call)
            else:
                self.done += 1
                history.done(use.call, value, self.world.now)
        history.revisions.told(self.name, revision)

    def call_all(self) -> None:
        """Each group once."""
        for group in list(self.groups.kinds):
            self.call(group)

    def _spoil(self, group: str) -> None:
        """Its place in the history is nowhere."""
        is_query = self.groups.kinds[group] != "list" and self.rng.random() < 0.3
        self._fail_at(group, "taint" if is_query else "spoil", is_query)

    def _fail_at(self, group: str, method: str, is_query: bool) -> None:
        self._begin(group)

        def told(value: Any, error: FleetError | None) -> None:
            expected = ImpureQuery if is_query else CommandFailed
            if not isinstance(error, (expected, NotDone, OutcomeUnknown, QueryFailed)):
                self.world.violated(f"{self.name} called {method} of {group} and was told {error!r}")
            self._end(group, error)

        args: tuple[Any, ...] = (self._unique(),)
        if method == "spoil" and group == self.groups.watched:
            args *= 2
        self.client.call(group, method, args, is_query, self.timeout_ms, told)

    def _unique(self) -> int:
        self.number += 1
        return int(self.name[1:]) * 1_000_000 + self.number

    def _draw(self, group: str) -> tuple[models.Input, str, tuple[Any, ...], bool]:
        rng, kind, unique = self.rng, self.groups.kinds[group], self._unique()
        events = (unique,) if group == self.groups.watched else ()
        if rng.random() < self.reads:
            question, method = QUESTIONS[kind]
            return question, method, (), True
        if kind == "counter":
            n = rng.randint(1, 3)
            return models.Add(n), "add", (n, *events), False
        if kind == "list":
            return models.Append(unique), "append", (unique, *events), False
        if rng.random() < 0.3:
            old, new = rng.randint(0, 4), rng.randint(0, 4)
            return models.Cas(old, new), "cas", (old, new, *events), False
        value = rng.choice([unique, rng.randint(0, 4)])
        return models.Write(value), "write", (value, *events), False

    def _note(
        self, history: History, call: RecordedCall, is_query: bool, value: Any, error: FleetError | None
    ) -> None:
        if error is None:
            self.done += 1
            history.done(call, value, self.world.now)
            return
        self.failed += not isinstance(error, SessionExpired)
        is_skipped = isinstance(error, CommandFailed) and error.error == "Skipped"
        if is_query or is_skipped or isinstance(error, NotDone):
            history.failed(call)
        elif isinstance(error, OutcomeUnknown):
            history.lost(call)
        else:
            self.world.violated(f"{self.name} was told {error!r} for {call.input}")
