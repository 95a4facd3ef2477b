"""A data class with reminders: what is reserved and not bought is released."""

from typing import Any

import fleet
from fleet.objects.context import ctx
from fleet.objects.declare import Data, command, query, reminder

HOLD_S = 30


class Stock(Data):
    free: int = 10
    held: list[str] = []
    called: list[tuple[str, float]] = []
    """By reminders: what, and when by the group's clock."""

    @command
    def reserve(self, who: str, seconds: float = HOLD_S) -> None:
        if who in self.held:
            raise fleet.Reject(who)
        self.free -= 1
        self.held.append(who)
        ctx.remind("release", who, key=who, after=seconds)

    @command
    def buy(self, who: str) -> bool:
        ctx.forget("release", key=who)
        if who not in self.held:
            return False
        self.held.remove(who)
        return True

    @command
    def note(self, what: str, after: float = 0.0, every: float | None = None, key: str | None = None) -> None:
        ctx.remind("noted", what, after=after, every=every, key=key)

    @command
    def fail(self, what: str) -> None:
        self.free = -1
        ctx.remind("noted", what, after=0)
        ctx.forget("release")
        raise ValueError(what)

    @command
    def refuse(self, what: str) -> None:
        ctx.remind("noted", what, after=0)
        raise fleet.Reject(what)

    @command
    def forget(self, name: str, key: str | None = None) -> None:
        ctx.forget(name, key)

    @command
    def remind(self, name: str, *args: object, when: dict[str, Any]) -> None:
        ctx.remind(name, *args, **when)

    @reminder("release")
    def _release(self, who: str) -> None:
        self.held.remove(who)
        self.free += 1
        self.called.append((who, ctx.now))

    @reminder("noted")
    def _noted(self, what: str) -> None:
        self.called.append((what, ctx.now))
        if what == "fails":
            raise ValueError(what)
        if what == "again":
            ctx.remind("noted", "and again", after=0)
        if what == "forgets":
            ctx.forget("release")
            ctx.forget("noted", key="other")

    @query
    def told(self) -> list[tuple[str, float]]:
        return self.called

    @query
    def holders(self) -> list[str]:
        return self.held
