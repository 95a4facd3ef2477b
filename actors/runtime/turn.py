"""The end of an actor's turn: one message to itself, after all that were queued when it was asked for."""

from typing import Any

from msgspec import Struct


class EndTurn(Struct, frozen=True):
    """An actor's message to itself: all messages queued before have been handled."""


class TurnEnd:
    """Sends `actor` one `EndTurn`, however often `ask` is called until it comes.

    On the fleet base all messages of a process wait in one queue, so a message to itself arrives after all
    that were waiting. The actor's handler of `EndTurn` must call `reached` first.
    """

    __slots__ = ("actor", "is_asked")

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.is_asked = False

    def ask(self) -> None:
        if not self.is_asked:
            self.is_asked = True
            self.actor.send(self.actor.myAddress, EndTurn())

    def reached(self) -> None:
        self.is_asked = False
