"""Watches in a simulated fleet: bugs that are planted in them are found by who watches a queue there."""

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import pytest

from fleet.actors.client.watches import GroupWatches
from fleet.errors import WaitTimeout
from fleet.objects.applier import Applier
from fleet.raft.group_events import EventLog, GroupEvent
from fleet.testing import Sim
from tests.recipes.queue_uses import JobQueueEpisode
from tests.support.classes import Feed

BUDGET = 12


def takes_all_again() -> Any:
    """A client takes what it is told, whether or not it has it."""

    def give(self: Any, one: Any, events: Sequence[GroupEvent]) -> None:
        one.position = events[-1].position
        one.sink.take(events)

    return patch.object(GroupWatches, "_give", give)


def begins_from_now() -> Any:
    """A stream that is begun anew tells what comes from then on."""
    begin = GroupWatches._begin

    def begin_now(self: GroupWatches, now: int) -> None:
        if self.number:
            for one in self.watches:
                one.position = None
        begin(self, now)

    return patch.object(GroupWatches, "_begin", begin_now)


def kept_by_no_snapshot() -> Any:
    """Whoever restores a snapshot forgets the events."""
    restore = Applier.restore

    def forget(self: Any, *args: Any, **kwargs: Any) -> None:
        restore(self, *args, **kwargs)
        self.events = EventLog()

    return patch.object(Applier, "restore", forget)


def pages_end_early() -> Any:
    """What a page leaves over is not read."""

    def page(self: EventLog, *args: Any) -> Any:
        found = original(self, *args)
        return type(found)(found.events[:3], (args[1], 1 << 62), True)

    original = EventLog.page
    return patch.object(EventLog, "page", page)


PLANTED: dict[Callable[[], Any], int] = {
    takes_all_again: 1,
    begins_from_now: 1,
    kept_by_no_snapshot: 2,
    pages_end_early: 1,
}
"""With the seed that found it last."""


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_of_watches_is_found(plant: Callable[[], Any]) -> None:
    for seed in dict.fromkeys((PLANTED[plant], *range(1, BUDGET + 1))):
        try:
            with plant():
                JobQueueEpisode(seed).run()
        except AssertionError:
            return
    pytest.fail("no seed found it")


def test_a_watch_in_a_simulation_waits_in_virtual_time() -> None:
    sim = Sim(seed=5)
    feed = sim.group("feed", Feed)
    with feed.watch() as watch:
        feed.write("a", 1)
        assert watch.next(5.0).value == 1
        sim.kill(sim.leader("feed") or "")
        feed.write("b", 2)
        assert watch.next(30.0).kind == "b"
        before = sim.now
        with pytest.raises(WaitTimeout):
            watch.next(60.0)
        assert sim.now >= before + 60.0
