"""Bugs about events and those who watch them."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from fleet.actors.client.watches import GroupWatches
from fleet.actors.member.watchers import Watchers
from fleet.actors.messages.client import WatchReply
from fleet.objects.applier import Applier
from fleet.raft.group_events import EventLog, GroupEvent
from tests.sim.planted.patches import Patches


def events_are_taken_again() -> Patches:
    """A watch takes what its client is told after a resumption, also what it has."""

    def give(self: Any, one: Any, events: Sequence[GroupEvent]) -> None:
        one.position = events[-1].position
        one.is_full = not one.sink.take(events)

    return [patch.object(GroupWatches, "_give", give)]


def stream_goes_on_from_now() -> Patches:
    """A client that loses the leader asks the next one for what comes from then on."""

    def begin_now(self: Any, now: int) -> None:
        if self.number:
            for one in self.watches:
                one.position = None
        begin(self, now)

    begin = GroupWatches._begin
    return [patch.object(GroupWatches, "_begin", begin_now)]


def watch_joins_behind_its_place() -> Patches:
    """Seed 109: a watch that joined a stream behind its place took the next reply, and missed what lay
    between."""

    def take(self: Any, now: int, m: WatchReply) -> None:
        self.must_begin, must_begin = False, self.must_begin
        on_reply(self, now, m)
        self.must_begin |= must_begin

    on_reply = GroupWatches.on_reply
    return [patch.dict(GroupWatches.table, {WatchReply: take})]


def events_not_in_snapshots() -> Patches:
    """Whoever restores a snapshot, or the state of a leader, forgets the events that the group keeps."""

    def forget(self: Any, *args: Any, **kwargs: Any) -> None:
        restore(self, *args, **kwargs)
        self.events = EventLog(done=self.events.done)

    restore = Applier.restore
    return [patch.object(Applier, "restore", forget)]


def forgotten_events_are_nobodys_loss() -> Patches:
    """A watch from before the events that a group keeps is told of these, and not that others are gone."""
    return [patch.object(EventLog, "has_all_after", lambda self, position: True)]


def others_who_watch_an_object_made_anew() -> Patches:
    """A leader whose object was made again asks it for the events of who watches since then, and of nobody
    else."""

    def forget(self: Any) -> None:
        self.run = 0

    return [patch.object(Watchers, "_forget_run", forget)]


def watchers_of_an_object_that_was_lost() -> Patches:
    """A leader whose object is made again, as its executor was lost, does not ask that for events."""

    def stay(self: Any) -> None:
        self.run = self.member.object.run

    return [patch.object(Watchers, "on_other_object", stay)]
