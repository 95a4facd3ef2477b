"""Real time and IO: a loop in one thread, on epoll or what stands in for it, runs a kernel and its links.

A turn: read what has arrived, run what other threads have posted, run the kernel until no message waits or
TURN_S_MAX is over, then send what the turn has queued on each link, with one call per link.
"""

import errno
import heapq
import logging
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Protocol

from fleet.actors.base.addresses import ActorId, Address, LocalId
from fleet.actors.base.kernel import Kernel
from fleet.blocking import HERE
from fleet.system.poll import ONCE, READ, open_poll
from fleet.system.wakeup import Wakeup

log = logging.getLogger("fleet.base")

TURN_S_MAX = 0.010
"""How long messages are handled before the links are served; a single handler may take longer.

Longer than the interpreter's switch interval (5 ms): a waiting thread forces a switch after that time, but
waits anew whenever the loop releases the interpreter between two turns.
"""
_SLICE = 64
"""Messages handled between two readings of the clock."""
_EVENTS_MAX = 256
_SPIN_S = 0.000_05
"""Being woken on an idle core takes about this long, twice in each round trip."""
_SHORT_WAIT_S = 0.000_2
_SHORT_WAITS = 32
"""After this many short waits in a row another is likely, and polling is cheaper than sleeping."""
_POLL_S_MAX = 3600.0
_QUEUE_MAX = 1000
"""With more messages waiting, none are read: they stay in the senders' sockets."""
_UNREAD_TURNS_MAX = 8
"""But for no more turns than this: an actor may send to itself endlessly."""
_LOG_EVERY_S = 60.0
STACK_LINES = 6
"""The innermost frames that are logged of a thread that hangs."""


class LinkLayer(Protocol):
    def send(self, dst: ActorId, sender: Address, message: Any) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Reactor:
    """The kernel's Transport. Only `post`, `end` and `join` may be called from other threads."""

    def __init__(self) -> None:
        self.now = monotonic
        self._poll = open_poll()
        self._wakeup = Wakeup()
        self._poll.register(self._wakeup.fd, READ)
        self._handlers: dict[int, Callable[[int], None]] = {self._wakeup.fd: self._woken}
        self._inbox: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._after_flush: list[Callable[[], None]] = []
        self._timers_set = 0
        self._watched: dict[LocalId, dict[int, Callable[[int], None]]] = {}
        self._asleep = False
        self._ending = False
        self._short_waits = 0
        self._unread_turns = 0
        self._logged: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._on_end: Callable[[], None] = lambda: None

    # -- from any thread ---------------------------------------------------------------------------

    def start(
        self, kernel: Kernel, links: LinkLayer, on_stop: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        """Run until `end`. Calls `on_stop` when an actor asks to stop, and `on_end` last of all."""
        self.kernel = kernel
        self.links = links
        self.stop = on_stop
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name="fleet-loop", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._end()
            raise OSError(errno.EAGAIN, f"the actors' thread cannot be started: {error}") from None

    def post(self, action: Callable[[], None]) -> None:
        """Run `action` in the loop's thread, soon."""
        self._inbox.append(action)
        if self._asleep:  # set before the loop reads the inbox for the last time, so no action is missed
            self._wake()

    def _wake(self) -> None:
        try:
            self._wakeup.set()
        except OSError:
            pass  # already awake, or closed

    def in_loop(self) -> bool:
        return self._thread is not None and threading.get_ident() == self._thread.ident

    def end(self) -> None:
        """End the loop after the current turn, without asking any actor."""
        self.post(self._end_now)

    def _end_now(self) -> None:
        self._ending = True

    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout: float | None = None) -> bool:
        assert self._thread is not None and not self.in_loop()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def where(self) -> str:
        """The stack of the loop's thread, for the log."""
        frame = sys._current_frames().get(self._thread.ident or 0) if self._thread is not None else None
        return "".join(traceback.format_stack(frame)[-STACK_LINES:]) if frame is not None else ""

    # -- for the kernel and the links, in the loop's thread ----------------------------------------

    def send(self, dst: ActorId, sender: Address, message: Any) -> None:
        self.links.send(dst, sender, message)

    def add(self, fd: int, mask: int, handler: Callable[[int], None]) -> None:
        self._poll.register(fd, mask)
        self._handlers[fd] = handler

    def change(self, fd: int, mask: int) -> None:
        self._poll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Idempotent."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def call_at(self, when: float, action: Callable[[], None]) -> None:
        """Run `action` at that time. Cannot be cancelled: `action` must check whether it is still wanted."""
        self._timers_set += 1
        heapq.heappush(self._timers, (when, self._timers_set, action))

    def after_flush(self, action: Callable[[], None]) -> None:
        """Run `action` at the end of this turn, once everything that was sent in it has left."""
        self._after_flush.append(action)

    def watch(self, local: LocalId, filenos: Sequence[int]) -> None:
        """Report each descriptor once, when readable, until the actor asks again: the loop cannot spin."""
        self._unwatch(local)
        watched: dict[int, Callable[[int], None]] = {}
        for fd in dict.fromkeys(filenos):
            try:
                self._poll.register(fd, READ | ONCE)
            except PermissionError:  # a regular file: always readable, and cannot be polled
                self.kernel.ready(local, [fd])
                continue
            except (OSError, ValueError) as error:
                log.warning("actor=%s cannot watch descriptor %s: %s", local, fd, error)
                continue
            self._handlers[fd] = watched[fd] = partial(self._readable, local, fd)
        if watched:
            self._watched[local] = watched

    def _unwatch(self, local: LocalId) -> None:
        for fd, handler in self._watched.pop(local, {}).items():
            if self._handlers.get(fd) is not handler:
                continue  # the actor has closed it, and a link has the number now
            del self._handlers[fd]
            try:
                self._poll.unregister(fd)
            except (OSError, ValueError):
                pass  # closed, which removes it from the poll

    def _readable(self, local: LocalId, fd: int, mask: int) -> None:
        self.kernel.ready(local, [fd])

    # -- the loop ----------------------------------------------------------------------------------

    def _run(self) -> None:
        HERE.in_loop = True
        try:
            more = False
            while not self._ending:
                more = self._turn(more)
        except Exception:
            log.critical("the loop failed and ends; its actors are lost", exc_info=True)
        finally:
            self._end()

    def _turn(self, more: bool) -> bool:
        if len(self.kernel.queue) > _QUEUE_MAX and self._unread_turns < _UNREAD_TURNS_MAX:
            self._unread_turns += 1
            events: list[tuple[int, int]] = []
        else:
            self._unread_turns = 0
            self._asleep = True
            timeout = 0.0 if more or self._inbox else self._timeout()
            events = self._wait(timeout) if timeout else self._poll.poll(0, _EVENTS_MAX)
            self._asleep = False
        for fd, mask in events:
            handler = self._handlers.get(fd)
            if handler is not None:
                try:
                    handler(mask)
                except BaseException:  # other descriptors still have to be handled
                    self._handler_failed(fd, handler)
        inbox = self._inbox
        for _ in range(len(inbox)):
            self._guarded(inbox.popleft())
        now = monotonic()
        timers = self._timers
        while timers and timers[0][0] <= now:
            self._guarded(heapq.heappop(timers)[2])
        kernel = self.kernel
        try:
            more = kernel.run(now, _SLICE)
            if more:
                until = now + TURN_S_MAX
                while more and (now := monotonic()) < until:
                    more = kernel.run(now, _SLICE)
        except Exception:
            self._log_failure("delivering a message")
        self._guarded(self.links.flush)
        if self._after_flush:
            actions, self._after_flush = self._after_flush, []
            for action in actions:
                self._guarded(action)
        return bool(kernel.queue)  # a link that failed in the flush has queued messages

    def _wait(self, timeout: float) -> list[tuple[int, int]]:
        """Wait for events; after a series of short waits, poll for a moment before sleeping."""
        poll, begun = self._poll.poll, monotonic()
        events: list[tuple[int, int]] = []
        if self._short_waits >= _SHORT_WAITS:
            until = begun + min(timeout, _SPIN_S)
            while not events and monotonic() < until:
                events = poll(0, _EVENTS_MAX)
            if not events:
                self._short_waits = 0
        else:
            self._short_waits += 1
        if not events:
            events = poll(timeout, _EVENTS_MAX)
            if monotonic() - begun > _SHORT_WAIT_S:
                self._short_waits = 0
        return events

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException:
            self._log_failure(action)

    def _handler_failed(self, fd: int, handler: Callable[[int], None]) -> None:
        """Stop watching the descriptor: a handler that fails each time would make the loop spin."""
        self._log_failure(handler)
        if self._handlers.get(fd) is handler and fd != self._wakeup.fd:
            try:
                self.remove(fd)
            except (OSError, ValueError):
                pass  # closed, which removes it from the poll

    def _log_failure(self, what: Any) -> None:
        """Once a minute: what fails at every turn must not fill the disk."""
        now, name = monotonic(), getattr(what, "__qualname__", type(what).__name__)
        if now >= self._logged.get(name, 0.0):
            self._logged[name] = now + _LOG_EVERY_S
            log.error("%s failed; the loop continues", what, exc_info=True)

    def _timeout(self) -> float:
        when = self.kernel.next_timer()
        if self._timers and (when is None or self._timers[0][0] < when):
            when = self._timers[0][0]
        if when is None:
            return _POLL_S_MAX
        return min(max(0.0, when - monotonic()), _POLL_S_MAX)

    def _woken(self, mask: int) -> None:
        self._wakeup.clear()

    def _end(self) -> None:
        self._asleep = False
        try:
            self.links.close()
        finally:
            self._poll.close()
            self._wakeup.close()
            self._handlers.clear()
            self._timers.clear()
            self._on_end()
