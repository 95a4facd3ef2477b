"""What simulated groups hold.

`spoil` is a command that fails after it changed the object, `taint` a query that changes it: nobody may
ever see what they did.
"""

from fleet.objects.declare import Data, command, query

ENDINGS = (ValueError, SystemExit, KeyboardInterrupt, GeneratorExit)
"""What commands raise, each as good as the other: they are failures of the command alone."""


class Counter(Data):
    value: int = 0

    @command
    def spoil(self, value: int) -> None:
        self.value += value
        raise ENDINGS[value % len(ENDINGS)](value)

    @query
    def taint(self, value: int) -> None:
        self.value += value

    @command
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @query
    def get(self) -> int:
        return self.value


class Register(Data):
    value: int = 0

    @command
    def spoil(self, value: int) -> None:
        self.value = value
        raise ENDINGS[value % len(ENDINGS)](value)

    @query
    def taint(self, value: int) -> None:
        self.value = value

    @command
    def write(self, value: int) -> None:
        self.value = value

    @command
    def cas(self, old: int, new: int) -> bool:
        if self.value != old:
            return False
        self.value = new
        return True

    @query
    def read(self) -> int:
        return self.value


class Listed(Data):
    values: list[int] = []

    @command
    def spoil(self, value: int) -> None:
        self.values.append(value)
        raise ENDINGS[value % len(ENDINGS)](value)

    @command
    def append(self, value: int) -> None:
        self.values.append(value)

    @query
    def all(self) -> tuple[int, ...]:
        return tuple(self.values)


KINDS: dict[str, type[Data]] = {"counter": Counter, "register": Register, "list": Listed}
