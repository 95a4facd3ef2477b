"""A wake-up wakes, once for all that was set, never blocks, and leaves its number alone after its end."""

import os
from collections.abc import Iterator
from select import select

import pytest

from fleet.system import wakeup as chosen
from tests.support.portable import portable


@pytest.fixture(params=["eventfd", "sockets"])
def wakeup(request: pytest.FixtureRequest) -> Iterator[chosen.Wakeup]:
    module = chosen if request.param == "eventfd" else portable("wakeup")
    made: chosen.Wakeup = module.Wakeup()
    yield made
    made.close()


def is_set(wakeup: chosen.Wakeup) -> bool:
    return bool(select([wakeup.fd], [], [], 0)[0])


@pytest.mark.parametrize("times", [1, 3, 100_000])
def test_it_is_set_until_it_is_cleared_however_often_it_was_set(wakeup: chosen.Wakeup, times: int) -> None:
    assert not is_set(wakeup)
    for _ in range(times):
        wakeup.set()
    assert is_set(wakeup)
    wakeup.clear()
    assert not is_set(wakeup)
    with pytest.raises(BlockingIOError):
        wakeup.clear()
    wakeup.set()
    assert is_set(wakeup)


def test_child_processes_do_not_inherit_it(wakeup: chosen.Wakeup) -> None:
    assert not os.get_inheritable(wakeup.fd)


def test_after_its_end_it_touches_nobody_elses_descriptor(wakeup: chosen.Wakeup) -> None:
    reader, writer = os.pipe()
    number = wakeup.fd
    wakeup.close()
    wakeup.close()
    assert wakeup.fd == -1
    os.dup2(writer, number)
    for act in (wakeup.set, wakeup.clear):
        with pytest.raises(OSError, match="closed"):
            act()
    assert select([reader], [], [], 0)[0] == []
    for fd in (reader, writer, number):
        os.close(fd)
