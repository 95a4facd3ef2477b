"""What simulated groups hold.

`spoil` is a command that fails after it changed the object, `taint` a query that changes it: nobody may
ever see what they did. `hang` never returns; where there are no executors it fails.

Clients of a group that is watched give each command the number of their call, and it emits events. The
classes keep all of them, some, or few.
"""

from typing import Any

import fleet.objects.hooks as hooks
from fleet.objects.class_refs import encode_class
from fleet.objects.declare import Data, command, query
from fleet.sim.world.user_code import deployed_code, emits, hangs, is_imported, is_told, works

ENDINGS = (ValueError, SystemExit, KeyboardInterrupt, GeneratorExit)
"""What commands raise, each as good as the other: they are failures of the command alone."""


class Counter(Data):
    value: int = 0

    @command
    def spoil(self, value: int, number: int = 0) -> None:
        self.value += value
        emits(number, fails=True)
        raise ENDINGS[value % len(ENDINGS)](value)

    @command
    def hang(self, value: int) -> None:
        hangs()
        raise ValueError(value)

    @query
    def taint(self, value: int) -> None:
        self.value += value

    @command
    def add(self, n: int = 1, number: int = 0) -> int:
        works()
        emits(number)
        self.value += n
        return self.value

    @query
    def get(self) -> int:
        works()
        return self.value


class RegisterHooks(hooks.LeaderHooks["Register"]):
    def on_restored(self, state: "Register") -> None:
        is_told(self, "restored", state.value)

    def on_elected(self, state: "Register", term: int) -> None:
        is_told(self, "elected", state.value, term)

    def on_stepped_down(self, term: int) -> None:
        is_told(self, "stepped down", term)

    def on_committed(self, event: hooks.Committed) -> None:
        is_told(self, "committed", event)

    def on_query_answered(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any
    ) -> None:
        is_told(self, "answered", method, value)


class Register(Data, hooks=RegisterHooks, events_kept=12):
    value: int = 0

    @command
    def spoil(self, value: int, number: int = 0) -> None:
        self.value = value
        emits(number, fails=True)
        raise ENDINGS[value % len(ENDINGS)](value)

    @command
    def hang(self, value: int) -> None:
        hangs()
        raise ValueError(value)

    @query
    def taint(self, value: int) -> None:
        self.value = value

    @command
    def write(self, value: int, number: int = 0) -> None:
        works()
        emits(number)
        self.value = value

    @command
    def cas(self, old: int, new: int, number: int = 0) -> bool:
        emits(number)
        if self.value != old:
            return False
        self.value = new
        return True

    @query
    def read(self) -> int:
        works()
        return self.value


class Listed(Data, events_kept=100):
    values: list[int] = []

    @command
    def spoil(self, value: int, number: int = 0) -> None:
        self.values.append(value)
        emits(number, fails=True)
        raise ENDINGS[value % len(ENDINGS)](value)

    @command
    def hang(self, value: int) -> None:
        hangs()
        raise ValueError(value)

    @command
    def append(self, value: int, number: int = 0) -> None:
        works()
        emits(number)
        self.values.append(value)

    @query
    def all(self) -> tuple[int, ...]:
        works()
        return tuple(self.values)


class LaterCounter(Data, version=2, auto_upgrade=True):
    total: int = 0
    is_migrated: bool = False

    @classmethod
    def migrate(cls, version: int, state: dict[str, Any]) -> dict[str, Any]:
        return {"total": state.get("value", 0), "is_migrated": True}

    @command
    def spoil(self, value: int, number: int = 0) -> None:
        self.total += value
        emits(number, fails=True)
        raise ENDINGS[value % len(ENDINGS)](value)

    @command
    def hang(self, value: int) -> None:
        hangs()
        raise ValueError(value)

    @query
    def taint(self, value: int) -> None:
        self.total += value

    @command
    def add(self, n: int = 1, number: int = 0) -> int:
        works()
        emits(number)
        self.total += n
        return self.total

    @query
    def get(self) -> int:
        works()
        return self.total


class LaterRegisterHooks(RegisterHooks):
    def on_restored(self, state: Any) -> None:
        is_told(self, "restored", state.content)

    def on_elected(self, state: Any, term: int) -> None:
        is_told(self, "elected", state.content, term)


class LaterRegister(Data, version=2, hooks=LaterRegisterHooks, events_kept=8):
    content: int = 0

    @classmethod
    def migrate(cls, version: int, state: dict[str, Any]) -> dict[str, Any]:
        return {"content": state.get("value", 0)}

    @command
    def spoil(self, value: int, number: int = 0) -> None:
        self.content = value
        emits(number, fails=True)
        raise ENDINGS[value % len(ENDINGS)](value)

    @command
    def hang(self, value: int) -> None:
        hangs()
        raise ValueError(value)

    @query
    def taint(self, value: int) -> None:
        self.content = value

    @command
    def write(self, value: int, number: int = 0) -> None:
        works()
        emits(number)
        self.content = value

    @command
    def cas(self, old: int, new: int, number: int = 0) -> bool:
        emits(number)
        if self.content != old:
            return False
        self.content = new
        return True

    @query
    def read(self) -> int:
        works()
        return self.content


class LaterListed(Data, version=2, events_kept=100):
    contents: list[int] = []

    @classmethod
    def migrate(cls, version: int, state: dict[str, Any]) -> dict[str, Any]:
        return {"contents": state.get("values", [])}

    @command
    def spoil(self, value: int, number: int = 0) -> None:
        self.contents.append(value)
        emits(number, fails=True)
        raise ENDINGS[value % len(ENDINGS)](value)

    @command
    def hang(self, value: int) -> None:
        hangs()
        raise ValueError(value)

    @command
    def append(self, value: int, number: int = 0) -> None:
        works()
        emits(number)
        self.contents.append(value)

    @query
    def all(self) -> tuple[int, ...]:
        works()
        return tuple(self.contents)


KINDS: dict[str, type[Data]] = {"counter": Counter, "register": Register, "list": Listed}
LATER: dict[str, type[Data]] = {"counter": LaterCounter, "register": LaterRegister, "list": LaterListed}
"""The same, with code that a later deployment brings."""
ENCODED: dict[str, bytes] = {name: encode_class(kind) for name, kind in KINDS.items()}
"""As an operator sends them, whose process has imported them long ago."""
ENCODED_LATER: dict[str, bytes] = {name: encode_class(kind) for name, kind in LATER.items()}
_DEPLOYED: tuple[dict[str, type[Data]], ...] = (
    {kind.__name__: kind for kind in (*KINDS.values(), *LATER.values())},
    {kind.__name__: KINDS[name] for kinds in (KINDS, LATER) for name, kind in kinds.items()},
    {kind.__name__: LATER[name] for kinds in (KINDS, LATER) for name, kind in kinds.items()},
    {},
)
"""What stands under each name where both codes, only the first, only the later one or neither is deployed."""
for _name in _DEPLOYED[0]:
    del globals()[_name]  # so that `__getattr__` is asked, as a module runs its code when it is imported


def __getattr__(name: str) -> Any:
    if name not in _DEPLOYED[0]:
        raise AttributeError(name)
    is_imported()
    deployed = _DEPLOYED[deployed_code()]
    if name not in deployed:
        raise AttributeError(f"{name} is not deployed")
    return deployed[name]
