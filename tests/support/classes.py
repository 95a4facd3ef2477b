"""Data classes of the tests with real nodes, which import this module by name."""

import fleet


class Counter(fleet.Data):
    value: int = 0

    @fleet.command
    def add(self, n: int = 1) -> int:
        if n < 0:
            raise fleet.Reject("n must not be negative")
        self.value += n
        return self.value

    @fleet.command
    def divide(self, by: int) -> float:
        self.value += 1000  # taken back when the next line raises
        return self.value / by

    @fleet.command
    def swallow(self, data: bytes) -> int:
        return len(data)

    @fleet.query
    def get(self) -> int:
        return self.value

    @fleet.query
    def length(self, data: bytes) -> int:
        return len(data)

    @fleet.query
    def zeros(self, count: int) -> bytes:
        return bytes(count)

    @fleet.query
    def sneak(self) -> int:
        self.value += 1
        return self.value


class Ledger(fleet.Data):
    """Remembers what was written by whom, in order."""

    lines: list[tuple[str, int]] = []

    @fleet.command
    def write(self, who: str, number: int) -> int:
        self.lines.append((who, number))
        return len(self.lines)

    @fleet.query
    def read(self) -> list[tuple[str, int]]:
        return self.lines


class Shelf(fleet.Data):
    """A state as big as a test wants it."""

    books: dict[str, bytes] = {}

    @fleet.command
    def put(self, title: str, text: bytes) -> int:
        self.books[title] = text
        return len(self.books)

    @fleet.query
    def titles(self) -> list[str]:
        return sorted(self.books)

    @fleet.query
    def size(self) -> int:
        return sum(map(len, self.books.values()))

    @fleet.query
    def text(self, title: str) -> bytes | None:
        return self.books.get(title)


class Feed(fleet.Data, events_kept=2000):
    """Tells whoever watches what was written."""

    count: int = 0

    @fleet.command
    def write(self, kind: str, value: object = None) -> int:
        self.count += 1
        fleet.ctx.emit(kind, value)
        return fleet.ctx.index

    @fleet.command
    def write_many(self, kind: str, count: int, size: int = 0) -> int:
        """All by one command."""
        for number in range(count):
            fleet.ctx.emit(kind, number if not size else b"x" * size)
        self.count += count
        return fleet.ctx.index

    @fleet.query
    def written(self) -> int:
        return self.count
