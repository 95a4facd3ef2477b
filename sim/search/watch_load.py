"""The load of watches: in some of the seeds one group emits events, and clients watch it.

Everything about it is drawn from a generator of its own, so that other seeds are what they were without.
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from fleet.actors.client.watching import CloseWatch, OpenWatch, ResumeWatch, Watching
from fleet.actors.messages.client import WatchReply
from fleet.errors import Compacted, FleetError, NoSuchGroup
from fleet.raft.group_events import LAST, GroupEvent, Position
from fleet.sim.checks.events import ToldEvents, numbers_skipped
from fleet.sim.search.settling import newest_cluster
from fleet.sim.search.workload import Groups
from fleet.sim.world.client import SimClient
from fleet.sim.world.objects import KINDS, LATER
from fleet.sim.world.timeline import MS, S
from fleet.sim.world.user_code import EVENT_KINDS
from fleet.sim.world.world import World

SHARE = 0.25
"""Of the seeds."""
OPEN_MAX = 4
"""Watches at a time; and so many that begin at the group's first event, in all."""
PATIENCE_MS = 600_000
"""No watch ends for want of a leader."""
SAME, ANOTHER = "a watch is resumed at the same node", "a watch is resumed at another node"
WAIT_US = 60 * S
"""In which each watch must have been told of everything, without faults."""


class Watch:
    """A `fleet.actors.client.watching.Sink`."""

    def __init__(self, load: "WatchLoad", client: SimClient, told: ToldEvents, room: int) -> None:
        """`room`: so many events make it wait a while before it takes more; 0: it takes all at once."""
        self.load = load
        self.client = client
        self.told = told
        self.room = room
        clock = client.router.clock
        self.watching = Watching(load.group, self, told.kinds, told.since, clock.now_ms() + PATIENCE_MS)

    def begin(self) -> None:
        self._tell(OpenWatch(self.watching))

    def close(self) -> None:
        self.client.in_turn(self._close)

    def _close(self) -> None:
        self.told.is_closed = True
        self.client.router.handle(CloseWatch(self.watching))

    def _tell(self, message: OpenWatch | ResumeWatch) -> None:
        self.client.in_turn(partial(self.client.router.handle, message))

    def _resume(self) -> None:
        if self.told.is_open:
            self.load.world.mark("a watch that was full is resumed")
            self._tell(ResumeWatch(self.watching))

    # -- what the client's actor tells -------------------------------------------------------------

    def begins(self, position: Position) -> None:
        assert self.told.began is None, "a watch begins twice"
        self.told.began = position
        self.told.count_before = len(self.load.world.emissions.by_position)

    def take(self, events: Sequence[GroupEvent]) -> bool:
        assert self.told.is_open, "a watch that has ended is told of events"
        self.told.events += events
        if not self.room or len(events) < self.room and self.load.rng.random() < 0.5:
            return True
        self.load.world.after(self.load.rng.randint(1, 1500 * MS), self._resume)
        return False

    def fails(self, error: FleetError) -> None:
        self.told.error = error
        self.told.count_then = len(self.load.world.emissions.by_position)
        self.load.world.after(0, self.load.on_failure, self, error)


class WatchLoad:
    def __init__(self, world: World, groups: Groups, group: str, kind: str, rng: random.Random) -> None:
        self.world = world
        self.group = groups.watched = group
        self.kept = min(classes[kind].__fleet_events_kept__ for classes in (KINDS, LATER))
        self.rng = rng
        self.pace_us = rng.choice([500, 2000]) * MS
        self.clients: list[SimClient] = []
        self.watches: list[Watch] = []
        self.from_first = 0
        self.told_by: dict[str, tuple[int, Any]] = {}
        """By client: the number of the stream that was told last, and who told it."""
        self.is_stopping = False
        self.objection = ""

    def begin(self) -> None:
        for number in range(1, 1 + self.rng.choice([1, 1, 2])):
            client = self.world.add_client(f"w{number}")
            self.clients.append(client)
            self._look_at(client)
        self._open(self.rng.choice(self.clients), (0, LAST))
        self._next()

    def _next(self) -> None:
        self.world.after(self.rng.randint(1, 2 * self.pace_us), self._act)

    def _act(self) -> None:
        if self.is_stopping:
            return
        client, open_here = self.rng.choice(self.clients), [one for one in self.watches if one.told.is_open]
        match self.rng.choice(["open", "open", "close", "go on", "stand still", "lose links"]):
            case "open" if len(open_here) < OPEN_MAX:
                self._open(client, self._draw_since())
            case "close" if len(open_here) > 1:
                self.rng.choice(open_here).close()
            case "go on" if open_here:
                one = self.rng.choice(open_here)
                one.close()
                self._open(client, one.told.position or one.told.since)
            case "stand still" if not client.process.is_paused:
                client.process.pause()
                self.world.after(self.rng.randint(1, 5000 * MS), client.process.resume)
            case "lose links":
                for end in [end for end in self.world.network.links if end.process is client.process]:
                    self.world.network.break_link(end)
        self._next()

    def _draw_since(self) -> Position | None:
        """Now, where another watch is or was, or the beginning."""
        drawn, told = self.rng.random(), self.rng.choice(self.watches).told
        if drawn < 0.3:
            return None
        if drawn < 0.4 and self.from_first < OPEN_MAX:
            self.from_first += 1
            return 0, LAST
        behind = self.rng.randint(1, 50)
        return told.events[-min(behind, len(told.events))].position if told.events else told.position

    def _open(self, client: SimClient, since: Position | None) -> None:
        kinds = frozenset(EVENT_KINDS[:1]) if self.rng.random() < 0.2 else None
        told = ToldEvents(f"{len(self.watches)} of {client.router.name}", since, kinds)
        watch = Watch(self, client, told, self.rng.choice([0, 0, 3]))
        self.watches.append(watch)
        watch.begin()

    def on_failure(self, watch: Watch, error: FleetError) -> None:
        """Whoever has missed something goes on with what is kept."""
        if isinstance(error, Compacted):
            self.world.mark("a watcher is told that events are not kept any more")
            self._open(watch.client, (error.oldest - 1, LAST))
        elif isinstance(error, NoSuchGroup):
            self.world.mark("a watch ends with its group")

    def _look_at(self, client: SimClient) -> None:
        """Who tells of events may be another one than before."""
        routed = client.router.watches
        handle = routed.handle

        def watched(now: int, m: Any) -> int:
            due = handle(now, m)
            stream = routed.by_group.get(self.group)
            if type(m) is WatchReply and m.error is None and stream is not None and stream.is_told:
                self._is_told(client.router.name, stream.number, stream.target)
            return due

        setattr(routed, "handle", watched)

    def _is_told(self, name: str, number: int, teller: Any) -> None:
        before, self.told_by[name] = self.told_by.get(name), (number, teller)
        if before is not None and before[0] != number:
            self.world.mark(SAME if before[1] == teller else ANOTHER)

    # -- the end -----------------------------------------------------------------------------------

    def stop(self) -> None:
        """All that is asked for now is to be told."""
        self.is_stopping = True
        for client in self.clients:
            client.process.resume()
        for watch in self.watches:
            watch.room = 0

    def judge(self) -> None:
        """Of a group that was removed, too: which watchers hear in time."""
        is_over = self.world.run(WAIT_US, self._is_over, 500 * MS)
        self.world.need(is_over, f"{self.group}: {self.objection}")

    def _is_over(self) -> bool:
        (past,) = (one for one in self.world.invariants.groups.values() if one.name == self.group)
        emissions = self.world.emissions
        emitted = emissions.in_order(numbers_skipped(past.committed))
        is_there = self.group in newest_cluster(self.world).groups
        found = (emissions.objection(one.told, emitted, self.kept, is_there) for one in self.watches)
        self.objection = next(filter(None, found), "")
        return not self.objection
