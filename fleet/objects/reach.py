"""Which statements of a module the code of a class reaches, and their digest.

A statement is reached when something reached names what it binds: a function, a class, a constant, an import.
So is one that may change what is reached while the module is imported: `PRICES["a"] = 2`, or a function that
its decorator puts into a table which is reached. Too much is reached rather than too little: then a change
that is none costs an upgrade, and not a state.

Standard library only, as `fleet.objects.syntax`.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Final, TypeAlias

from fleet.objects.statements import Statement, statements_of

_TABLES: Final = frozenset(
    "dict list set bytearray defaultdict OrderedDict deque Counter ChainMap SimpleNamespace "
    "WeakValueDictionary WeakKeyDictionary WeakSet".split()
)


class Source:
    """Of one module. Raises SyntaxError, ValueError or RecursionError."""

    def __init__(self, text: str) -> None:
        nodes = statements_of(ast.parse(text).body)
        self.statements = [Statement(node, place) for place, node in enumerate(nodes)]
        self.binders: dict[str, list[Statement]] = defaultdict(list)
        self.users: dict[str, list[Statement]] = defaultdict(list)
        for one in self.statements:
            for name in one.binds:
                self.binders[name].append(one)
            for name in one.names:
                self.users[name].append(one)

    def reached(self, names: Iterable[str]) -> set[Statement]:
        """The statements that bind these names, and all that those reach."""
        reached = self._forward([*names, "*"])
        while True:
            more = self._changers(reached)
            if not more:
                return reached
            reached |= more | self._forward(name for one in more for name in one.names)

    def _forward(self, names: Iterable[str]) -> set[Statement]:
        found, seen, waiting = set[Statement](), set[str](), list(names)
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                for one in self.binders.get(name, ()):
                    found.add(one)
                    waiting.extend(one.names)
        return found

    def _changers(self, reached: set[Statement]) -> set[Statement]:
        """Others, which may change what is reached."""
        bound = {name for one in reached for name in one.binds}
        held = {name for one in reached if one.value is not None for name in one.binds}
        called = held | self._backward(name for one in reached if self._is_filled(one) for name in one.binds)
        learning = self._learning & (bound | called)
        others = (one for one in self.statements if one not in reached)
        return {one for one in others if one.changes & bound or one.calls & called or one.bases & learning}

    @cached_property
    def _learning(self) -> set[str]:
        """The classes that learn of their subclasses, and may put them into a table."""
        found, more = set[str](), {name for one in self.statements for name in one.learning}
        while more - found:
            found |= more
            more = {name for one in self.statements if one.bases & found for name in one.binds}
        return found

    def _backward(self, names: Iterable[str]) -> set[str]:
        """What reaches one of these, by name."""
        found = set(names)
        waiting = list(found)
        while waiting:
            for one in self.users.get(waiting.pop(), ()):
                waiting.extend(one.binds - found)
                found |= one.binds
        return found

    def _is_filled(self, one: Statement) -> bool:
        """Whether it makes a value that is there to be filled; a logger, say, is not."""
        makers = self.binders.get(one.maker, ())
        return one.makes_container or one.maker in _TABLES or any(not maker.is_import for maker in makers)

    def in_order(self, reached: Iterable[Statement]) -> list[Statement]:
        """Definitions and imports by name, since their places in the file mean nothing; the rest by place."""
        movable = {one: min(one.binds) for one in reached if self._is_movable(one)}
        rest = sorted((one for one in reached if one not in movable), key=lambda one: one.place)
        return [*sorted(movable, key=movable.__getitem__), *rest]

    def _is_movable(self, one: Statement) -> bool:
        if not (one.is_import or one.is_definition) or any(len(self.binders[name]) > 1 for name in one.binds):
            return False
        ours = (maker for name in one.decorators for maker in self.binders.get(name, ()))
        return all(maker.is_import for maker in ours)


Reached: TypeAlias = dict[str, set[Statement]]
"""By the module's name."""


def reached_from(sources: Mapping[str, Source], module: str, name: str) -> Reached:
    """What the thing under this name in the module reaches in these modules. Nothing, if no statement binds
    it. In another module than its own, whatever is called as something that is mentioned is reached."""
    wanted: dict[str, set[str]] = {one: set() for one in sources}
    if name not in sources[module].binders:
        return {}
    wanted[module].add(name)
    while True:
        reached = {one: source.reached(wanted[one]) for one, source in sources.items() if wanted[one]}
        count = sum(map(len, wanted.values()))
        for one, found in reached.items():
            mentioned = {word for statement in found for word in statement.names | statement.attributes}
            for other in sources.keys() - {one}:
                wanted[other] |= mentioned & sources[other].binders.keys()
        if count == sum(map(len, wanted.values())):
            return reached


def digest_of(sources: Mapping[str, Source], reached: Reached) -> str:
    """32 hexadecimal digits. Raises RecursionError."""
    hashed = blake2b(digest_size=16)
    for module in sorted(reached):
        statements = sources[module].in_order(reached[module])
        hashed.update(f"{module}:{len(statements)}:".encode())
        for one in statements:
            hashed.update(one.digest)
    return hashed.hexdigest()
