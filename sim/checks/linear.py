"""Is a history linearizable? Wing and Gong's search with Lowe's memory, and a counter-example in words.

A history is linearizable if its operations can be put into one order in which each answers what the model
answers, and which keeps every pair in order of which one returned before the other was called. An operation
of unknown outcome may have its place at any time after its call, or none. The search for such an order is
in `linear_search.py`.

Deciding this is NP-complete in general, so the search has a budget, in steps of the model. A register's
operation takes about ten, 10,000 of ten clients less than a second (`python -m tests.benchmarks
histories`). Hard are long queues with unknown outcomes, and stores that are scanned under many of them:
their states are large, and little tells early that an order is wrong. It holds no clock: hand in
`expired` to stop by time.

Sources: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993); Lowe, "Testing for
Linearizability" (2017); Herlihy and Wing, "Linearizability" (1990).
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fleet.sim.checks.history import UNKNOWN, Operation
from fleet.sim.checks.linear_search import Budget, Exhausted, Search, Stuck
from fleet.sim.checks.models import Model

STEPS_MAX = 5_000_000
FIRST_STEPS_EACH = 32
"""For each operation of a part, in the first search of it: enough where the orders are few."""
GROWTH = 8
SHOWN_MAX = 8


class Linearizable(Struct, frozen=True):
    """`orders`: for every part of the history one order that explains it."""

    orders: dict[Hashable, list[Operation]]

    def __str__(self) -> str:
        return f"linearizable: {sum(map(len, self.orders.values()))} operations placed"


class Undecided(Struct, frozen=True):
    """The budget was used up before all of `key` was looked at. It proves nothing, but an order that came as
    far as others cannot pass is where to look first.
    """

    key: Hashable
    steps: int
    whole_count: int
    furthest: Stuck

    def __str__(self) -> str:
        lines = [
            f"undecided: {self.key!r} was given up after {self.steps} steps; the furthest order placed "
            f"{len(self.furthest.placed)} of {self.whole_count} operations, then the state was "
            f"{self.furthest.state!r}, and none of these could follow:",
            *(f"    {operation}" for operation in self.furthest.waiting),
        ]
        return "\n".join(lines)


class Violation(Struct, frozen=True):
    """No order explains `prefix`: the operations of `key` called until a certain return, the first for which
    that is so. Outcomes that came later are unknown in it.
    """

    key: Hashable
    prefix: list[Operation]
    whole_count: int
    stuck: Stuck
    model: Model

    def __str__(self) -> str:
        placed, state = self.stuck.placed, self.stuck.state
        shown = placed[-SHOWN_MAX:]
        last_of = f"the last {len(shown)} of {len(placed)} placed" if len(placed) > len(shown) else "placed"
        lines = [
            f"not linearizable: {self.model.noun} {self.key!r}, the first {len(self.prefix)} of "
            f"{self.whole_count} operations",
            *([f"{last_of}, in this order:"] if shown else ["nothing could be placed"]),
            *(f"    {operation}" for operation in shown),
            f"then the {self.model.noun} is {state!r}, and none of these can follow:",
        ]
        for operation in self.stuck.waiting:
            output, _ = self.model.apply(state, operation.input)
            if not self.model.agrees(operation.output, output):
                lines.append(f"    {operation}, but would have been told {output!r}")
        taken = set(map(id, placed))
        unused = [op for op in self.prefix if not op.is_known and id(op) not in taken]
        if unused:
            lines.append(f"nor does any of {len(unused)} unknown outcomes help, among them:")
            lines.extend(f"    {operation}" for operation in unused[-SHOWN_MAX:])
        return "\n".join(lines)


Verdict: TypeAlias = Linearizable | Violation | Undecided


def check(
    history: Iterable[Operation],
    model: Model,
    steps_max: int = STEPS_MAX,
    expired: Callable[[], bool] | None = None,
) -> Verdict:
    """Leave out what definitely failed before; the order of `history` does not matter.

    `steps_max` is for each part (see Model.parts); `expired` is asked every now and then. A violation in one
    part is told even if another is undecided.

    Each part is searched with few steps first, and what is left again from the start with GROWTH times as
    many, so that an easy violation need not wait until a hard part has used all of its steps. A part costs
    at most 2.2 times the steps of a single search; paused searches would cost nothing, but 170 MB for each
    million steps.
    """
    parts = model.parts(history)
    left, orders, undecided = dict(parts), dict[Hashable, list[Operation]](), dict[Hashable, Undecided]()
    steps_each = FIRST_STEPS_EACH
    while left:
        for key, operations in list(left.items()):
            share = steps_each * len(operations) if len(left) > 1 else steps_max
            budget = Budget(min(share, steps_max), expired)
            search = Search(operations, model, budget)
            try:
                found = search.run()
            except Exhausted:
                if not (budget.is_expired or budget.steps_max == steps_max):
                    continue
                undecided[key] = Undecided(key, budget.steps, len(operations), search.furthest())
            else:
                if isinstance(found, Stuck):
                    budget.steps_max = steps_max
                    prefix, stuck = shortest(operations, model, budget, found)
                    return Violation(key, prefix, len(operations), stuck, model)
                orders[key] = found
            del left[key]
        steps_each *= GROWTH
    first = next((undecided[key] for key in parts if key in undecided), None)
    return first or Linearizable({key: orders[key] for key in parts})


def shortest(
    operations: list[Operation], model: Model, budget: Budget, stuck: Stuck
) -> tuple[list[Operation], Stuck]:
    """The shortest prefix that no order explains, of a history that none does.

    Where the search of the whole was stuck is a lower bound, and nearly always the answer: a prefix knows
    less of its last operations, so that it may take a few returns more until nothing explains it.
    """
    returns = sorted(op.return_at for op in operations if op.is_known and op.return_at is not None)
    least = min(op.return_at for op in stuck.waiting if op.return_at is not None)
    low, high = bisect_right(returns, least) - 1, len(returns) - 1
    best = operations, stuck
    middle = low
    while low <= high:
        prefix = until(operations, returns[middle])
        try:
            found = Search(prefix, model, budget).run()
        except Exhausted:
            break  # a longer counter-example than need be is still one
        if isinstance(found, Stuck):
            best, high = (prefix, found), middle - 1
        else:
            low = middle + 1
        middle = (low + high) // 2
    return best


def until(operations: Iterable[Operation], end: int) -> list[Operation]:
    """What an observer knows at `end`."""
    return [
        op if op.return_at is None or op.return_at <= end else replace(op, return_at=None, output=UNKNOWN)
        for op in operations
        if op.call_at <= end
    ]
