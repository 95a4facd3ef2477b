"""One seed of `check`: a script of calls, run as a member runs them, and the result of each step."""

import random
from typing import Any

from msgspec import Struct

from fleet.errors import NotEncodable
from fleet.interfaces import Context, MemberMustHalt
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_call, encode_call
from fleet.testing.arguments import Drawer
from fleet.testing.canonical import canonical
from fleet.testing.histories import answer_of

STEPS = 20
WALL_MS = 1_700_000_000_000


class Step(Struct, frozen=True):
    """What one call showed, as text."""

    call: str
    answer: str
    state: str

    def __str__(self) -> str:
        return f"{self.call} -> {self.answer}"


class Script:
    """The calls of a seed: the same in every process."""

    def __init__(self, cls: type[Any], drawer: Drawer, seed: int) -> None:
        self.cls = cls
        self.seed = seed
        rng = random.Random(f"fleet.testing/{seed}")
        self.calls: list[tuple[bool, bytes, Context]] = []
        now_ms = WALL_MS + rng.randrange(10**9)
        for index in range(1, STEPS + 1):
            is_query = bool(drawer.queries) and (not drawer.commands or rng.random() < 0.3)
            methods = drawer.queries if is_query else drawer.commands
            name = rng.choice(list(methods))
            now_ms += rng.choice([0, 1, 1000, 86_400_000])
            context = Context(index, now_ms, 1, index, "check")
            self.calls.append((is_query, encode_call(name, methods[name](rng), {}), context))

    def run(self) -> list[Step]:
        """As far as it goes: a state that cannot be encoded ends it."""
        executor = ObjectExecutor(self.cls)
        steps: list[Step] = []
        for number in range(len(self.calls)):
            try:
                steps.append(self.step(executor, number))
            except NotEncodable:
                break
        return steps

    def step(self, executor: ObjectExecutor, number: int) -> Step:
        is_query, payload, context = self.calls[number]
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
        return Step(self.called(number), _in_words(answer_of(record)), canonical(executor._state()))

    def called(self, number: int) -> str:
        method, args, kwargs = decode_call(self.calls[number][1])
        shown = [canonical(arg) for arg in args]
        shown += [f"{name}={canonical(arg)}" for name, arg in kwargs.items()]
        return f"{method}({', '.join(shown)})"


def _in_words(answer: tuple[Any, ...]) -> str:
    kind, *facts = answer
    return canonical(facts[0]) if kind == "value" else f"{kind} {', '.join(map(canonical, facts))}"
