"""One bug for each recipe and more, as a class of its own: the recipe's episodes have to find it."""

from typing import Any

import fleet
from fleet.recipes import KV, Barriers, Counters, Elections, Leases, Locks, RateLimits, Semaphores
from fleet.recipes.holders import Granted
from tests.recipes.queue_uses import ForgetsWhoIsGone, IgnoresTokens, NeedsAWord, PutsAgain


class KeepsRevision(KV):
    """A key that is set by compare-and-set keeps its revision: the next with that revision wins, too."""

    @fleet.command
    def compare_and_set(self, key: str, revision: int, value: Any, ttl: float | None = None) -> int | None:
        done = self._put(key, value, ttl) if self._fresh(key)[1] == revision else None
        if done and revision:
            self.values[key] = (value, revision)
        return done


class ForgetsTime(KV):
    """A key is dropped when it is looked at by chance, and never asked whether its time is over."""

    def _fresh(self, key: str) -> tuple[Any, int, bool]:
        return (*self.values[key], key in self.over_at) if key in self.values else (None, 0, False)


class AnyoneReleases(Locks):
    """A release drops whoever has the lock, as deleting a key without a look at its value does."""

    @fleet.command
    def release(self, name: str, token: int) -> None:
        for held in list(self.owners.get(name, {}).values()):
            self._drop(held)


class RenewsWhatIsOver(Locks):
    """A renewal counts although the time is over, and somebody else may have been granted the lock."""

    @fleet.command
    def renew(self, name: str, token: int, ttl: float) -> None:
        owner = f"again {token}"
        self.leases[token] = (name, owner, fleet.ctx.now + ttl, None)
        self.owners.setdefault(name, {})[owner] = token


class OneTooMany(Semaphores):
    @fleet.command
    def acquire(self, name: str, owner: str, ttl: float, limit: int) -> Granted:
        return self._grant(name, owner, ttl, limit + 1)


class StaysForEver(Leases):
    """Whoever died stays on the list."""

    def _drop_if_over(self, token: int) -> None:
        pass


class TermsOfItsOwn(Elections):
    """Terms are counted by name, and begin again when nobody has stood for some time."""

    @fleet.command
    def stand(self, name: str, owner: str, ttl: float, value: Any = None) -> Granted:
        token, left = self._grant(name, owner, ttl, limit=1, value=value)
        if token and token == fleet.ctx.index:
            lease = self.leases.pop(token)
            token = max(self.leases, default=0) + 1
            self.leases[token] = lease
            self.owners[name][owner] = token
        return token, left


class CountsCalls(Barriers):
    """Whoever says again that it is there is counted again."""

    @fleet.command
    def arrive(self, name: str, owner: str, parties: int, ttl: float) -> int:
        if owner not in self.passed:
            self._grant(name, f"{owner}/{fleet.ctx.index}", ttl)
            self._drop_all_over(name)
            owners = dict(self.owners[name])
            if len(owners) >= parties:
                for one, token in owners.items():
                    self._drop(token)
                    self.passed[one.partition("/")[0]] = (fleet.ctx.index, fleet.ctx.now + ttl)
        return self.passed_at(owner)


class RefillsOnRefusal(RateLimits):
    @fleet.command
    def take(self, name: str, rate: float, burst: int = 1, n: int = 1) -> float:
        wait_s = RateLimits.take(self, name, rate, burst, n)
        if wait_s:
            self.full_at.pop(name)
        return float(wait_s)


class ForgetsThrees(Counters):
    @fleet.command
    def add(self, name: str, n: int = 1) -> int:
        value = self._set(name, self.values.get(name, 0) + n)
        return self._set(name, 0) if value == 3 else value


PLANTED: dict[type[Any], str] = {
    KeepsRevision: "KV",
    ForgetsTime: "KV",
    AnyoneReleases: "Locks",
    RenewsWhatIsOver: "Locks",
    OneTooMany: "Semaphores",
    StaysForEver: "Leases",
    TermsOfItsOwn: "Elections",
    CountsCalls: "Barriers",
    RefillsOnRefusal: "RateLimits",
    ForgetsThrees: "Counters",
    IgnoresTokens: "JobQueue",
    ForgetsWhoIsGone: "JobQueue",
    NeedsAWord: "JobQueue",
    PutsAgain: "JobQueue",
}
