"""The threads that call hooks: order, bounds, and what they leave behind."""

import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from fleet.actors.executor.hook_threads import LOG_EVERY_S, Lane, ThreadRunner
from fleet.objects.hooks import HookCall

WAIT_S = 20.0


@pytest.fixture
def make_runner() -> Iterator[Callable[..., ThreadRunner]]:
    made: list[ThreadRunner] = []

    def make(**settings: Any) -> ThreadRunner:
        made.append(ThreadRunner(**settings))
        return made[-1]

    yield make
    for runner in made:
        runner.close(WAIT_S)
    assert not [thread for thread in threading.enumerate() if thread.name == "fleet-hooks"]


def loose(run: Callable[[], Any], size: int = 0) -> HookCall:
    return HookCall("on_committed", run, size, may_drop=True)


class Blocked:
    """A group whose hook waits until it is let go."""

    def __init__(self, runner: ThreadRunner, group: str) -> None:
        self.begun, self.gate = threading.Event(), threading.Event()
        runner.submit(group, HookCall("on_elected", self.run))
        assert self.begun.wait(WAIT_S)

    def run(self) -> None:
        self.begun.set()
        assert self.gate.wait(WAIT_S)


def finish(runner: ThreadRunner, group: str) -> None:
    """Until everything submitted before is done."""
    done = threading.Event()
    runner.submit(group, HookCall("on_stepped_down", done.set))
    assert done.wait(WAIT_S)


def test_each_groups_calls_run_one_by_one_in_order(make_runner: Callable[..., ThreadRunner]) -> None:
    runner = make_runner(threads_max=4)
    ran: dict[str, list[int]] = {f"g{number}": [] for number in range(10)}
    for number in range(300):
        for group in ran:
            runner.submit(group, loose(partial(ran[group].append, number)))
    for group in ran:
        finish(runner, group)
    assert all(numbers == list(range(300)) for numbers in ran.values())


def test_a_blocked_group_delays_no_other(make_runner: Callable[..., ThreadRunner]) -> None:
    runner = make_runner(threads_max=3)
    blocked = [Blocked(runner, "a"), Blocked(runner, "b")]
    for group in ("c", "d", "e"):
        finish(runner, group)
    for one in blocked:
        one.gate.set()


def test_s80_hooks_wait_while_no_thread_can_be_started(
    make_runner: Callable[..., ThreadRunner],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The member whose hook it was failed."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    runner, ran = make_runner(threads_max=2), list[int]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for number in range(3):
            runner.submit("a", loose(partial(ran.append, number)))
    assert ["no thread for hooks" in record.getMessage() for record in caplog.records] == [True]
    finish(runner, "a")
    assert ran == [0, 1, 2]


def test_when_all_threads_are_blocked_the_log_says_by_whom(
    make_runner: Callable[..., ThreadRunner], caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner(threads_max=2)
    blocked = [Blocked(runner, "a"), Blocked(runner, "b")]
    runner.submit("c", loose(int))
    runner.submit("d", loose(int))
    assert [record.getMessage() for record in caplog.records] == [
        "all 2 threads for hooks are busy: a:on_elected, b:on_elected"
    ]
    blocked[0].gate.set()
    finish(runner, "c")
    blocked[1].gate.set()


@pytest.mark.parametrize(("settings", "size"), [({"events_max": 3}, 0), ({"bytes_max": 30}, 10)])
def test_the_oldest_commands_are_dropped_and_counted_and_elections_never(
    make_runner: Callable[..., ThreadRunner], settings: dict[str, int], size: int
) -> None:
    runner = make_runner(**settings)
    ran: list[Any] = []
    blocked = Blocked(runner, "g")
    for number in range(10):
        runner.submit("g", loose(partial(ran.append, number), size))
        runner.submit("g", HookCall("on_elected", partial(ran.append, f"elected {number}"), 1000))
    assert runner.dropped("g") == 7 and runner.dropped("other") == 0
    blocked.gate.set()
    finish(runner, "g")
    assert [one for one in ran if isinstance(one, int)] == [7, 8, 9]
    assert [one for one in ran if isinstance(one, str)] == [f"elected {number}" for number in range(10)]


def test_a_call_too_big_for_the_queue_is_dropped_like_any_other(
    make_runner: Callable[..., ThreadRunner],
) -> None:
    runner = make_runner(bytes_max=10)
    ran: list[int] = []
    runner.submit("g", loose(partial(ran.append, 1), 11))
    finish(runner, "g")
    assert runner.dropped("g") == 1 and not ran


def test_drops_are_logged_once_a_minute(
    make_runner: Callable[..., ThreadRunner], caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    runner = make_runner(events_max=1, now=lambda: now)
    blocked = Blocked(runner, "g")
    for _ in range(5):
        runner.submit("g", loose(int))
    now = LOG_EVERY_S
    runner.submit("g", loose(int))
    assert [record.getMessage() for record in caplog.records] == [
        "group=g hook=on_elected is too slow: 1 events dropped, 1 in all",
        "group=g hook=on_elected is too slow: 4 events dropped, 5 in all",
    ]
    blocked.gate.set()


def test_a_call_that_raises_is_logged_and_the_next_one_runs(
    make_runner: Callable[..., ThreadRunner], caplog: pytest.LogCaptureFixture
) -> None:
    runner = make_runner()
    with caplog.at_level(logging.ERROR):
        runner.submit("g", loose(partial(int, "x")))
        finish(runner, "g")
    assert [record.getMessage() for record in caplog.records] == ["group=g hook=on_committed raised"]


def test_closing_lets_what_runs_end_and_tells_of_elections_but_not_of_commands(
    make_runner: Callable[..., ThreadRunner],
) -> None:
    runner = make_runner()
    ran: list[str] = []
    blocked = Blocked(runner, "g")
    runner.submit("g", loose(partial(ran.append, "committed")))
    runner.submit("g", HookCall("on_stepped_down", partial(ran.append, "stepped down")))
    closing = threading.Thread(target=runner.close, args=(WAIT_S,))
    closing.start()
    blocked.gate.set()
    closing.join()
    runner.submit("g", HookCall("on_elected", partial(ran.append, "elected")))
    assert ran == ["stepped down"] or ran == ["committed", "stepped down"]


def test_closing_leaves_a_hook_that_blocks_behind(caplog: pytest.LogCaptureFixture) -> None:
    runner = ThreadRunner()
    blocked = Blocked(runner, "g")
    ran: list[int] = []
    runner.submit("g", HookCall("on_stepped_down", partial(ran.append, 1)))
    runner.close(0.01)
    assert "left behind: g:on_elected" in caplog.text
    blocked.gate.set()
    for thread in threading.enumerate():
        if thread.name == "fleet-hooks":
            thread.join(WAIT_S)
    assert not ran


def test_a_lane_counts_what_it_holds() -> None:
    lane = Lane("g")
    for size in (1, 2, 3):
        lane.add(loose(int, size))
    lane.add(HookCall("on_elected", lambda: None, 100))
    lane.take()
    lane.drop_oldest()
    assert (lane.loose, lane.loose_bytes, lane.dropped, len(lane.waiting)) == (1, 3, 1, 2)
