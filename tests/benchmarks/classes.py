"""Data classes that only benchmarks need; nodes import this module by name."""

import time

import fleet


class Sleeper(fleet.Data):
    """Commands that take their time, as no command should."""

    slept: int = 0

    @fleet.command
    def sleep(self, seconds: float) -> int:
        time.sleep(seconds)
        self.slept += 1
        return self.slept


class Accounts(fleet.Data):
    balance: dict[int, int] = {}

    @fleet.command
    def fill(self, count: int) -> None:
        self.balance = dict.fromkeys(range(count), 0)

    @fleet.command
    def put(self, account: int, n: int) -> int:
        self.balance[account] += n
        return self.balance[account]

    @fleet.command
    def take(self, account: int, n: int) -> int:
        if self.balance[account] < n:
            raise fleet.Reject("not enough")
        self.balance[account] -= n
        return self.balance[account]
