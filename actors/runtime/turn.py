"""The end of an actor's turn: once, after everything that was queued when it was asked for."""

from typing import Any

from msgspec import Struct


class EndTurn(Struct, frozen=True):
    """To oneself: everything that was queued before has been handled."""


class TurnEnd:
    """Sends `actor` one `EndTurn`, however often `ask` is called until it comes.

    All messages of a process wait in one queue on the fleet base: what an actor sends to itself comes after
    everything that was waiting. The actor's handler of `EndTurn` calls `reached` first.
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
