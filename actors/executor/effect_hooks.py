"""Events on their way to `on_effect`: one after the other, each until it returns.

What was done is acknowledged through the log, as soon as the leader's member asks how far it is
(`fleet.actors.member.effect_acks`). A new leader begins behind what is acknowledged.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from fleet.objects.hooks import HookCall, HookRunner, log
from fleet.raft.group_events import GroupEvent, Position


class EffectHooks:
    """Invariant: one call of the hook is under way when `is_running`, else none; `waiting` is in order."""

    def __init__(self, group: str, runner: HookRunner, tell: Callable[[GroupEvent], None]) -> None:
        self.group = group
        self.runner = runner
        self.tell = tell
        self.lock = threading.Lock()
        """Guards everything below: the hook runs in another thread."""
        self.waiting: deque[GroupEvent] = deque()
        self.leadership = 0
        self.newest: Position = (0, 0)
        """Of those that were added."""
        self.done: Position = (0, 0)
        self.is_running = False
        self.is_failing = False
        """The first that waits has failed, and is tried again when `go_on` is called."""

    def begin(self, events: Iterable[GroupEvent]) -> None:
        """Of a new leadership: those that are not acknowledged."""
        self.end()
        with self.lock:
            self.newest = (0, 0)
        self.add(events)

    def end(self) -> None:
        """What runs goes on to its end; nobody asks for it any more."""
        with self.lock:
            self.leadership += 1
            self.waiting.clear()
            self.done, self.is_failing, self.is_running = (0, 0), False, False

    def add(self, events: Iterable[GroupEvent]) -> None:
        with self.lock:
            self.waiting.extend(events)
            if self.waiting:
                self.newest = self.waiting[-1].position
            is_failing = self.is_failing
        if not is_failing:
            self.go_on()

    def go_on(self) -> None:
        with self.lock:
            if self.is_running or not self.waiting:
                return
            self.is_running, self.is_failing = True, False
            leadership = self.leadership
        self.runner.submit(self.group, HookCall("on_effect", partial(self._run, leadership)))

    def _run(self, leadership: int) -> None:
        while True:
            with self.lock:
                if self.leadership != leadership:
                    return
                if not self.waiting:
                    self.is_running = False
                    return
                event = self.waiting[0]
            try:
                self.tell(event)
            except KeyboardInterrupt:
                raise
            except BaseException:  # also sys.exit(), as in other hooks
                with self.lock:
                    if self.leadership == leadership:
                        self.is_running, self.is_failing = False, True
                log.exception("group=%s hook=on_effect fails, and is tried again", self.group)
                return
            with self.lock:
                if self.leadership == leadership:
                    self.waiting.popleft()
                    self.done = event.position
