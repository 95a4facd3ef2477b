"""The future of a call that is under way."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from functools import partial
from logging import getLogger
from typing import Any, NoReturn, TypeVar, cast

from fleet.blocking import check_may_block
from fleet.errors import OutcomeUnknown
from fleet.objects.outcomes import CallEnd, CallOutcome, Succeeded, Unsettled
from fleet.objects.payload import ReadResult, decode_result
from fleet.raft.ids import Revision

R = TypeVar("R")
log = getLogger("fleet.client")
_making_shared = threading.Lock()


class Reply(Future[R]):
    """A `concurrent.futures.Future` without a lock of its own. The first thread that asks for the result
    decodes it, so the client's loop never unpickles users' data.

    It cannot be cancelled: the call is under way. A task that awaits it may be cancelled.

    Invariant: a watcher is called once. The client's loop sets `_outcome` and then looks at `_watchers`; a
    watcher is added before `_outcome` is looked at; whichever of the two takes it off the list calls it.
    """

    later: "Reply[R]"
    """Of an unsettled call: what became of it."""
    _outcome: CallOutcome | None = None
    _is_decoded = False
    _value: R
    _failure: BaseException | None = None
    _shared: "_Shared | None" = None

    def __init__(self, read: ReadResult = decode_result) -> None:
        self._read = read
        # Future's own makes a condition, in 1 us: few replies need one.
        self._watchers: list[Callable[[Any], object]] = []

    # -- the client's loop -------------------------------------------------------------------------

    def settle(self, outcome: CallOutcome) -> None:
        assert self._outcome is None
        if type(outcome) is Unsettled:
            self.later = later_of(outcome.error, self._read)
        self._outcome = outcome
        if self._watchers:
            self._call_watchers()

    def settle_late(self, end: CallEnd) -> None:
        self.later.settle(end)

    def _call_watchers(self) -> None:
        watchers = self._watchers
        while watchers:
            try:
                watcher = watchers.pop(0)
            except IndexError:  # the other thread took the last one
                return
            try:
                watcher(self)
            except Exception:  # it is its author's, and must not end the client
                log.exception("a callback of %r raised", self)

    # -- whoever waits -----------------------------------------------------------------------------

    @property
    def revision(self) -> Revision:
        """The group's revision at which the command took effect, or that the query saw; 0 before that."""
        outcome = self._outcome
        return outcome.revision if isinstance(outcome, Succeeded) else 0

    def done(self) -> bool:
        return self._outcome is not None

    def running(self) -> bool:
        return self._outcome is None

    def cancelled(self) -> bool:
        return False

    def cancel(self) -> bool:
        """False: the call is under way."""
        return False

    def result(self, timeout: float | None = None) -> R:
        if not self._is_decoded:
            self._decode(self.raw(timeout))
        if self._failure is not None:
            raise self._failure
        return self._value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        outcome = self._awaited(timeout)
        if not isinstance(outcome, Succeeded):
            return outcome.error
        if not self._is_decoded:
            self._decode(outcome.value)
        return self._failure

    def raw(self, timeout: float | None = None) -> bytes:
        """The encoded result. Raises as `result`, except for what the encoded result holds."""
        outcome = self._awaited(timeout)
        if not isinstance(outcome, Succeeded):
            raise outcome.error
        return outcome.value

    def _awaited(self, timeout: float | None) -> CallOutcome:
        if self._outcome is None:
            sleep = threading.Lock()
            sleep.acquire()
            self.add_done_callback(wake := lambda reply: sleep.release())
            if not sleep.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
                self._forget(wake)
                raise TimeoutError
        assert self._outcome is not None
        return self._outcome

    def _decode(self, data: bytes) -> None:
        try:
            self._value = self._read(data)
        except Exception as error:  # it is the outcome, and raised for every caller
            self._failure = error
        self._is_decoded = True

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        self._watchers.append(fn)
        if self._outcome is not None:
            self._call_watchers()

    def _forget(self, watcher: Callable[[Any], object]) -> None:
        try:
            self._watchers.remove(watcher)
        except ValueError:  # it was just called
            pass

    def __repr__(self) -> str:
        return f"<Reply at {id(self):#x} {'settled' if self.done() else 'under way'}>"

    # -- what `concurrent.futures` itself uses -----------------------------------------------------

    def set_result(self, result: object) -> NoReturn:
        raise InvalidStateError("a call is settled by its client alone")

    def set_exception(self, exception: BaseException | None) -> NoReturn:
        raise InvalidStateError("a call is settled by its client alone")

    @property
    def _seen(self) -> "_Shared":
        with _making_shared:
            shared, is_new = self._shared, self._shared is None
            if shared is None:
                shared = self._shared = _Shared()
        if is_new:
            self.add_done_callback(shared.finish)
        return shared

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        return self._seen.condition

    @property
    def _state(self) -> str:  # type: ignore[override]
        return self._seen.state

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]
        return self._seen.waiters


class _Shared:
    """What `wait` and `as_completed` of `concurrent.futures` look at and change under their condition."""

    __slots__ = ("condition", "state", "waiters")

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.state = "RUNNING"
        self.waiters: list[Any] = []

    def finish(self, reply: Reply[Any]) -> None:
        with self.condition:
            self.state = "FINISHED"
            for waiter in self.waiters:
                if isinstance(reply._outcome, Succeeded):
                    waiter.add_result(reply)
                else:
                    waiter.add_exception(reply)
            self.condition.notify_all()


# -- what became of an unsettled call ----------------------------------------------------------------


def later_of(unknown: OutcomeUnknown, read: ReadResult) -> Reply[Any]:
    """What `unknown.again` waits for."""
    later: Reply[Any] = Reply(read)
    unknown._again = partial(_wait_again, later, unknown)
    unknown._again_aio = partial(_await_again, later, unknown)
    return later


def _wait_again(later: Reply[R], unknown: OutcomeUnknown, timeout: float | None = None) -> R:
    """`OutcomeUnknown.again`: the same error once more when the time is over."""
    check_may_block("error.again()")
    try:
        return later.result(timeout)
    except TimeoutError:
        raise unknown from None


async def _await_again(later: Reply[R], unknown: OutcomeUnknown, timeout: float | None = None) -> R:
    try:
        return cast(R, await asyncio.wait_for(asyncio.wrap_future(later), timeout))
    except TimeoutError:
        raise unknown from None
