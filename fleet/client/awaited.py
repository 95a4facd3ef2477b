"""Calls that asyncio tasks await: decoded and settled in the loop of the task, which is woken once for all
calls that one reply settles."""

import asyncio
from collections import deque
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from fleet.objects.handles import AtRevision
from fleet.objects.outcomes import CallEnd, CallOutcome, Succeeded, Unsettled
from fleet.objects.payload import ReadResult, decode_result
from fleet.objects.replies import Reply, later_of

Future: TypeAlias = "asyncio.Future[Any]"


class Deliveries:
    """Outcomes on their way into one asyncio loop. One client's loop puts them, and the other takes them."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Future, CallOutcome, bool, ReadResult]] = deque()
        self._is_called = False

    def put(
        self, future: Future, outcome: CallOutcome, with_revision: bool, read: ReadResult = decode_result
    ) -> None:
        self._waiting.append((future, outcome, with_revision, read))
        if not self._is_called:
            self._is_called = True
            try:
                future.get_loop().call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed, and nobody awaits anything in it
                self._waiting.clear()
                self._is_called = False

    def _deliver(self) -> None:
        self._is_called = False  # before the look: what comes after it calls again
        try:
            while self._waiting:
                future, outcome, with_revision, read = self._waiting.popleft()
                if not future.done():  # it is when its task was cancelled
                    _settle(future, outcome, with_revision, read)
        finally:
            if self._waiting:  # something that is no Exception came out of the decoding
                asyncio.get_running_loop().call_soon(self._deliver)


def _settle(future: Future, outcome: CallOutcome, with_revision: bool, read: ReadResult) -> None:
    if not isinstance(outcome, Succeeded):
        future.set_exception(outcome.error)
        return
    try:
        value = read(outcome.value)
    except Exception as error:  # it is the outcome
        future.set_exception(error)
    else:
        future.set_result(AtRevision(value, outcome.revision) if with_revision else value)


class AwaitedReply:
    """The receiver of a call that a task awaits."""

    __slots__ = ("_deliveries", "_later", "_read", "_with_revision", "future")
    _later: Reply[Any]

    def __init__(
        self, future: Future, deliveries: Deliveries, with_revision: bool, read: ReadResult = decode_result
    ) -> None:
        self.future = future
        self._deliveries = deliveries
        self._with_revision = with_revision
        self._read = read

    def settle(self, outcome: CallOutcome) -> None:
        if type(outcome) is Unsettled:
            self._later = later_of(outcome.error, self._read)
        self._deliveries.put(self.future, outcome, self._with_revision, self._read)

    def settle_late(self, end: CallEnd) -> None:
        self._later.settle(end)


class LoopDeliveries:
    """The deliveries of one client, by loop."""

    def __init__(self) -> None:
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Deliveries] = WeakKeyDictionary()

    def new_reply(self, with_revision: bool = False, read: ReadResult = decode_result) -> AwaitedReply:
        loop = asyncio.get_event_loop()
        deliveries = self._by_loop.get(loop)
        if deliveries is None:
            deliveries = self._by_loop[loop] = Deliveries()
        return AwaitedReply(loop.create_future(), deliveries, with_revision, read)
