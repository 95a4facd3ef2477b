"""A clock that the test moves."""

from dataclasses import dataclass


@dataclass
class HandClock:
    """`fleet.interfaces.Clock`; both clocks show the same milliseconds."""

    now: int = 1000

    def now_ms(self) -> int:
        return self.now

    def wall_ms(self) -> int:
        return self.now
