"""What a client watches in one group: one stream of events from the member that leads it, shared by all who
watch there.

`step(now, event)` takes what happened and returns what is to be done. Each watch has a position of its own:
what is behind it was taken. Whatever happens to the stream, it is begun again at the least of these, so that
no watch misses an event, and none takes one twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias

from thespian.actors import ActorAddress

from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.session_events import (
    Abandoned,
    ClusterPinned,
    ForeignNode,
    Leaving,
    LinkLost,
    LookForNodes,
    Send,
    TurnEnded,
    Woken,
)
from fleet.actors.client.session_state import NEVER, PAUSE_MS
from fleet.actors.client.watching import CloseWatch, OpenWatch, ResumeWatch, Watching
from fleet.actors.messages.client import KeepWatch, WatchGroup, WatchReply
from fleet.errors import Compacted, FleetError, NoSuchGroup, NotAllowed, Unavailable
from fleet.raft.group_events import LAST, GroupEvent, Position
from fleet.raft.ids import Millis

KEEP_MS: Millis = 3000
"""How often a member is told that this client is still there, and answers."""
SILENCE_MS: Millis = 1000
"""A node that does not answer for so long is given up, and another one is asked."""
CONFIRM_PLACES: Final = 64
CONFIRM_BYTES: Final = 512 << 10
"""After so many replies, or bytes of events, they are confirmed."""
NOWHERE_MS: Millis = 500
"""As in `fleet.actors.client.targets`."""


Event: TypeAlias = (
    OpenWatch
    | ResumeWatch
    | CloseWatch
    | WatchReply
    | TurnEnded
    | Woken
    | LinkLost
    | ClusterPinned
    | ForeignNode
    | Abandoned
    | Leaving
)
Effect: TypeAlias = Send | LookForNodes


@dataclass(slots=True)
class GroupWatches:
    """Invariant: while a stream is told, it is behind no watch that takes part in it."""

    group: str
    client: str
    me: ActorAddress
    endpoints: Endpoints
    numbers: Iterator[int]
    """Of streams: each is higher than all before, so that members and late replies are clear about which."""
    watches: dict[Watching, None] = field(default_factory=dict)
    number: int = 0
    """Of the stream; 0: none has begun."""
    is_told: bool = False
    """Whether a member tells it."""
    kinds: frozenset[str] | None = None
    """That it has."""
    position: Position | None = None
    """Up to here it was told, or is asked for."""
    asked_for: Position | None = None
    place: int = 0
    """Of the last reply."""
    confirmed: int = 0
    bytes: int = 0
    """Of events that are not confirmed."""
    uid: int = 0
    target: ActorAddress | None = None
    asked_at: Millis = NEVER
    """When the member was asked for a sign of life; NEVER: nothing is waited for."""
    keep_at: Millis = NEVER
    resend_at: Millis = NEVER
    pause: Millis = 0
    expires_at: Millis = NEVER
    """No watch has to have begun before this."""
    wants_now: bool = False
    """Whether a new watch has to learn where it begins."""
    must_begin: bool = False
    nowhere: set[str] = field(default_factory=set)
    nowhere_since: Millis = 0
    last_error: FleetError | None = None
    effects: list[Effect] = field(default_factory=list)

    def step(self, now: Millis, event: Event) -> list[Effect]:
        self.table[type(event)](self, now, event)
        effects, self.effects = self.effects, []
        return effects

    @property
    def is_idle(self) -> bool:
        """Nobody watches, and nothing of it is needed any more."""
        return not self.watches

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be done at the end of the turn."""
        return bool(self.watches) and (self.must_begin or self.wants_now)

    def due_at(self) -> Millis:
        if not self.watches:
            return NEVER
        silent = self.asked_at + SILENCE_MS if self.asked_at < NEVER else NEVER
        return min(self.expires_at, silent, self.keep_at, self.resend_at)

    # -- who watches -------------------------------------------------------------------------------

    def on_open(self, now: Millis, event: OpenWatch) -> None:
        self.watches[event.watching] = None
        self.expires_at = min(self.expires_at, event.watching.deadline)
        self._join(event.watching)

    def on_resume(self, now: Millis, event: ResumeWatch) -> None:
        watching = event.watching
        if watching in self.watches and watching.is_full:
            watching.is_full = False
            self._join(watching)

    def _join(self, watching: Watching) -> None:
        """In the stream as it is, if that has what it needs; else the stream is begun anew."""
        has_kinds = self.kinds is None or (watching.kinds is not None and watching.kinds <= self.kinds)
        if not self.is_told or not has_kinds or self.position is None:
            self.must_begin = True
        elif watching.position is None:
            self.wants_now = True
        elif watching.position < self.position:
            self.must_begin = True
        elif not watching.has_begun:
            self._begins(watching, watching.position)

    def on_close(self, now: Millis, event: CloseWatch) -> None:
        if event.watching in self.watches:
            del self.watches[event.watching]
            if not self.watches:
                self._leave()

    def _leave(self) -> None:
        if self.target is not None and self.number:
            self._keep(asks=False, leaves=True)
        self.is_told, self.uid, self.position = False, 0, None
        self.asked_at = self.keep_at = self.resend_at = NEVER
        self.must_begin = self.wants_now = False

    def on_turn_ended(self, now: Millis, event: TurnEnded) -> None:
        if not self.watches:
            return
        if self.must_begin:
            self._begin(now)
        elif self.wants_now:
            self._ask(now)

    # -- the stream --------------------------------------------------------------------------------

    def _begin(self, now: Millis) -> None:
        active = [one for one in self.watches if not one.is_full]
        self.must_begin = self.wants_now = self.is_told = False
        self.keep_at = self.resend_at = NEVER
        if not active:
            self.asked_at = NEVER
            return
        positions = [one.position for one in active if one.position is not None]
        kinds: frozenset[str] | None = frozenset()
        for one in active:
            kinds = None if kinds is None or one.kinds is None else kinds | one.kinds
        self.kinds = kinds
        self.position = self.asked_for = min(positions, default=None)
        self.number = next(self.numbers)
        self.place = self.confirmed = self.bytes = 0
        if self.target is None:
            self.target = self.endpoints.another(None)
        asked = WatchGroup(
            self.group,
            self.client,
            self.me,
            self.number,
            self.position,
            tuple(sorted(kinds)) if kinds is not None else None,
            self.endpoints.pin.uid,
        )
        self.asked_at = now
        self.effects.append(Send(self.target, asked))

    def _ask(self, now: Millis) -> None:
        self._keep(asks=True)
        self.asked_at, self.keep_at = min(self.asked_at, now), NEVER

    def _keep(self, asks: bool, leaves: bool = False) -> None:
        self.confirmed, self.bytes = self.place, 0
        kept = KeepWatch(self.group, self.client, self.me, self.number, self.place, asks, leaves)
        assert self.target is not None
        self.effects.append(Send(self.target, kept))

    def on_reply(self, now: Millis, m: WatchReply) -> None:
        if m.number != self.number or not self.watches or self.resend_at < NEVER:
            return
        if self.must_begin:  # some watch is behind the stream: it would miss what lies between
            return
        if m.error is not None:
            self._on_refusal(now, m, m.error.to_error())
            return
        if m.place != self.place + 1:
            self.must_begin = True  # a link was lost, and what was on it
            return
        if self.uid and m.uid != self.uid:
            what = "the group was removed, and there is another one of its name"
            self._fail_all(NoSuchGroup(what, group=self.group))
            return
        self.uid, self.place, self.is_told = m.uid, m.place, True
        self.asked_at, self.pause = NEVER, 0
        self.keep_at = min(self.keep_at, now + KEEP_MS)
        self.nowhere.clear()
        self._take(m)
        if self.place - self.confirmed >= CONFIRM_PLACES or self.bytes >= CONFIRM_BYTES:
            self._keep(asks=False)
            self.keep_at = now + KEEP_MS

    def _take(self, m: WatchReply) -> None:
        self.wants_now = False
        events, self.bytes = m.events, self.bytes + sum(event.size for event in m.events)
        self.position = max(self.position or (0, 0), m.until)
        for one in list(self.watches):
            if one.is_full:
                continue
            if one.position is None:
                self._begins(one, (m.now, LAST))
            elif not one.has_begun:
                self._begins(one, one.position)
            if events and one.position is not None:
                self._give(one, events)
            if not one.is_full and one.position is not None:
                one.position = max(one.position, m.until)

    def _begins(self, one: Watching, position: Position) -> None:
        one.has_begun, one.position = True, position
        one.sink.begins(position)

    def _give(self, one: Watching, events: Sequence[GroupEvent]) -> None:
        behind = one.position
        assert behind is not None
        wanted = [
            event
            for event in events
            if (one.kinds is None or event.kind in one.kinds) and event.position > behind
        ]
        if wanted:
            one.position = wanted[-1].position
            one.is_full = not one.sink.take(wanted)

    # -- nobody tells it ---------------------------------------------------------------------------

    def _on_refusal(self, now: Millis, m: WatchReply, error: FleetError) -> None:
        self.last_error, self.is_told = error, False
        if isinstance(error, Compacted):
            for one in [one for one in self.watches if one.position == self.asked_for]:
                del self.watches[one]
                one.sink.fails(error)
            self.asked_at = self.keep_at = NEVER
            self.must_begin = bool(self.watches)
            return
        if isinstance(error, NotAllowed):
            self._fail_all(error)
            return
        if not isinstance(error, NoSuchGroup):
            self.nowhere.clear()  # here it is known: whoever did not know it has just started
        elif self._is_nowhere(now, error.facts.get("node", "")):
            self._fail_all(NoSuchGroup(f"no node has a group {self.group!r}", group=self.group))
            return
        endpoints = self.endpoints
        leader = endpoints.address_of(m.leader, m.leader_address)
        endpoints.learn(leader)
        known = endpoints.reachable(leader)
        is_hint = known is not None and known != self.target
        self.target = known if is_hint else endpoints.another(self.target)
        self._try_again(now, at_once=is_hint and not self.pause)

    def _try_again(self, now: Millis, at_once: bool = False) -> None:
        self.is_told = False
        self.asked_at = self.keep_at = NEVER
        self.resend_at = now if at_once else now + self.pause
        self.pause = min(PAUSE_MS[1], max(PAUSE_MS[0], 2 * self.pause))

    def _is_nowhere(self, now: Millis, node: str) -> bool:
        if not self.nowhere:
            self.nowhere_since = now
        self.effects.append(LookForNodes())
        self.nowhere.add(node)
        is_late = now - self.nowhere_since >= NOWHERE_MS
        return is_late and len(self.nowhere) >= len(self.endpoints.registries)

    def on_woken(self, now: Millis, event: Woken) -> None:
        self._fail_late(now)
        if not self.watches:
            return
        if self.asked_at < NEVER and now - self.asked_at >= SILENCE_MS:
            self.target = self.endpoints.another(self.target)
            self.effects.append(LookForNodes())
            self._try_again(now, at_once=True)
        if self.resend_at <= now:
            self._begin(now)
        elif self.keep_at <= now:
            self._ask(now)

    def _fail_late(self, now: Millis) -> None:
        if now < self.expires_at:
            return
        waiting = [one for one in self.watches if not one.has_begun]
        late = [one for one in waiting if one.deadline <= now]
        self.expires_at = min((one.deadline for one in waiting if one.deadline > now), default=NEVER)
        for one in late:
            del self.watches[one]
            told = self.last_error or Unavailable("no member tells of events in time", group=self.group)
            one.sink.fails(told)
        if late and not self.watches:
            self._leave()

    def on_link_lost(self, now: Millis, event: LinkLost) -> None:
        if self.watches and self.target == event.registry:
            self.target = self.endpoints.another(event.registry)
            self._try_again(now, at_once=True)

    def on_cluster_pinned(self, now: Millis, event: ClusterPinned) -> None:
        if self.resend_at < NEVER:
            self.resend_at = now

    def on_foreign_node(self, now: Millis, event: ForeignNode) -> None:
        self.target = self.endpoints.another(event.registry)

    def _fail_all(self, error: FleetError) -> None:
        watches, self.watches = self.watches, {}
        for one in watches:
            one.sink.fails(error)
        self._leave()

    def on_end(self, now: Millis, event: Abandoned | Leaving) -> None:
        if self.watches:
            self._fail_all(event.error)

    table: ClassVar[dict[type, Callable[[Any, Millis, Any], None]]] = {
        OpenWatch: on_open,
        ResumeWatch: on_resume,
        CloseWatch: on_close,
        TurnEnded: on_turn_ended,
        WatchReply: on_reply,
        Woken: on_woken,
        LinkLost: on_link_lost,
        ClusterPinned: on_cluster_pinned,
        ForeignNode: on_foreign_node,
        Abandoned: on_end,
        Leaving: on_end,
    }
