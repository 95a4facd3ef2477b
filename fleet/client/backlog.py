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
    """Calls that were accepted from callers and have not come to their end, limited in number and bytes.

    Calls that wait for room are admitted in the order of arrival. A single call of any size fits alone.
    Invariant: `_is_free` exactly while no call waits and it is not closed.
    """

    def __init__(self, count_max: int, bytes_max: int, waits: bool = False) -> None:
        for name, value in (("calls_max", count_max), ("bytes_max", bytes_max)):
            if type(value) is not int or value < 1:
                raise ConfigError(f"{name} must be a whole number from 1, not {value!r}")
        self.count_max = count_max
        self.bytes_max = bytes_max
        self.waits = waits
        """Whether calls wait for room unless they say otherwise."""
        self.count = 0
        self.bytes = 0
        self._waiting: deque[Place] = deque()
        self._closed: FleetError | None = None
        self._is_free = True
        self._lock = threading.Lock()

    def enter(self, size: int, waits: bool | None = None) -> Place | None:
        """None: admitted. Otherwise the place to wait at; a call that does not wait raises Overloaded."""
        with self._lock:
            held = self.bytes + size
            if self._is_free and (held <= self.bytes_max and self.count < self.count_max or not self.count):
                self.count += 1
                self.bytes = held
                return None
            if self._closed is not None:
                raise self._closed
            if not (self.waits if waits is None else waits):
                raise self._overloaded()
            place = Place(size)
            self._waiting.append(place)
            self._is_free = False
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
                self.leave(1, place.size)
            raise

    def leave(self, count: int, size: int) -> None:
        """So many calls, of `size` bytes in all, have come to their end, or were not sent after all."""
        with self._lock:
            self.count -= count
            self.bytes -= size
            admitted = self._admitted() if self._waiting else ()
        for place in admitted:
            place.admitted.set_result(None)

    def _admitted(self) -> list[Place]:
        """Those that waited and have room now."""
        admitted = []
        while self._waiting and self._has_room(self._waiting[0].size):
            place = self._waiting.popleft()
            self.count += 1
            self.bytes += place.size
            admitted.append(place)
        self._is_free = not self._waiting and self._closed is None
        return admitted

    def close(self, error: FleetError) -> None:
        """Refuse calls from now on, and those that wait, with `error`."""
        with self._lock:
            self._closed, self._is_free = error, False
            waiting, self._waiting = self._waiting, deque()
        for place in waiting:
            place.admitted.set_exception(error)

    def _withdraw(self, place: Place) -> bool:
        """False: it has just been admitted."""
        with self._lock:
            if place not in self._waiting:
                return False
            self._waiting.remove(place)
            admitted = self._admitted()  # a smaller one behind it
        for one in admitted:
            one.admitted.set_result(None)
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
