from datetime import timedelta
from typing import Any

from fleet.actors.runtime.timer import Timer


class Sleeper:
    """Remembers what it asked to be woken for."""

    def __init__(self) -> None:
        self.wakeups: list[tuple[int, Any]] = []

    def wakeupAfter(self, period: timedelta, payload: Any) -> None:
        self.wakeups.append((round(period.total_seconds() * 1000), payload))


def test_a_wakeup_is_due_once() -> None:
    sleeper = Sleeper()
    timer = Timer(sleeper)
    timer.arm(100, 250)
    ((delay, epoch),) = sleeper.wakeups
    assert delay == 150
    assert timer.is_due(epoch)
    timer.arm(250, 300)
    assert not timer.is_due(epoch)


def test_s63_a_wakeup_that_was_overtaken_by_a_nearer_one_is_stale() -> None:
    sleeper = Sleeper()
    timer = Timer(sleeper)
    timer.arm(0, 1000)
    timer.arm(0, 10)
    (_, late), (_, soon) = sleeper.wakeups
    assert timer.is_due(soon)
    timer.arm(10, 2000)
    assert not timer.is_due(late)
    assert timer.is_due(sleeper.wakeups[-1][1])


def test_a_deadline_that_moves_away_asks_for_nothing() -> None:
    sleeper = Sleeper()
    timer = Timer(sleeper)
    for at in (50, 60, 70, 1000):
        timer.arm(0, at)
    assert len(sleeper.wakeups) == 1


def test_a_moment_that_has_passed_is_now() -> None:
    sleeper = Sleeper()
    Timer(sleeper).arm(100, 40)
    assert sleeper.wakeups[0][0] == 0
