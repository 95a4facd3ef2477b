"""How a bug gets into code that is loaded already."""

from typing import Any, TypeAlias
from unittest.mock import patch

from fleet.raft import table

Patches: TypeAlias = list[Any]


def in_modules(name: str, planted: Any, *modules: Any) -> Patches:
    """A function that modules imported by name: it is replaced in each."""
    return [patch.object(module, name, planted) for module in modules]


class Handler:
    """In the table of handlers, wherever the true one stands."""

    def __init__(self, true: Any, planted: Any) -> None:
        self.true, self.planted = true, planted

    def _swap(self, one: Any, other: Any) -> None:
        for handlers in table.HANDLERS.values():
            for event, handler in handlers.items():
                if handler is one:
                    handlers[event] = other

    def __enter__(self) -> None:
        self._swap(self.true, self.planted)

    def __exit__(self, *_: object) -> None:
        self._swap(self.planted, self.true)


class InHandlers:
    """In an actor's own table of handlers."""

    def __init__(self, actor: Any, message: type, planted: Any) -> None:
        self.handlers, self.message, self.planted = actor.handlers, message, planted
        self.true = self.handlers[message]

    def __enter__(self) -> None:
        self.handlers[self.message] = self.planted

    def __exit__(self, *_: object) -> None:
        self.handlers[self.message] = self.true
