"""What epoll does for the loop and for executors is what stands in for it does, too."""

import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from select import select
from typing import Any, NamedTuple

import pytest

from fleet.system import poll as chosen
from tests.support.portable import portable


class Bench(NamedTuple):
    module: Any
    poll: chosen.Poll
    ours: socket.socket
    theirs: socket.socket

    def events(self) -> dict[int, int]:
        return dict(self.poll.poll(0, 256))

    def mask(self) -> int:
        """What of READ and WRITE is reported of `ours`."""
        both: int = self.module.READ | self.module.WRITE
        return self.events().get(self.ours.fileno(), 0) & both


@pytest.fixture(params=["epoll", "selectors"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    module = chosen if request.param == "epoll" else portable("poll")
    poll, (ours, theirs) = module.open_poll(), socket.socketpair()
    ours.setblocking(False)
    yield Bench(module, poll, ours, theirs)
    poll.close()
    ours.close()
    theirs.close()


def test_each_is_what_it_says(bench: Bench, request: pytest.FixtureRequest) -> None:
    assert (
        type(bench.poll).__name__
        == {"epoll": "epoll", "selectors": "SelectorPoll"}[request.node.callspec.params["bench"]]
    )


def test_what_is_readable_is_reported_until_it_was_read(bench: Bench) -> None:
    bench.poll.register(bench.ours.fileno(), bench.module.READ | bench.module.HANGUP)
    assert bench.events() == {}
    bench.theirs.send(b"x")
    assert bench.mask() == bench.mask() == bench.module.READ
    bench.ours.recv(9)
    assert bench.events() == {}


def test_the_mask_says_what_is_waited_for(bench: Bench) -> None:
    fd, read, write = bench.ours.fileno(), bench.module.READ, bench.module.WRITE
    bench.poll.register(fd, write)
    bench.theirs.send(b"x")
    assert bench.mask() == write
    bench.poll.modify(fd, read | write)
    assert bench.mask() == read | write
    bench.poll.modify(fd, 0)
    assert bench.events() == {}
    bench.poll.modify(fd, read)
    assert bench.mask() == read
    bench.poll.unregister(fd)
    assert bench.events() == {}


def test_the_end_of_the_other_side_is_reported_to_who_reads(bench: Bench) -> None:
    bench.poll.register(bench.ours.fileno(), bench.module.READ | bench.module.HANGUP)
    bench.theirs.close()
    assert bench.mask() & bench.module.READ


def test_once_is_once_until_it_is_registered_again(bench: Bench) -> None:
    fd, once = bench.ours.fileno(), bench.module.READ | bench.module.ONCE
    bench.poll.register(fd, once)
    bench.theirs.send(b"x")
    assert bench.mask() == bench.module.READ
    assert bench.events() == {}
    bench.poll.unregister(fd)
    bench.poll.register(fd, once)
    assert bench.mask() == bench.module.READ


def test_a_regular_file_is_refused(bench: Bench, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(PermissionError):
        bench.poll.register(file.fileno(), bench.module.READ)


def test_a_regular_file_is_refused_by_selectors_that_would_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.PollSelector)
    with (tmp_path / "file").open("w") as file, pytest.raises(PermissionError):
        portable("poll").open_poll().register(file.fileno(), 1)


def test_the_number_of_a_closed_descriptor_is_free(bench: Bench) -> None:
    """An actor may close what it watches, and a link gets the number."""
    former, former_end = socket.socketpair()
    number = former.fileno()
    bench.poll.register(number, bench.module.READ)
    former.close()
    former_end.close()
    later, later_end = socket.socketpair()
    assert later.fileno() == number
    bench.poll.register(number, bench.module.READ)
    later_end.send(b"x")
    assert number in bench.events()
    bench.poll.unregister(number)
    later.close()
    later_end.close()


def test_its_own_descriptor_can_be_waited_for(bench: Bench) -> None:
    """So waits a loop for an executor that takes nothing more for now."""
    bench.poll.register(bench.ours.fileno(), bench.module.READ)
    assert select([bench.poll.fileno()], [], [], 0)[0] == []
    bench.theirs.send(b"x")
    assert select([bench.poll.fileno()], [], [], 0)[0] == [bench.poll.fileno()]
