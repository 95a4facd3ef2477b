"""The loop's waiting: quick after a row of short waits, and never a burnt core."""

import os
import select
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from fleet.actors.base.kernel import Kernel
from fleet.actors.base.reactor import _SHORT_WAITS, _SPIN_S, Reactor


@pytest.fixture
def bell() -> Iterator[tuple[Reactor, int]]:
    reactor = Reactor()
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    reactor.add(fd, select.EPOLLIN, lambda mask: None)
    yield reactor, fd
    reactor.remove(fd)
    os.close(fd)
    reactor._poll.close()
    reactor._wakeup.close()


def after_short_waits(reactor: Reactor, fd: int) -> None:
    os.eventfd_write(fd, 1)
    for _ in range(_SHORT_WAITS):
        assert reactor._wait(1.0) == [(fd, select.EPOLLIN)]


def test_what_comes_while_it_looks_is_found_and_it_looks_again(bell: tuple[Reactor, int]) -> None:
    reactor, fd = bell
    after_short_waits(reactor, fd)
    assert reactor._wait(1.0) == [(fd, select.EPOLLIN)]
    assert reactor._short_waits == _SHORT_WAITS


def test_where_looking_finds_nothing_it_sleeps_and_then_sleeps_at_once(bell: tuple[Reactor, int]) -> None:
    reactor, fd = bell
    after_short_waits(reactor, fd)
    os.eventfd_read(fd)
    before = time.thread_time()
    for _ in range(20):
        assert reactor._wait(0.005) == []
    assert time.thread_time() - before < 20 * 0.005 / 2, "it spins through its waits"
    assert reactor._short_waits == 0


def test_a_timer_is_not_missed_for_looking(bell: tuple[Reactor, int]) -> None:
    reactor, fd = bell
    after_short_waits(reactor, fd)
    os.eventfd_read(fd)
    begun = time.monotonic()
    assert reactor._wait(_SPIN_S / 10) == []
    assert time.monotonic() - begun < 1.0


class NoLinks:
    def send(self, dst: Any, sender: Any, message: Any) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def test_s66_a_handler_that_raises_is_not_called_again_and_the_loop_goes_on() -> None:
    reactor, calls = Reactor(), 0
    fd = os.eventfd(1, os.EFD_NONBLOCK)

    def fail(mask: int) -> None:
        nonlocal calls
        calls += 1
        raise RecursionError

    reactor.add(fd, select.EPOLLIN, fail)
    reactor.start(Kernel(reactor, boot=1), NoLinks(), lambda: None, lambda: None)
    passed: SimpleQueue[bool] = SimpleQueue()
    for _ in range(3):
        reactor.post(lambda: passed.put(True))
        assert passed.get(timeout=10.0)
    assert calls == 1
    reactor.end()
    assert reactor.join(10.0)
    os.close(fd)


def test_what_runs_after_the_flush_runs_once_and_after_it() -> None:
    order: list[str] = []

    class Links(NoLinks):
        def flush(self) -> None:
            order.append("flush")

    def fail() -> None:
        raise ValueError

    reactor = Reactor()
    reactor.start(Kernel(reactor, boot=1), Links(), lambda: None, lambda: None)
    passed: SimpleQueue[list[str]] = SimpleQueue()

    def turn() -> None:
        order.clear()
        reactor.after_flush(fail)
        reactor.after_flush(lambda: order.append("after"))
        reactor.after_flush(lambda: passed.put(list(order)))

    reactor.post(turn)
    assert passed.get(timeout=10.0) == ["flush", "after"]
    reactor.post(lambda: reactor.after_flush(lambda: passed.put(list(order))))
    assert passed.get(timeout=10.0).count("after") == 1
    reactor.end()
    assert reactor.join(10.0)
