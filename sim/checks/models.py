"""What objects do when they are used by one client at a time: the yardstick of linearizability.

Values, like states, are immutable and hashable.
"""

from collections.abc import Hashable, Iterable
from math import inf
from typing import Any

from msgspec import Struct

from fleet.sim.checks.history import Operation


class Input(Struct, frozen=True):
    def __str__(self) -> str:
        arguments = ", ".join(repr(getattr(self, field)) for field in self.__struct_fields__)
        return f"{type(self).__name__.lower()}({arguments})"


class Model:
    """A deterministic object: from a state and an input follow an output and the next state."""

    noun = "object"
    start: Hashable = None

    def apply(self, state: Any, input: Any) -> tuple[Any, Any]:
        """What it answers, and the state after. A state that did not change is the very same object."""
        raise NotImplementedError

    def agrees(self, told: Any, output: Any) -> bool:
        """Is what the client was told the model's output?"""
        return bool(told == output)

    def reads(self, input: Any, told: Any) -> bool:
        """True only if `input` changes no state in which it answers `told`, which may be UNKNOWN."""
        return False

    def overwrites(self, input: Any) -> bool:
        """True only if the state after it does not depend on the state before it."""
        return False

    def dead(self, state: Any, input: Any, told: Any) -> bool:
        """True only if `input` can answer `told` neither in this state nor in any that may follow."""
        return False

    def knowing(self, operations: Iterable[Operation]) -> "Model":
        """A model that accepts the same orders of just these operations, and sooner refuses the others."""
        return self

    def parts(self, history: Iterable[Operation]) -> dict[Hashable, list[Operation]]:
        """Histories that may be judged one by one: linearizability is local (Herlihy and Wing, theorem 1)."""
        parts: dict[Hashable, list[Operation]] = {}
        for operation in history:
            parts.setdefault(operation.key, []).append(operation)
        return parts


# -- register ------------------------------------------------------------------------------------


class Read(Input, frozen=True):
    pass


class Write(Input, frozen=True):
    value: Hashable


class Cas(Input, frozen=True):
    """Compare and set: True if the value was `old`, and is now `new`."""

    old: Hashable
    new: Hashable


class Register(Model):
    noun = "register"

    def __init__(self, start: Hashable = None) -> None:
        self.start = start

    def apply(self, state: Any, input: Any) -> tuple[Any, Any]:
        match input:
            case Read():
                return state, state
            case Write(value):
                return None, state if value == state else value
            case Cas(old, new):
                return (True, new) if state == old else (False, state)
        raise TypeError(f"no input of a register: {input!r}")

    def reads(self, input: Any, told: Any) -> bool:
        return type(input) is Read or told is False

    def overwrites(self, input: Any) -> bool:
        return type(input) is Write


# -- counter -------------------------------------------------------------------------------------


class Add(Input, frozen=True):
    """Answers the new value."""

    n: int = 1


class Get(Input, frozen=True):
    pass


class Counter(Model):
    noun = "counter"
    start = 0

    def __init__(self, only_rises: bool = False) -> None:
        self.only_rises = only_rises

    def apply(self, state: Any, input: Any) -> tuple[Any, Any]:
        match input:
            case Add(n):
                return state + n, state + n
            case Get():
                return state, state
        raise TypeError(f"no input of a counter: {input!r}")

    def reads(self, input: Any, told: Any) -> bool:
        return type(input) is Get

    def dead(self, state: Any, input: Any, told: Any) -> bool:
        return self.only_rises and bool(told < (state if type(input) is Get else state + input.n))

    def knowing(self, operations: Iterable[Operation]) -> "Counter":
        return Counter(all(op.input.n >= 0 for op in operations if type(op.input) is Add))


# -- queue ---------------------------------------------------------------------------------------


class Enqueue(Input, frozen=True):
    value: Hashable


class Dequeue(Input, frozen=True):
    """The oldest value, None if there is none."""


class Queue(Model):
    """First in, first out: of two values of which one was out before anybody asked for the other, that one
    went in first. `out` has for each value when its dequeue was called and returned.
    """

    noun = "queue"
    start: Hashable = ()

    def __init__(self, out: dict[Hashable, tuple[float, float]] | None = None) -> None:
        self.out = out or {}

    def apply(self, state: Any, input: Any) -> tuple[Any, Any]:
        match input:
            case Enqueue(value):
                return None, (*state, value)
            case Dequeue():
                return (state[0], state[1:]) if state else (None, state)
        raise TypeError(f"no input of a queue: {input!r}")

    def reads(self, input: Any, told: Any) -> bool:
        return type(input) is Dequeue and told is None

    def dead(self, state: Any, input: Any, told: Any) -> bool:
        if not state or not self.out or type(input) is not Enqueue:
            return False
        return self.out[input.value][1] < self.out[state[-1]][0]

    def knowing(self, operations: Iterable[Operation]) -> "Queue":
        """Only of values that are all different, and where a value that stayed is known to have stayed."""
        out: dict[Hashable, tuple[float, float]] = {}
        dequeues = []
        for op in operations:
            if type(op.input) is Enqueue:
                if op.input.value in out:
                    return Queue()
                out[op.input.value] = (inf, inf)
            else:
                dequeues.append(op)
        unknown = any(not op.is_known for op in dequeues)
        if unknown:
            out = dict.fromkeys(out, (-inf, inf))
        for op in dequeues:
            if op.is_known and op.output is not None:
                assert op.return_at is not None
                out[op.output] = (op.call_at, op.return_at)
        return Queue(out)


# -- list ----------------------------------------------------------------------------------------


class Append(Input, frozen=True):
    value: Hashable


class All(Input, frozen=True):
    """Every value, oldest first. The client may have been told a list or a tuple."""


class ListAppend(Model):
    """Lists only grow, so whatever is appended stands where the longest list that was seen has it."""

    noun = "list"
    start: Hashable = ()

    def __init__(self, longest: tuple[Hashable, ...] = ()) -> None:
        self.longest = longest

    def apply(self, state: Any, input: Any) -> tuple[Any, Any]:
        match input:
            case Append(value):
                place = len(state)
                if place < len(self.longest) and self.longest[place] != value:
                    return f"{self.longest[place]!r} was seen in this place", state
                return None, (*state, value)
            case All():
                return state, state
        raise TypeError(f"no input of a list: {input!r}")

    def agrees(self, told: Any, output: Any) -> bool:
        return bool((tuple(told) if isinstance(told, list) else told) == output)

    def reads(self, input: Any, told: Any) -> bool:
        return type(input) is All

    def knowing(self, operations: Iterable[Operation]) -> "ListAppend":
        seen = [tuple(op.output) for op in operations if type(op.input) is All and op.is_known]
        return ListAppend(max(seen, key=len, default=()))


# -- keys and values -----------------------------------------------------------------------------


class Put(Input, frozen=True):
    key: Hashable
    value: Hashable


class Fetch(Input, frozen=True):
    """The key's value, None if it has none."""

    key: Hashable


class Remove(Input, frozen=True):
    """Was there a value?"""

    key: Hashable


class Scan(Input, frozen=True):
    """All keys with their values, as a dict. It looks at all keys at once, so they cannot be judged apart."""


class KeyValue(Model):
    noun = "store"
    start = frozenset[tuple[Hashable, Hashable]]()

    def apply(self, state: Any, input: Any) -> tuple[Any, Any]:
        match input:
            case Put(key, value):
                return None, state if (key, value) in state else self._without(state, key) | {(key, value)}
            case Fetch(key):
                return next((value for k, value in state if k == key), None), state
            case Remove(key):
                rest = self._without(state, key)
                return (False, state) if len(rest) == len(state) else (True, rest)
            case Scan():
                return dict(state), state
        raise TypeError(f"no input of a store: {input!r}")

    def _without(self, state: Any, key: Hashable) -> Any:
        return frozenset(pair for pair in state if pair[0] != key)

    def reads(self, input: Any, told: Any) -> bool:
        return type(input) in (Fetch, Scan) or told is False

    def parts(self, history: Iterable[Operation]) -> dict[Hashable, list[Operation]]:
        """Key by key, where nobody scanned the object."""
        parts: dict[Hashable, list[Operation]] = {}
        for key, operations in super().parts(history).items():
            if any(type(operation.input) is Scan for operation in operations):
                parts[key] = operations
                continue
            for operation in operations:
                parts.setdefault((key, operation.input.key), []).append(operation)
        return parts
