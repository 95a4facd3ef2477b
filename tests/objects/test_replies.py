"""The future of a submitted call, for threads, for `concurrent.futures` and for asyncio."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, InvalidStateError, as_completed, wait
from typing import Any

import pytest

from fleet.errors import CommandFailed, OutcomeUnknown, Unavailable
from fleet.objects.outcomes import CallOutcome, Failed, Succeeded, Unsettled
from fleet.objects.payload import encode_failed, encode_ok
from fleet.objects.replies import Reply
from tests.support.waiting import eventually

ROUNDS = 300
LOST = Failed(Unavailable("no leader"))


def five() -> Succeeded:
    return Succeeded(encode_ok(5), 3)


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads change over at nearly any point."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_thread(act: Any, *args: Any) -> threading.Thread:
    thread = threading.Thread(target=act, args=args)
    thread.start()
    return thread


# -- one thread ----------------------------------------------------------------------------------------


def test_a_reply_is_a_future_that_is_running_until_it_is_settled() -> None:
    reply: Reply[int] = Reply()
    assert isinstance(reply, Future)
    assert (reply.done(), reply.running(), reply.cancelled(), reply.revision) == (False, True, False, 0)
    reply.settle(five())
    assert (reply.done(), reply.running(), reply.cancelled(), reply.revision) == (True, False, False, 3)
    assert (reply.result(), reply.exception()) == (5, None)


@pytest.mark.parametrize(
    ("outcome", "error"),
    [(LOST, Unavailable), (Succeeded(encode_failed("command", "ValueError", "no", "m:f:1")), CommandFailed)],
)
def test_a_failed_call_has_an_exception_wherever_it_failed(outcome: CallOutcome, error: type) -> None:
    reply: Reply[int] = Reply()
    reply.settle(outcome)
    assert isinstance(reply.exception(), error)
    for _ in range(2):
        with pytest.raises(error):
            reply.result()


def test_a_call_under_way_is_neither_cancelled_nor_settled_by_others() -> None:
    reply: Reply[int] = Reply()
    assert not reply.cancel()
    for settle in (reply.set_result, reply.set_exception):
        with pytest.raises(InvalidStateError):
            settle(None)
    with pytest.raises(AssertionError):
        for _ in range(2):
            reply.settle(LOST)


def test_callbacks_are_called_in_order_and_one_that_raises_stops_no_other() -> None:
    reply: Reply[int] = Reply()
    told: list[int] = []
    reply.add_done_callback(lambda reply: told.append(reply.result()))
    reply.add_done_callback(lambda reply: told[10])
    reply.add_done_callback(lambda reply: told.append(reply.revision))
    reply.settle(five())
    reply.add_done_callback(lambda reply: told.append(7))
    assert told == [5, 3, 7]


def test_whoever_stops_waiting_leaves_nothing_behind() -> None:
    reply: Reply[int] = Reply()
    for ask in (reply.result, reply.exception, reply.raw):
        with pytest.raises(TimeoutError):
            ask(0.001)
    assert reply._watchers == []


# -- threads -------------------------------------------------------------------------------------------


def test_a_wait_ends_with_the_outcome_however_close_the_two_are(quick_switches: None) -> None:
    for _ in range(ROUNDS):
        reply: Reply[int] = Reply()
        told: list[Any] = []
        waiting = [in_thread(lambda: told.append(reply.result(10))) for _ in range(3)]
        reply.settle(five())
        for thread in waiting:
            thread.join()
        assert told == [5, 5, 5]


def test_a_callback_that_is_added_while_the_call_is_settled_is_called_once(quick_switches: None) -> None:
    for _ in range(ROUNDS):
        reply: Reply[int] = Reply()
        told: list[int] = []
        settling = in_thread(reply.settle, five())
        for number in range(20):
            reply.add_done_callback(lambda _, number=number: told.append(number))  # type: ignore[misc]
        settling.join()
        assert sorted(told) == list(range(20))


def test_the_functions_of_concurrent_futures_wait_for_replies_and_others(quick_switches: None) -> None:
    for _ in range(ROUNDS // 3):
        replies: list[Future[int]] = [Reply() for _ in range(4)]
        plain: Future[int] = Future()

        def settle() -> None:
            for reply in replies:
                assert isinstance(reply, Reply)
                reply.settle(five())
            plain.set_result(5)

        settling = in_thread(settle)
        done, pending = wait([*replies, plain], 10)
        settling.join()
        assert (done, pending) == ({*replies, plain}, set())


def test_first_completed_first_exception_and_as_completed() -> None:
    first, second, third = (Reply[int]() for _ in range(3))
    assert wait([first, second], 0).not_done == {first, second}
    first.settle(five())
    assert wait([first, second], 10, FIRST_COMPLETED).done == {first}

    def settle_when_waited_for() -> None:
        eventually(lambda: second._waiters, 10, "somebody to wait")
        second.settle(LOST)
        stopped.append(eventually(lambda: not second._waiters, 5, "it to stop waiting"))

    stopped: list[bool] = []
    settling = in_thread(settle_when_waited_for)
    assert wait([second, third], 10, FIRST_EXCEPTION) == ({second}, {third})
    settling.join()
    assert stopped == [True]
    three: list[Future[int]] = [first, second, third]
    each = as_completed(three, 10)
    assert {next(each), next(each)} == {first, second}
    third.settle(five())
    assert list(each) == [third]


def test_an_interrupt_ends_a_wait_at_once_and_the_call_goes_on() -> None:
    reply: Reply[int] = Reply()

    def interrupt() -> None:
        eventually(lambda: reply._watchers, 10, "somebody to wait")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        interrupting = in_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            reply.result(30)
    finally:
        signal.signal(signal.SIGINT, before)
    interrupting.join()
    reply.settle(five())
    assert reply.result(0) == 5


# -- asyncio -------------------------------------------------------------------------------------------


def test_a_reply_can_be_wrapped_for_asyncio_and_given_up_there() -> None:
    reply: Reply[int] = Reply()

    async def main() -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(reply), 0.001)
        asyncio.get_running_loop().call_later(0.001, reply.settle, five())
        return await asyncio.wrap_future(reply)

    assert asyncio.run(main()) == 5


# -- late ----------------------------------------------------------------------------------------------


def test_an_unsettled_call_raises_its_error_for_good_and_the_late_end_is_for_again() -> None:
    reply: Reply[int] = Reply()
    unknown = OutcomeUnknown("sent, and not answered in time")
    reply.settle(Unsettled(unknown))
    late = in_thread(reply.settle_late, five())
    assert unknown.again(10) == 5
    late.join()
    with pytest.raises(OutcomeUnknown):
        reply.result()
    assert (reply.revision, reply.later.revision) == (0, 3)
