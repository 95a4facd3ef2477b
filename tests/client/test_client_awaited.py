"""Calls that asyncio tasks await, settled by a client's loop in another thread."""

import asyncio
import gc
import threading
from typing import Any

import pytest

from fleet.client.awaited import AwaitedReply, LoopDeliveries
from fleet.errors import OutcomeUnknown, Unavailable
from fleet.objects.handles import AtRevision
from fleet.objects.outcomes import Failed, Succeeded, Unsettled
from fleet.objects.payload import encode_ok


def settle_all(replies: list[AwaitedReply]) -> None:
    """As the client's loop does with one reply of a node."""
    for number, reply in enumerate(replies):
        reply.settle(Succeeded(encode_ok(number)))


def test_all_that_is_settled_together_wakes_the_loop_once() -> None:
    async def main() -> tuple[list[int], int]:
        loop, deliveries, woken = asyncio.get_running_loop(), LoopDeliveries(), []
        wake = loop.call_soon_threadsafe

        def count(*args: Any) -> Any:
            woken.append(args)
            return wake(*args)

        replies = [deliveries.new_reply() for _ in range(100)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", count)
            settling = threading.Thread(target=settle_all, args=(replies,))
            settling.start()
            settling.join()  # the loop stands still meanwhile
        return [await reply.future for reply in replies], len(woken)

    assert asyncio.run(main()) == (list(range(100)), 1)


def test_a_result_is_awaited_with_its_revision_where_that_is_asked_for() -> None:
    async def main() -> list[Any]:
        deliveries = LoopDeliveries()
        replies = [deliveries.new_reply(), deliveries.new_reply(with_revision=True)]
        for reply in replies:
            reply.settle(Succeeded(encode_ok("value"), 7))
        return [await reply.future for reply in replies]

    assert asyncio.run(main()) == ["value", AtRevision("value", 7)]


def test_a_task_that_was_cancelled_is_told_nothing_and_the_others_are() -> None:
    logged: list[Any] = []

    async def main() -> list[Any]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
        deliveries = LoopDeliveries()
        replies = [deliveries.new_reply() for _ in range(3)]
        replies[1].future.cancel()
        settle_all(replies)
        return await asyncio.gather(*(reply.future for reply in replies), return_exceptions=True)

    first, cancelled, third = asyncio.run(main())
    assert (first, type(cancelled), third) == (0, asyncio.CancelledError, 2)
    assert logged == []


def test_errors_and_unsettled_calls_are_raised_and_the_late_end_is_for_again() -> None:
    async def main() -> int:
        deliveries = LoopDeliveries()
        failed, unsettled = deliveries.new_reply(), deliveries.new_reply()
        failed.settle(Failed(Unavailable("no leader")))
        with pytest.raises(Unavailable):
            await failed.future
        unsettled.settle(Unsettled(OutcomeUnknown("not answered in time")))
        with pytest.raises(OutcomeUnknown) as caught:
            await unsettled.future
        unsettled.settle_late(Succeeded(encode_ok(7)))
        return int(await caught.value.again_aio(10))

    assert asyncio.run(main()) == 7


class Breaking:
    def __reduce__(self) -> Any:
        return exec, ("raise BaseException('out of the decoding')",)


def test_what_breaks_out_of_decoding_one_result_holds_up_no_other() -> None:
    async def main() -> tuple[list[int], list[str]]:
        logged: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: logged.append(str(context["exception"])))
        deliveries = LoopDeliveries()
        replies = [deliveries.new_reply() for _ in range(3)]
        for reply, value in zip(replies, (Breaking(), 1, 2)):
            reply.settle(Succeeded(encode_ok(value)))
        return [await asyncio.wait_for(reply.future, 10) for reply in replies[1:]], logged

    assert asyncio.run(main()) == ([1, 2], ["out of the decoding"])


def test_clients_keep_no_loop_that_is_gone() -> None:
    deliveries = LoopDeliveries()

    async def call() -> int:
        reply = deliveries.new_reply()
        settle_all([reply])
        return int(await reply.future)

    async def abandon() -> list[AwaitedReply]:
        return [deliveries.new_reply() for _ in range(3)]

    for _ in range(5):
        assert asyncio.run(call()) == 0
        settle_all(asyncio.run(abandon()))
    gc.collect()
    assert len(deliveries._by_loop) == 0
