"""The search for an order of a history's operations that a model explains.

It places operations one by one. Only an operation called before the earliest return that is not placed yet
may come next; those stand at the head of a linked list of calls and returns, from which a placed operation
is lifted and to which it is put back when the search turns. What was tried is remembered as (operations
placed, state), so that the many orders that lead to the same point are followed once.

An operation of unknown outcome has a call and no return: it may be placed at any time after its call, and
need not be. It is placed only directly before one that needs it (just in time), and only if it changes
the state. Of two ways to the same point, the one that used fewer of the unknown is at least as good; so a
point is not followed again with more of them. Of equal unknown operations the one called first is used first.

Sources: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993); Lowe, "Testing for
Linearizability" (2017).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from fleet.sim.checks.history import UNKNOWN, Operation
from fleet.sim.checks.models import Model

Next: TypeAlias = tuple[int, Any, int, tuple[int, ...]]
"""A step of the search: operation, state after it, unknown operations used by then, and those used for it."""


class Way(Struct, frozen=True, gc=False):
    """What was placed up to a point, last first, so that keeping it costs nothing."""

    before: "Way | None"
    number: int
    helpers: tuple[int, ...]


class Stuck(Struct, frozen=True):
    """The furthest that any order came: what it placed, the state then, and what was to follow. Some of that
    may be possible by itself, and yet lead nowhere.
    """

    placed: list[Operation]
    state: Any
    waiting: list[Operation]


class Exhausted(Exception):
    """The budget is used up."""


class Budget:
    """How much may be looked at, and how much was."""

    def __init__(self, steps_max: int, expired: Callable[[], bool] | None) -> None:
        self.steps_max = steps_max
        self.steps = 0
        self.asked_at = 0
        self.expired = expired
        self.is_expired = False

    def check(self) -> None:
        if self.steps > self.steps_max:
            raise Exhausted
        if self.expired is not None and self.steps - self.asked_at > 1000:
            self.asked_at = self.steps
            if self.expired():
                self.is_expired = True
                raise Exhausted


class Search:
    """One part of a history, and the point which the search has reached in it.

    The linked list holds places 1 .. last for the calls and returns of the known operations in order of
    time; 0 is its head and last + 1 its end. The known operations are numbered by call. All below `low` are
    placed, and so are those whose bit (counted from `low`) is set in `window`: few bits, whatever the
    length of the history. `used` has a bit for every unknown operation.
    """

    def __init__(self, operations: Sequence[Operation], model: Model, budget: Budget) -> None:
        self.model = model.knowing(operations)
        self.budget = budget
        by_call = sorted(operations, key=lambda op: op.call_at)
        self.known = [op for op in by_call if op.is_known]
        self.unknown = [op for op in by_call if not op.is_known and not model.reads(op.input, UNKNOWN)]
        self.unknown_calls = [op.call_at for op in self.unknown]
        self.twins = twins(self.unknown)
        self.reads = [model.reads(op.input, op.output) for op in self.known]
        self._link()
        self._sort_unknown()
        self.low = self.window = self.used = 0
        self.state: Any = model.start
        self.seen: dict[Hashable, list[int]] = {}
        self.way: Way | None = None
        self.far_at = -1
        self.far: tuple[Way | None, Any, list[int]] = (None, self.state, [])

    def _link(self) -> None:
        events = []
        for number, op in enumerate(self.known):
            assert op.return_at is not None and op.call_at <= op.return_at, f"returned before its call: {op}"
            events.append((op.call_at, 0, number))  # a call before a return of the same moment: they overlap
            events.append((op.return_at, 1, number))
        events.sort()
        self.end = len(events) + 1
        self.next = list(range(1, self.end + 1))
        self.back = list(range(-1, self.end))
        self.call_of = [0] * self.end  # place -> operation, or -1 for a return
        self.moment = [0] * self.end
        self.call_place = [0] * len(self.known)
        self.return_place = [0] * len(self.known)
        for place, (moment, is_return, number) in enumerate(events, 1):
            self.moment[place] = moment
            self.call_of[place] = -1 if is_return else number
            (self.return_place if is_return else self.call_place)[number] = place

    def _sort_unknown(self) -> None:
        """Those that overwrite lead to one state each, known beforehand; `fertile` are those of them which
        others could build on."""
        self.made: dict[int, Any] = {}
        self.building: list[int] = []
        for number, op in enumerate(self.unknown):
            if self.model.overwrites(op.input):
                self.made[number] = self.model.apply(self.model.start, op.input)[1]
            else:
                self.building.append(number)
        inputs = [self.unknown[number].input for number in self.building]
        self.budget.steps += len(self.made) * len(inputs)
        self.fertile = [
            number
            for number, state in self.made.items()
            if any(self.model.apply(state, input)[1] is not state for input in inputs)
        ]
        self.enablers: dict[int, list[tuple[int, Any]]] = {}

    def run(self) -> list[Operation] | Stuck:
        """An order that explains the history, or the furthest that any came."""
        path: list[tuple[int, int, int, Any, Way | None]] = []
        stack = [self._followers()]
        while self.next[0] != self.end:
            step = next(stack[-1], None)
            if step is not None:
                number, state, used, helpers = step
                before = (self.low, self.window, self.used, self.state, self.way)
                if self._place(number, state, used):
                    path.append(before)
                    self.way = Way(self.way, number, helpers)
                    stack.append(self._followers())
                continue
            waiting, blocked_at = self._waiting()
            if blocked_at > self.far_at:
                self.far_at, self.far = blocked_at, (self.way, self.state, waiting)
            stack.pop()
            if self.way is None:
                return self.furthest()
            self._put_back(self.way.number)
            self.low, self.window, self.used, self.state, self.way = path.pop()
        return self._order(self.way)

    def furthest(self) -> Stuck:
        waiting, blocked_at = self._waiting()
        if blocked_at > self.far_at:  # given up on the way
            self.far_at, self.far = blocked_at, (self.way, self.state, waiting)
        way, state, waiting = self.far
        return Stuck(self._order(way), state, [self.known[number] for number in waiting])

    def _order(self, way: Way | None) -> list[Operation]:
        order = []
        while way is not None:
            order.append(self.known[way.number])
            order.extend(self.unknown[helper] for helper in reversed(way.helpers))
            way = way.before
        return order[::-1]

    def _waiting(self) -> tuple[list[int], int]:
        """The operations that may come next, and the place of the return that keeps others from it."""
        waiting = []
        place = self.next[0]
        while (number := self.call_of[place]) >= 0:
            waiting.append(number)
            place = self.next[place]
        return waiting, place

    def _followers(self) -> Iterator[Next]:
        """Every operation that the model lets come next; then every one that it would after unknown ones."""
        if self.next[0] == self.end:
            return
        model, state, used = self.model, self.state, self.used
        waiting, blocked_at = self._waiting()
        if self._is_dead(state, waiting):
            return
        waiting.sort(key=self.return_place.__getitem__)
        enabled = []
        for number in waiting:
            op = self.known[number]
            output, after = model.apply(state, op.input)
            if model.agrees(op.output, output):
                if self.reads[number]:
                    # It changes nothing: if any order goes on from here, one does so with it first.
                    yield number, state, used, ()
                    return
                enabled.append((number, after, used, ()))
        yield from enabled
        if not self.unknown:
            return
        callable_count = bisect_right(self.unknown_calls, self.moment[blocked_at])
        for number in waiting:
            for helper, after in self._enablers(number):
                if helper < callable_count and self._is_free(helper, used):
                    yield number, after, used | 1 << helper, (helper,)
        for state, used, helpers in self._helped(state, used, callable_count, waiting):
            for number in waiting:
                op = self.known[number]
                output, after = model.apply(state, op.input)
                if model.agrees(op.output, output):
                    yield number, after, used, helpers

    def _is_dead(self, state: Any, waiting: list[int]) -> bool:
        self.budget.steps += len(waiting)
        self.budget.check()
        known, dead = self.known, self.model.dead
        return any(dead(state, known[number].input, known[number].output) for number in waiting)

    def _is_free(self, helper: int, used: int) -> bool:
        twin = self.twins[helper]
        return not used >> helper & 1 and (twin < 0 or used >> twin & 1 == 1)

    def _enablers(self, number: int) -> list[tuple[int, Any]]:
        """The overwriting unknown operations directly after which it may come, latest call first."""
        found = self.enablers.get(number)
        if found is None:
            op = self.known[number]
            found = self.enablers[number] = []
            last = bisect_right(self.unknown_calls, self.moment[self.return_place[number]])
            for helper, state in reversed(self.made.items()):
                if helper < last:
                    self.budget.steps += 1
                    output, after = self.model.apply(state, op.input)
                    if self.model.agrees(op.output, output):
                        found.append((helper, after))
        return found

    def _helped(
        self, start: Any, used: int, count: int, waiting: list[int]
    ) -> Iterator[tuple[Any, int, tuple[int, ...]]]:
        """Further states that unknown operations alone can reach, by few before many, late before early."""
        building = self.building[: bisect_left(self.building, count)]
        if not building:
            return
        seen = {start: [used]}
        row: list[tuple[Any, int, tuple[int, ...]]] = [(start, used, ())]
        for helper in reversed(self.fertile):
            if helper < count and self._is_free(helper, used):
                row.append((self.made[helper], used | 1 << helper, (helper,)))
                remember(seen, self.made[helper], used | 1 << helper)
        while row:
            longer = []
            for state, used, helpers in row:
                self.budget.steps += len(building)
                self.budget.check()
                for helper in reversed(building):
                    if self._is_free(helper, used):
                        _, after = self.model.apply(state, self.unknown[helper].input)
                        now_used = used | 1 << helper
                        if after is state or self._is_dead(after, waiting):
                            continue
                        if remember(seen, after, now_used):
                            longer.append((after, now_used, (*helpers, helper)))
                            yield longer[-1]
            row = longer

    def _place(self, number: int, state: Any, used: int) -> bool:
        """Move to the point after it, unless that was tried."""
        low, window = self.low, self.window | 1 << (number - self.low)
        while window & 1:
            window >>= 1
            low += 1
        if not remember(self.seen, (low, window, state), used):
            return False
        self.low, self.window, self.used, self.state = low, window, used, state
        for place in (self.call_place[number], self.return_place[number]):
            self.next[self.back[place]] = self.next[place]
            self.back[self.next[place]] = self.back[place]
        return True

    def _put_back(self, number: int) -> None:
        for place in (self.return_place[number], self.call_place[number]):
            self.next[self.back[place]] = place
            self.back[self.next[place]] = place


def remember(seen: dict[Any, list[int]], point: Hashable, used: int) -> bool:
    """False if the point was reached before with no unknown operation that is not in `used`."""
    ways = seen.get(point)
    if ways is None:
        seen[point] = [used]
        return True
    if any(way & used == way for way in ways):
        return False
    ways[:] = [way for way in ways if way & used != used]
    ways.append(used)
    return True


def twins(operations: Sequence[Operation]) -> list[int]:
    """For each the one before it with an equal input, or -1."""
    last: dict[Any, int] = {}
    found = []
    for number, op in enumerate(operations):
        found.append(last.get(op.input, -1))
        last[op.input] = number
    return found
