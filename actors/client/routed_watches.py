"""What a client watches, by group: takes what arrives to `fleet.actors.client.watches`."""

from collections.abc import Callable
from itertools import count
from typing import Any, Final, TypeAlias, get_args

from thespian.actors import ActorAddress

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.session_events import ClusterPinned, ForeignNode, TurnEnded
from fleet.actors.client.session_state import NEVER
from fleet.actors.client.watches import Effect, Event, GroupWatches
from fleet.actors.client.watching import CloseWatch, OpenWatch, ResumeWatch
from fleet.actors.messages.client import WatchReply
from fleet.actors.messages.well_known import REGISTRY
from fleet.raft.ids import Millis

OfWatches: TypeAlias = OpenWatch | ResumeWatch | CloseWatch | WatchReply
OF_WATCHES: Final = get_args(OfWatches)


class RoutedWatches:
    def __init__(
        self,
        client: str,
        me: ActorAddress,
        endpoints: Endpoints,
        carry_out: Callable[[Effect], None],
        admits: Callable[[str, int], bool],
    ) -> None:
        """`admits`: whether the node at an address, of the cluster with that uid, may be asked."""
        self.client = client
        self.me = me
        self.endpoints = endpoints
        self.carry_out = carry_out
        self.admits = admits
        self.by_group: dict[str, GroupWatches] = {}
        """Of groups that are watched."""
        self.dirty: dict[str, GroupWatches] = {}
        """Those of them with something to do at the end of the turn."""
        self.numbers = count(1)
        """Of streams, whatever the group: one that is watched again has no number of before."""

    def handle(self, now: Millis, m: OfWatches) -> Millis:
        """Returns when the group in question has something to do although nothing arrives."""
        if isinstance(m, WatchReply):
            return self._on_reply(now, m)
        return self._request(now, m)

    def _request(self, now: Millis, m: OpenWatch | ResumeWatch | CloseWatch) -> Millis:
        group = m.watching.group
        watches = self.by_group.get(group)
        if watches is None:
            if not isinstance(m, OpenWatch):
                return NEVER
            watches = GroupWatches(group, self.client, self.me, self.endpoints, self.numbers)
            self.by_group[group] = watches
        return self._step(watches, now, m)

    def _on_reply(self, now: Millis, m: WatchReply) -> Millis:
        watches = self.by_group.get(m.group)
        if watches is None:
            return NEVER
        due = self._step(watches, now, m)
        if m.cluster and m.error is not None:
            address = m.error.facts.get("address", "")
            is_ours = self.admits(address, m.cluster)
            event: Any = ClusterPinned() if is_ours else ForeignNode(remote_address(address, REGISTRY))
            due = min(due, self._step(watches, now, event))
        return due

    def step_all(self, now: Millis, event: Event) -> None:
        for watches in list(self.by_group.values()):
            self._step(watches, now, event)

    def end_turn(self, now: Millis) -> Millis:
        """Many that begin in one turn share a request. Returns as `handle`, of these."""
        dirty, self.dirty = self.dirty, {}
        return min((self._step(watches, now, TurnEnded()) for watches in dirty.values()), default=NEVER)

    def due_at(self) -> Millis:
        """Of all groups."""
        return min((one.due_at() for one in self.by_group.values()), default=NEVER)

    def _step(self, watches: GroupWatches, now: Millis, event: Event) -> Millis:
        for effect in watches.step(now, event):
            self.carry_out(effect)
        group = watches.group
        if watches.is_idle:
            self.by_group.pop(group, None)
            self.dirty.pop(group, None)
        elif watches.is_dirty:
            self.dirty[group] = watches
        return watches.due_at()
