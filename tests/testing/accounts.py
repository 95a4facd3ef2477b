"""Data classes that are fit to be replicated, and some that are not, each in one way."""

import random
from collections.abc import Iterator

import fleet


class Account(fleet.Data):
    balance: int = 0
    seen: list[str] = []

    @fleet.command
    def deposit(self, cents: int) -> int:
        self.balance += cents
        return self.balance

    @fleet.command
    def withdraw(self, cents: int) -> int:
        if cents > self.balance:
            raise fleet.Reject("insufficient")
        self.balance -= cents
        return self.balance

    @fleet.command
    def note(self, words: list[str]) -> float:
        self.seen = [*words]
        return fleet.ctx.random.random() + fleet.ctx.now

    @fleet.command
    def fail(self) -> None:
        self.balance += 1
        raise ValueError("half done")

    @fleet.query
    def available(self) -> int:
        return self.balance


class SetOrder(Account):
    @fleet.command
    def tag(self, words: set[str]) -> list[str]:
        self.seen = list(words)
        return self.seen


class HashOfText(Account):
    @fleet.command
    def bucket(self, word: str) -> int:
        return hash(word) % 1000


class UnseededRandom(Account):
    @fleet.command
    def draw(self) -> float:
        return random.random()


CALLS = [0]


class OutsideState(Account):
    @fleet.command
    def tick(self) -> int:
        CALLS[0] += 1
        return CALLS[0]


class ImpureQuery(Account):
    @fleet.query
    def look(self) -> int:
        self.seen.append("x")
        return 1


class LateReject(Account):
    @fleet.command
    def pay(self, cents: int) -> int:
        self.balance -= cents
        if self.balance < 0:
            raise fleet.Reject("insufficient")
        return self.balance


class KeptArgument(Account):
    @fleet.command
    def keep(self, words: list[str]) -> int:
        self.seen = words
        return len(words)


class NotEncodable(Account):
    words: Iterator[int] | None = None

    @fleet.command
    def open(self) -> None:
        self.words = (n for n in range(3))


class LostOnTheWay(Account):
    """Half of its state stays behind."""

    @fleet.command
    def count(self) -> int:
        self.extra = getattr(self, "extra", 0) + 1
        return self.extra

    def __getstate__(self) -> dict[str, object]:
        return {"balance": self.balance, "seen": self.seen}


class ReadsIdentity(Account):
    @fleet.command
    def where(self) -> int:
        return id(self) % 4096
