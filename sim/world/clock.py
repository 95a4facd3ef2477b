"""The clocks of one host, with a rate and offsets of their own. The monotonic one never goes back."""

from typing import Protocol

from fleet.raft.ids import Millis

EVEN = 1000
"""The rate of a true clock, per mille."""


class Timed(Protocol):
    now: int
    """Microseconds of virtual time."""


class SimClock:
    """`fleet.interfaces.Clock` of a host. The wall clock may jump both ways, the other one only forward."""

    def __init__(self, world: Timed, at_us: int, wall_us: int, rate: int = EVEN) -> None:
        self._world = world
        self._since = world.now
        self._local = at_us
        self._wall = wall_us
        self.rate = rate
        self.has_jumped = False
        self.turn_until = 0
        """The virtual time at which the current turn ends, as far as it has come."""

    @property
    def now_us(self) -> int:
        """Virtual time, as the current turn sees it."""
        now, until = self._world.now, self.turn_until
        return now if now > until else until

    def micros(self) -> int:
        return self._local + (self.now_us - self._since) * self.rate // EVEN

    def seconds(self) -> float:
        return self.micros() / 1e6

    def now_ms(self) -> Millis:
        now, until = self._world.now, self.turn_until
        return (self._local + ((now if now > until else until) - self._since) * self.rate // EVEN) // 1000

    def wall_ms(self) -> Millis:
        return (self.micros() + self._wall) // 1000

    def when(self, seconds: float) -> int:
        """The virtual time at which this clock will show so much."""
        missing = int(seconds * 1e6) + 1 - self._local
        return self._since - (-missing * EVEN // self.rate)

    def set_rate(self, rate: int) -> None:
        self._local, self._since = self.micros(), self.now_us
        self.rate = rate

    def jump(self, forward_us: int) -> None:
        """As after the sleep of a virtual machine."""
        assert forward_us >= 0
        self.has_jumped = True
        self._local += forward_us

    def jump_wall(self, by_us: int) -> None:
        self._wall += by_us
