"""Limits on the calls that a client holds for its callers, and the queue of callers that wait for room."""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from fleet.errors import ConfigError, FleetError, Overloaded


def _unanswered() -> "Future[None]":
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()  # its awaiter may give up, but not cancel it
    return future


@dataclass(slots=True, eq=False)
class Place:
    """The place in the queue of a call that waits for room."""

    size: int
    admitted: "Future[None]" = field(default_factory=_unanswered)


class Backlog:
    """Calls that were accepted from callers and are not settled, limited in number and bytes.

    Calls that wait for room are admitted in the order of arrival. A single call of any size fits alone.
    Only one thread may call `leave`, which takes no lock: arrivals and departures are counted separately.
    """

    def __init__(self, count_max: int, bytes_max: int) -> None:
        for name, value in (("calls_max", count_max), ("bytes_max", bytes_max)):
            if type(value) is not int or value < 1:
                raise ConfigError(f"{name} must be a whole number from 1, not {value!r}")
        self.count_max = count_max
        self.bytes_max = bytes_max
        self._came = self._came_bytes = 0
        self._left = self._left_bytes = 0
        self._waiting: deque[Place] = deque()
        self._closed: FleetError | None = None
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        return self._came - self._left

    @property
    def bytes(self) -> int:
        return self._came_bytes - self._left_bytes

    def enter(self, size: int, waits: bool) -> Place | None:
        """None: admitted. Otherwise the place to wait at, or Overloaded is raised without `waits`."""
        with self._lock:
            if self._closed is not None:
                raise self._closed
            if not self._waiting:
                count = self._came - self._left
                held = self._came_bytes - self._left_bytes
                if not count or (count < self.count_max and held + size <= self.bytes_max):
                    self._came += 1
                    self._came_bytes += size
                    return None
            if not waits:
                raise self._overloaded()
            place = Place(size)
            self._waiting.append(place)
        self._admit()  # `leave` may have made room just before it could see the place
        return place

    def wait(self, place: Place, seconds: float) -> None:
        """Block until it is admitted. Raises Overloaded after `seconds`."""
        try:
            place.admitted.result(seconds)
        except TimeoutError:
            if self._withdraw(place):
                raise self._overloaded() from None

    async def wait_aio(self, place: Place, seconds: float) -> None:
        """As `wait`, for an asyncio task."""
        try:
            await asyncio.wait_for(asyncio.wrap_future(place.admitted), seconds)
        except TimeoutError:
            if self._withdraw(place):
                raise self._overloaded() from None
        except asyncio.CancelledError:
            if not self._withdraw(place) and place.admitted.exception() is None:
                self.undo(place.size)
            raise

    def leave(self, count: int, size: int) -> None:
        """So many calls, of `size` bytes in all, have come to their end."""
        self._left += count
        self._left_bytes += size
        if self._waiting:
            self._admit()

    def undo(self, size: int) -> None:
        """A call of `size` bytes was admitted and is not sent after all."""
        with self._lock:
            self._came -= 1
            self._came_bytes -= size
        self._admit()

    def _admit(self) -> None:
        admitted = []
        with self._lock:
            while self._waiting and self._has_room(self._waiting[0].size):
                place = self._waiting.popleft()
                self._came += 1
                self._came_bytes += place.size
                admitted.append(place)
        for place in admitted:
            place.admitted.set_result(None)

    def close(self, error: FleetError) -> None:
        """Refuse calls from now on, and those that wait, with `error`."""
        with self._lock:
            self._closed = error
            waiting, self._waiting = self._waiting, deque()
        for place in waiting:
            place.admitted.set_exception(error)

    def _withdraw(self, place: Place) -> bool:
        """False: it has just been admitted."""
        with self._lock:
            if place not in self._waiting:
                return False
            self._waiting.remove(place)
            return True

    def _has_room(self, size: int) -> bool:
        return not self.count or (self.count < self.count_max and self.bytes + size <= self.bytes_max)

    def _overloaded(self) -> Overloaded:
        return Overloaded(
            "too much is under way in this client",
            calls=self.count,
            calls_max=self.count_max,
            bytes=self.bytes,
            bytes_max=self.bytes_max,
        )
