"""One seed of `check`: a script of calls, run as a member runs them, and the result of each step."""

import random
from functools import cached_property
from typing import Any

from msgspec import Struct

from fleet.errors import CommandFailed, ImpureCommand, NotDecodable, NotEncodable, QueryFailed, Reject
from fleet.interfaces import Context, MemberMustHalt
from fleet.objects.context import QUERYING, executing
from fleet.objects.declare import shape_of
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_value
from fleet.objects.strict import as_executed
from fleet.raft.group_events import GroupEvent
from fleet.testing.arguments import Args, Drawer, Kwargs
from fleet.testing.canonical import canonical
from fleet.testing.encoding import culprit
from fleet.testing.histories import answer_of

STEPS = 20
WALL_MS = 1_700_000_000_000


class Step(Struct, frozen=True):
    """What one call showed, as text."""

    call: str
    answer: str
    state: str
    fault: str = ""
    """What is wrong with it, whatever other processes say."""
    impure: str = ""
    """What it read, in words."""

    def __str__(self) -> str:
        return f"{self.call} -> {self.answer}"


class Script:
    """The calls of a seed: the same in every process."""

    def __init__(self, cls: type[Any], drawer: Drawer, seed: int) -> None:
        self.cls = cls
        self.seed = seed
        rng = random.Random(f"fleet.testing/{seed}")
        self.start: bytes | None = None
        """The state to begin with; None: a new object."""
        self.before: list[Step] = []
        """What led there."""
        self.drawn: list[tuple[bool, str, Args, Kwargs, Context]] = []
        now_ms = WALL_MS + rng.randrange(10**9)
        for index in range(1, STEPS + 1):
            is_query = bool(drawer.queries) and (not drawer.commands or rng.random() < 0.3)
            methods = drawer.queries if is_query else drawer.commands
            name = rng.choice(list(methods))
            now_ms += rng.choice([0, 1, 1000, 86_400_000])
            context = Context(index, now_ms, 1, index, "check")
            self.drawn.append((is_query, name, *methods[name](rng), context))

    @property
    def classes(self) -> list[type[Any]]:
        return [self.cls]

    @property
    def again(self) -> str:
        return f"seed {self.seed}; again: check({self.cls.__name__}, seeds=[{self.seed}])"

    @cached_property
    def calls(self) -> list[tuple[bool, bytes, Context]]:
        encode = self.cls.__fleet_codec__.encode_call
        return [(is_query, encode(*call), context) for is_query, *call, context in self.drawn]

    def rehearse(self) -> None:
        """Find what is wrong before its first call, and leave `start`."""

    def run(self) -> list[Step]:
        """As far as it goes: a state that cannot be encoded ends it."""
        return self.run_on(ObjectExecutor(self.cls))

    def run_on(self, executor: ObjectExecutor) -> list[Step]:
        steps: list[Step] = []
        for number in range(len(self.calls)):
            try:
                steps.append(self.step(executor, number))
            except NotEncodable:
                break
        return steps

    def step(self, executor: ObjectExecutor, number: int) -> Step:
        is_query, payload, context = self.calls[number]
        try:
            impure = call_due(executor, context)
        except MemberMustHalt as halt:
            return Step(self.called(number), f"halts the member in a reminder: {halt.what}", "")
        if impure:
            return Step(self.called(number), "", "", impure, impure)
        before = executor.dump()
        if is_query:
            (record,), _ = executor.query((payload,))
        else:
            try:
                (record,), is_clean = executor.apply(context, (payload,))
            except MemberMustHalt as halt:
                return Step(self.called(number), f"halts the member: {halt.what}", "")
            if not is_clean:
                executor.load(before)
        answer = answer_of(record)
        impure = answer[-1] if answer[0] == ImpureCommand.__name__ else ""
        fault = impure or self._fault(answer, before, number)
        told, state = in_words(answer), canonical(executor._state())
        if not is_query:
            told += "".join(map(_emitted, executor.take_events()))
        return Step(self.called(number), told, state, fault, impure)

    def _fault(self, answer: tuple[Any, ...], before: bytes, number: int) -> str:
        """What is wrong with the answer by itself."""
        kind, *facts = answer
        if kind == NotDecodable.__name__:
            return f"{self.called(number)}: {facts[-1]}"
        is_lost = kind == CommandFailed.__name__ and facts[0] == NotEncodable.__name__
        if is_lost or kind == QueryFailed.__name__:
            part = self._unencodable(before, number)
            return part and f"{self.called(number)}: its result cannot be encoded: {part}"
        return ""

    def _unencodable(self, before: bytes, number: int) -> str:
        """Call it once more, on an object of its own, for the result that no record holds; "" if it has
        none."""
        is_query, payload, context = self.calls[number]
        method, args, kwargs = self.cls.__fleet_codec__.decode_call(payload)
        shape = shape_of(self.cls)
        function = shape.queries[method] if is_query else as_executed(self.cls, shape.commands[method])
        instance = ObjectExecutor(self.cls).copy_from(before)
        try:
            with executing(QUERYING if is_query else context):
                value = function(instance, *args, **kwargs)
        except Reject as refusal:
            return culprit(refusal.value, "the value of Reject")
        except Exception:  # its own, which is an answer like others
            return ""
        return culprit(value, "the result")

    def called(self, number: int) -> str:
        method, args, kwargs = self.cls.__fleet_codec__.decode_call(self.calls[number][1])
        shown = [canonical(arg) for arg in args]
        shown += [f"{name}={canonical(arg)}" for name, arg in kwargs.items()]
        return f"{method}({', '.join(shown)})"


def _emitted(event: GroupEvent) -> str:
    return f", emits {event.kind} {canonical(decode_value(event.value))}"


def call_due(executor: ObjectExecutor, context: Context) -> str:
    """Call the reminders that are due by then, as the log does. Returns what one of them read that differs
    from member to member; "": none did."""
    newest, place = executor.reminders.newest, 0
    while (reminder := executor.reminders.take_due(context.now_ms, newest)) is not None:
        before = executor.dump()
        due = Context(context.revision, context.now_ms, 0, place, "")
        (record,), is_clean = executor.apply(due, (reminder.payload,), is_due=True)
        executor.take_events()
        if not is_clean:
            executor.load(before)
        answer = answer_of(record)
        if answer[0] == ImpureCommand.__name__:
            return str(answer[-1])
        place += 1
    return ""


def in_words(answer: tuple[Any, ...]) -> str:
    kind, *facts = answer
    return canonical(facts[0]) if kind == "value" else f"{kind} {', '.join(map(canonical, facts))}"
