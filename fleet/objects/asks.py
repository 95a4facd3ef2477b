"""What a running command asks for besides its result: reminders. Nothing of it happens if the command fails.

A command gets no answer to what it asks, since commands that are executed again, to restore an object, must
then do what they did the first time.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fleet.errors import ConfigError, RemindersFull
from fleet.objects.keyed import EncodeCall, check_key
from fleet.objects.payload import encode_call
from fleet.objects.weights import weight_of
from fleet.raft.ids import Millis
from fleet.raft.reminders import REMINDER_OVERHEAD, Asked, Forget, Remind, ReminderTable

EVERY_S_MIN: Final = 0.1
AHEAD_S_MAX: Final = 200 * 366 * 86_400
_NUMBERS = (int, float)


@dataclass(slots=True)
class Asks:
    """Of one object. Invariant: `asked` is that of the command that runs, or that ran last."""

    methods: Mapping[str, Callable[..., Any]] | None = None
    """The object's reminders; None: not known, and so every name is taken."""
    encode_call: EncodeCall = encode_call
    """As the object's class does it."""
    asked: list[Asked] = field(default_factory=list)
    reminders: ReminderTable = field(default_factory=ReminderTable)

    def settle(self) -> RemindersFull | None:
        """Carry out what the command asked for, which has succeeded. An error: nothing was, and the command
        fails."""
        reminders = self.reminders
        is_done = reminders.settle(self.asked)
        self.asked.clear()
        if is_done:
            return None
        count, weight = len(reminders.reminders), reminders.weight
        return RemindersFull("the group keeps too many reminders", reminders=count, weight=weight)

    # -- what commands call ------------------------------------------------------------------------

    def remind(
        self,
        now_ms: Millis,
        name: str,
        args: tuple[Any, ...],
        key: str | None,
        after: float | None,
        at: float | None,
        every: float | None,
    ) -> None:
        """Raises as `Ctx.remind`."""
        self._check_call(name, args)
        if key is not None:
            check_key(key)
        due_ms, every_ms = _times(now_ms, after, at, every)
        payload, key = self.encode_call(name, args, {}), key or ""
        weight = REMINDER_OVERHEAD + len(name) + len(key) + weight_of(args)
        self.asked.append(Remind(name, key, due_ms, every_ms, payload, weight))

    def forget(self, name: str, key: str | None) -> None:
        """Raises as `Ctx.forget`."""
        self._check_name(name)
        if key is not None:
            check_key(key)
        self.asked.append(Forget(name, key))

    def _check_name(self, name: object) -> None:
        if type(name) is not str:
            raise ConfigError(f"a reminder's name is a text, not {name!r}")
        if self.methods is not None and name not in self.methods:
            known = ", ".join(sorted(self.methods)) or "none"
            raise ConfigError(f"there is no @fleet.reminder {name!r}; the class has: {known}")

    def _check_call(self, name: str, args: tuple[Any, ...]) -> None:
        self._check_name(name)
        if self.methods is not None:
            try:
                inspect.signature(self.methods[name]).bind(None, *args)
            except TypeError as error:
                raise ConfigError(f"the arguments do not fit the reminder {name!r}: {error}") from None


def _times(now_ms: Millis, after: object, at: object, every: object) -> tuple[Millis, Millis]:
    """When it is due at first, and how often then; never before now, so that it is not due before those that
    are overdue."""
    if after is not None and at is not None or after is at is every is None:
        raise ConfigError("say when: after=seconds, at=seconds since the epoch, or every=seconds")
    period_s = _seconds("every", every, EVERY_S_MIN) if every is not None else 0.0
    if at is not None:
        due_ms = round(_seconds("at", at, 0.0) * 1000)
    else:
        due_ms = now_ms + round((period_s if after is None else _seconds("after", after, 0.0)) * 1000)
    return max(now_ms, due_ms), round(period_s * 1000)


def _seconds(name: str, value: Any, least: float) -> float:
    if type(value) not in _NUMBERS or not least <= value <= AHEAD_S_MAX:
        raise ConfigError(f"{name} is a number of seconds from {least} to {AHEAD_S_MAX}, not {_told(value)}")
    return float(value)


def _told(value: Any) -> str:
    """In words that are the same on every member: which numbers can be shown is set by process."""
    is_short = type(value) in _NUMBERS and abs(value) < 1e15
    return repr(value) if is_short else f"a value of type {type(value).__qualname__}"
