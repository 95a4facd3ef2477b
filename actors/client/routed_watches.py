"""What a client watches, by group: takes what arrives to `fleet.actors.client.watches`."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, get_args

from thespian.actors import ActorAddress

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.session_events import ClusterPinned, ForeignNode, TurnEnded
from fleet.actors.client.session_state import NEVER
from fleet.actors.client.watches import CloseWatch, Effect, Event, GroupWatches, OpenWatch, ResumeWatch
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

    def handle(self, now: Millis, m: OfWatches) -> None:
        if isinstance(m, WatchReply):
            self._on_reply(now, m)
        else:
            self._request(now, m)

    def _request(self, now: Millis, m: OpenWatch | ResumeWatch | CloseWatch) -> None:
        group = m.watching.group
        watches = self.by_group.get(group)
        if watches is None:
            if not isinstance(m, OpenWatch):
                return
            watches = self.by_group[group] = GroupWatches(group, self.client, self.me, self.endpoints)
        self._step(watches, now, m)

    def _on_reply(self, now: Millis, m: WatchReply) -> None:
        watches = self.by_group.get(m.group)
        if watches is None:
            return
        self._step(watches, now, m)
        if m.cluster and m.error is not None:
            address = m.error.facts.get("address", "")
            is_ours = self.admits(address, m.cluster)
            event: Any = ClusterPinned() if is_ours else ForeignNode(remote_address(address, REGISTRY))
            self._step(watches, now, event)

    def step_all(self, now: Millis, event: Event) -> None:
        for watches in list(self.by_group.values()):
            self._step(watches, now, event)

    def end_turn(self, now: Millis) -> None:
        """Many that begin in one turn share a request."""
        self.step_all(now, TurnEnded())

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be done at the end of the turn."""
        return any(one.must_begin or one.wants_now for one in self.by_group.values())

    def due_at(self) -> Millis:
        return min((one.due_at() for one in self.by_group.values()), default=NEVER)

    def _step(self, watches: GroupWatches, now: Millis, event: Event) -> None:
        for effect in watches.step(now, event):
            self.carry_out(effect)
