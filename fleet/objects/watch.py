"""Watching a group: its events, one after the other, for threads and for asyncio tasks."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias
from weakref import WeakKeyDictionary

from fleet.blocking import check_may_block
from fleet.errors import ConfigError, FleetError, WaitTimeout
from fleet.objects.context import check_kind
from fleet.objects.event import Event, received
from fleet.objects.state_parts import shown
from fleet.raft.group_events import LAST, GroupEvent, Position
from fleet.raft.ids import Revision

WAITING_MAX: Final = 10_000
WAITING_BYTES_MAX: Final = 16 << 20
"""Events that a watch takes before somebody asks for them; the group keeps the others for it."""
DIGITS_MAX: Final = len(str(LAST))
"""Of a revision or a number of an event."""
Since: TypeAlias = Revision | str | Event | None


class EventSource(Protocol):
    """Where events come from: a client. Its methods may be called in any thread, and do not block."""

    def open(self, queue: "EventQueue") -> None:
        """Raises ClientClosed."""

    def resume(self, queue: "EventQueue") -> None: ...

    def close(self, queue: "EventQueue") -> None: ...


class LoopWakes:
    """Futures of asyncio loops that are to be woken: one call a loop for all that come together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = (
            WeakKeyDictionary()
        )

    def wake(self, future: "asyncio.Future[None]") -> None:
        loop = future.get_loop()
        with self._lock:
            waiting = self._by_loop.setdefault(loop, [])
            waiting.append(future)
            if len(waiting) > 1:
                return
        try:
            loop.call_soon_threadsafe(self._wake_all, loop)
        except RuntimeError:  # it is closed, and nobody waits in it
            with self._lock:
                self._by_loop.pop(loop, None)

    def _wake_all(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            waiting = self._by_loop.pop(loop, [])
        for future in waiting:
            if not future.done():
                future.set_result(None)


class EventQueue:
    """Events on their way from the client's loop to one watch: a sink of `fleet.actors.client.watching`."""

    def __init__(self, since: Position | None, kinds: frozenset[str] | None, wakes: LoopWakes) -> None:
        self.since = since
        self.kinds = kinds
        self.began: Position | None = None
        self.error: FleetError | None = None
        self.events: deque[GroupEvent] = deque()
        self.bytes = 0
        self.is_full = False
        self.watching: Any = None
        """Of the client's own."""
        self._wakes = wakes
        self._changed = threading.Condition()
        self._waiter: asyncio.Future[None] | None = None

    # -- in the client's loop --------------------------------------------------------------------------

    def begins(self, position: Position) -> None:
        self.began = position
        self._wake()

    def take(self, events: Sequence[GroupEvent]) -> bool:
        with self._changed:
            self.events.extend(events)
            self.bytes += sum(event.size for event in events)
            self.is_full = len(self.events) >= WAITING_MAX or self.bytes >= WAITING_BYTES_MAX
            has_room = not self.is_full
        self._wake()
        return has_room

    def fails(self, error: FleetError) -> None:
        self.error = error
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._wakes.wake(waiter)

    # -- where it is watched ---------------------------------------------------------------------------

    def has_news(self) -> bool:
        return bool(self.events) or self.error is not None

    def has_begun(self) -> bool:
        return self.began is not None or self.error is not None

    def pop(self) -> tuple[GroupEvent | None, bool]:
        """The next event, if there is one, and whether there is room again after a lack of it."""
        with self._changed:
            if not self.events:
                return None, False
            event = self.events.popleft()
            self.bytes -= event.size
            resumes = (
                self.is_full and 2 * len(self.events) < WAITING_MAX and 2 * self.bytes < WAITING_BYTES_MAX
            )
            if resumes:
                self.is_full = False
            return event, resumes

    def wait(self, until: Callable[[], bool], timeout: float | None) -> bool:
        with self._changed:
            return self._changed.wait_for(until, timeout)

    async def wait_aio(self, until: Callable[[], bool]) -> None:
        while True:
            with self._changed:
                if until():
                    return
                if self._waiter is None or self._waiter.done():
                    self._waiter = asyncio.get_running_loop().create_future()
                waiter = self._waiter
            await waiter


class Watch:
    """The events of a group from some revision on, each once, in their order, whoever leads the group:

        for event in visits.watch():          # in a thread
        async for event in visits.watch():    # in a task

    It begins when it is entered by `with` or `async with`, or with the first event that is asked for: what is
    emitted after that is told. One thread or task asks at a time. It ends with `close()`, with the block, or
    when nothing refers to it.

    Raises, when it begins and when it is asked: Compacted: events after `since` are not kept any more;
    NoSuchGroup: also when the group is removed; Unavailable: no member tells of events within the client's
    timeout, when it begins; ClientClosed; NotDecodable: the value of one event cannot be loaded here; asked
    again, it goes on behind that.
    """

    def __init__(self, source: EventSource, group: str, since: Since, kinds: Iterable[str] | None) -> None:
        self._queue = EventQueue(position_of(since), _kinds_of(kinds), _wakes)
        self._source = source
        self._group = group
        self._is_open = self._is_closed = False
        self._last: Position | None = None
        self.receive: Callable[[GroupEvent], Event] = received
        """What makes an event of what a node tells."""

    @property
    def since(self) -> str | None:
        """What to give `watch(since=...)` to go on behind the last event that this one told; None: it has
        not begun."""
        last = self._last or self._queue.began or self._queue.since
        if last is None:
            return None
        return f"{last[0]}-{last[1]}" if last[1] < LAST else str(last[0])

    def _open(self) -> None:
        if self._is_closed:
            raise ConfigError("this watch was closed: watch(since=...) begins another")
        if not self._is_open:
            self._is_open = True
            self._source.open(self._queue)

    def _check_begun(self) -> None:
        if self._queue.began is None and self._queue.error is not None:
            raise self._queue.error

    def _take(self) -> Event | None:
        event, resumes = self._queue.pop()
        if resumes:
            self._source.resume(self._queue)
        if event is None:
            if self._queue.error is not None:
                raise self._queue.error
            return None
        self._last = event.position
        return self.receive(event)

    def close(self) -> None:
        """Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            if self._is_open:
                with suppress(FleetError):  # the client is closed
                    self._source.close(self._queue)

    def __del__(self) -> None:
        if hasattr(self, "_is_closed"):
            self.close()

    def __repr__(self) -> str:
        return f"<watch of group {self._group!r}>"

    # -- threads -------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        check_may_block("a watch")
        self._open()
        self._queue.wait(self._queue.has_begun, None)
        self._check_begun()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        return self.next()

    def next(self, timeout: float | None = None) -> Event:
        """The next event. Raises WaitTimeout: there was none within so many seconds."""
        check_may_block("a watch")
        self._open()
        while True:
            event = self._take()
            if event is not None:
                return event
            if not self._queue.wait(self._queue.has_news, timeout):
                raise WaitTimeout(f"group {self._group!r} had no new event in {timeout} s", group=self._group)

    # -- asyncio -------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._open()
        await self._queue.wait_aio(self._queue.has_begun)
        self._check_begun()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        self._open()
        while True:
            event = self._take()
            if event is not None:
                return event
            await self._queue.wait_aio(self._queue.has_news)


_wakes: Final = LoopWakes()


def position_of(since: object) -> Position | None:
    """Raises ConfigError."""
    if since is None:
        return None
    if isinstance(since, Event):
        return since.revision, since.number
    if type(since) is int and 0 <= since <= LAST:
        return since, LAST
    if type(since) is str:
        revision, dash, number = since.partition("-")
        if _is_number(revision) and (_is_number(number) or not dash):
            return min(int(revision), LAST), min(int(number), LAST) if dash else LAST
    raise ConfigError(f"since is a revision, the id of an event, or an event, not {shown(since, 60)}")


def _is_number(text: str) -> bool:
    """Also of so few digits that Python makes a number of them: it refuses thousands."""
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX


def _kinds_of(kinds: Iterable[str] | None) -> frozenset[str] | None:
    if kinds is None:
        return None
    wanted = frozenset((kinds,) if isinstance(kinds, str) else kinds)
    for kind in wanted:
        check_kind(kind)
    if not wanted:
        raise ConfigError("a watch of no kinds of events would never tell one: leave kinds out for all")
    return wanted
