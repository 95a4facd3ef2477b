"""What a simulated group with reminders holds: a journal of what was set, taken back and called, in the order
of the log (`fleet.sim.checks.alarms` judges it)."""

from typing import Any

from fleet.objects.class_refs import encode_class
from fleet.objects.context import ctx
from fleet.objects.declare import Data, command, query, reminder
from fleet.objects.event import Event
from fleet.objects.hooks import LeaderHooks
from fleet.sim.checks.alarms import CALLED, CANCELLED, SET
from fleet.sim.world.user_code import is_told, works

MORE = 1_000_000
FAILS_EVERY = 6


class AlarmsHooks(LeaderHooks["Alarms"]):
    told: int = 0

    def on_effect(self, effect: Event) -> None:
        self.told += 1
        if self.told % FAILS_EVERY == 0:
            raise OSError("the world outside does not answer")
        is_told(self, "effect", effect)


class Alarms(Data, hooks=AlarmsHooks):
    journal: list[tuple[int, int, int, int]] = []
    """What; of which alarm; when it is due, or the time, in ms of the log; how often it repeats, in ms."""

    def _note(self, what: int, number: int, at_ms: int = 0, every_ms: int = 0) -> None:
        ctx.emit("noted", number)
        self.journal.append((what, number, at_ms or round(ctx.now * 1000), every_ms))

    def _set(self, number: int, after_ms: int, every_ms: int) -> None:
        key, every = str(number) if number > 0 else None, every_ms / 1000 or None
        ctx.remind("ring", number, key=key, after=after_ms / 1000, every=every)
        self._note(SET, number, round(ctx.now * 1000) + after_ms, every_ms)

    @command
    def set(self, number: int, after_ms: int, every_ms: int = 0, is_keyed: bool = True) -> None:
        works()
        if not is_keyed:  # so that no cancel means it
            number = -number
        self._set(number, after_ms, every_ms)

    @command
    def cancel(self, number: int) -> None:
        works()
        ctx.forget("ring", key=str(number))
        self._note(CANCELLED, number)

    @command
    def set_and_fail(self, number: int) -> None:
        ctx.remind("ring", number, key=str(number), after=0.1)
        ctx.forget("ring", key=str(number - 1))
        self._note(SET, number)
        raise ValueError(number)

    @reminder("ring")
    def ring(self, number: int) -> None:
        works()
        self._note(CALLED, number)
        if number % 7 == 0:
            raise ValueError(number)
        if number % 5 == 0 and number < MORE:
            self._set(number + MORE, 300, 0)

    @query
    def length(self) -> int:
        return len(self.journal)


ALARMS: bytes = encode_class(Alarms)


def journal_of(state: Any) -> list[tuple[int, int, int, int]]:
    return list(state.journal)
