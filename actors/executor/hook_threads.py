"""Leader hooks in a few threads of the node, off the event loop."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fleet.objects.hooks import HookCall, log

EVENTS_MAX: Final = 10_000
BYTES_MAX: Final = 64 << 20
THREADS_MAX: Final = 16
"""So many groups may have a hook that blocks before others have to wait for one of them."""
SLICE: Final = 32
"""Calls of one group in a row, while others wait."""
LOG_EVERY_S: Final = 60.0
CLOSE_S: Final = 1.0
IDLE_S: Final = 30.0
"""A thread without work ends after this."""


@dataclass(slots=True)
class Lane:
    """What waits for one group's hooks.

    Invariant: it is in the runner's `ready` or a thread works on it exactly when `is_busy`; `loose` and
    `loose_bytes` count the waiting calls that may be dropped.
    """

    group: str
    waiting: deque[HookCall] = field(default_factory=deque)
    loose: int = 0
    loose_bytes: int = 0
    is_busy: bool = False
    running: str = ""
    """The hook that runs now."""
    dropped: int = 0
    logged: int = 0
    """How many of the dropped ones the log knows of."""
    logged_at: float = float("-inf")

    def add(self, call: HookCall) -> None:
        self.waiting.append(call)
        if call.may_drop:
            self.loose += 1
            self.loose_bytes += call.size

    def take(self) -> HookCall:
        call = self.waiting.popleft()
        if call.may_drop:
            self.loose -= 1
            self.loose_bytes -= call.size
        return call

    def drop_oldest(self) -> None:
        """Those that are never dropped are few, so the search ends soon."""
        assert self.loose > 0
        place = next(place for place, call in enumerate(self.waiting) if call.may_drop)
        self.loose -= 1
        self.loose_bytes -= self.waiting[place].size
        del self.waiting[place]
        self.dropped += 1

    def keep_only_lasting(self) -> None:
        self.waiting = deque(call for call in self.waiting if not call.may_drop)
        self.loose = self.loose_bytes = 0


class ThreadRunner:
    """`fleet.objects.hooks.HookRunner` in daemon threads that start when there is work.

    A slow group fills its own lane only. A group that blocks for ever costs one thread; when all
    `threads_max` are so lost, other groups wait too, and the log says so.
    """

    def __init__(
        self,
        threads_max: int = THREADS_MAX,
        events_max: int = EVENTS_MAX,
        bytes_max: int = BYTES_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.threads_max = threads_max
        self.events_max = events_max
        self.bytes_max = bytes_max
        self._now = now
        self._changed = threading.Condition()
        """Guards everything below."""
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._starved_logged_at = float("-inf")

    # -- the members' side -------------------------------------------------------------------------

    def submit(self, group: str, call: HookCall) -> None:
        with self._changed:
            if self._closed:
                return
            lane = self._lanes.get(group)
            if lane is None:
                lane = self._lanes[group] = Lane(group)
            lane.add(call)
            if lane.loose > self.events_max or lane.loose_bytes > self.bytes_max:
                self._make_room(lane)
            if lane.waiting and not lane.is_busy:
                lane.is_busy = True
                self._ready.append(lane)
                self._find_thread()
            elif self._ready and not self._threads:  # none could be started before
                self._find_thread()

    def dropped(self, group: str) -> int:
        """How many events of the group were left out since the node started."""
        with self._changed:
            lane = self._lanes.get(group)
            return lane.dropped if lane is not None else 0

    def _make_room(self, lane: Lane) -> None:
        while lane.loose > self.events_max or lane.loose_bytes > self.bytes_max:
            lane.drop_oldest()
        now = self._now()
        if now - lane.logged_at >= LOG_EVERY_S:
            news, lane.logged, lane.logged_at = lane.dropped - lane.logged, lane.dropped, now
            what = f"hook={lane.running} is too slow" if lane.running else "events come too fast"
            log.error("group=%s %s: %d events dropped, %d in all", lane.group, what, news, lane.dropped)

    def _find_thread(self) -> None:
        if self._idle >= len(self._ready):
            self._changed.notify()
        elif len(self._threads) < self.threads_max:
            thread = threading.Thread(target=self._work, name="fleet-hooks", daemon=True)
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError as error:
                self._threads.remove(thread)
                self._say_starved(f"no thread for hooks can be started: {error}")
        else:
            running = [f"{lane.group}:{lane.running}" for lane in self._lanes.values() if lane.running]
            if len(running) == self.threads_max:
                self._say_starved(f"all {self.threads_max} threads for hooks are busy: {', '.join(running)}")

    def _say_starved(self, what: str) -> None:
        """What waits is taken up by the next thread that is free or started."""
        if self._now() - self._starved_logged_at >= LOG_EVERY_S:
            self._starved_logged_at = self._now()
            log.warning("%s", what)

    def close(self, wait_s: float = CLOSE_S) -> None:
        """Commands and queries that wait are left out; the hook that runs and the other events have
        `wait_s` to end. A hook that blocks longer is left behind in its daemon thread."""
        until = time.monotonic() + wait_s
        with self._changed:
            self._closed = True
            for lane in self._lanes.values():
                lane.keep_only_lasting()
            self._changed.notify_all()
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        with self._changed:
            for lane in self._lanes.values():
                lane.waiting.clear()
            late = [f"{lane.group}:{lane.running}" for lane in self._lanes.values() if lane.running]
        if late:
            log.warning("hooks still run and are left behind: %s", ", ".join(late))

    # -- the threads -------------------------------------------------------------------------------

    def _work(self) -> None:
        while (lane := self._next_lane()) is not None:
            for _ in range(SLICE):
                call = self._next_call(lane)
                if call is None:
                    break
                call.carry_out(lane.group)
                del call  # what it holds may be big, and the next may be long in coming
            else:
                self._requeue(lane)

    def _next_lane(self) -> Lane | None:
        """None: this thread is not needed any more."""
        with self._changed:
            while not self._ready:
                self._idle += 1
                is_woken = not self._closed and self._changed.wait(IDLE_S)
                self._idle -= 1
                if not self._ready and not is_woken:
                    self._threads.remove(threading.current_thread())
                    return None
            return self._ready.popleft()

    def _next_call(self, lane: Lane) -> HookCall | None:
        with self._changed:
            if not lane.waiting:
                lane.is_busy, lane.running = False, ""
                return None
            call = lane.take()
            lane.running = call.hook
            return call

    def _requeue(self, lane: Lane) -> None:
        with self._changed:
            lane.running = ""
            self._ready.append(lane)
