"""Clients that watch a group's events, at the member that leads it.

A watcher is told what is new as soon as the object has applied it, or, while it is behind, page by page from
the events that the object keeps. What it was told and has not confirmed is limited: a slow one falls behind,
and is told from the kept events again when it has confirmed. Pages are read for a few watchers at a time, in
turn, however many ask, so that the object's commands do not wait behind all of them.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from thespian.actors import ActorAddress

from fleet.actors.member.member_object import MemberObject
from fleet.actors.messages.client import KeepWatch, WatchGroup, WatchReply
from fleet.actors.messages.executor import EntriesApplied, EventsRead, LeaveEvents, ReadEvents
from fleet.actors.messages.local import StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.errors import Compacted, FleetError, Overloaded, Unavailable
from fleet.objects.payload import ErrorRecord
from fleet.raft.core import Core
from fleet.raft.group_events import LAST, GroupEvent, Position
from fleet.raft.ids import MemberId, Millis, node_of
from fleet.raft.state import Leader

UNCONFIRMED_MAX = 256
UNCONFIRMED_BYTES_MAX = 4 << 20
"""Replies to one watcher, and bytes of events in them, that it has not confirmed."""
ALL_BYTES_MAX = 64 << 20
"""Bytes of events that all watchers together have not confirmed; with more, each is told once at a time."""
READING_MAX = 8
"""Pages that the object is asked for at a time."""
SILENT_MS: Millis = 15_000
"""A watcher that says nothing for so long is forgotten; it says something every few seconds."""
WATCHERS_MAX = 100_000
NOT_KNOWN = "this watch is not known here"
Key: TypeAlias = str
"""The client's name."""


class WatchedMember(Protocol):
    spec: GroupSpec
    start: StartMember
    core: Core
    object: MemberObject

    def send(self, target: Any, message: Any) -> None: ...


class Tokens(Protocol):
    def next_token(self) -> int: ...


@dataclass(slots=True, eq=False)
class WatchingClient:
    """Invariant: one that is live was told all up to `Watchers.at`, and has nothing to read."""

    client: str
    reply_to: ActorAddress
    number: int
    kinds: tuple[str, ...] | None
    after: Position | None
    """Up to here it was told, while it is not live; None: not known yet, it begins now."""
    heard_at: Millis
    live: bool = False
    has_begun: bool = False
    """Whether it was told where it begins."""
    token: int = 0
    """Of the page that is being read for it; 0: none."""
    place: int = 0
    """Of the last reply."""
    unconfirmed: deque[tuple[int, int]] = field(default_factory=deque)
    """Place and bytes of replies."""
    bytes: int = 0
    """In these."""

    def has_room(self) -> bool:
        return len(self.unconfirmed) < UNCONFIRMED_MAX and self.bytes < UNCONFIRMED_BYTES_MAX

    def confirm(self, taken: int) -> int:
        """Returns the bytes of what it confirms."""
        before = self.bytes
        while self.unconfirmed and self.unconfirmed[0][0] <= taken:
            self.bytes -= self.unconfirmed.popleft()[1]
        return before - self.bytes


class Watchers:
    def __init__(self, member: WatchedMember, tokens: Tokens) -> None:
        self.member = member
        self.tokens = tokens
        self.by_client: dict[Key, WatchingClient] = {}
        self.reading: dict[int, WatchingClient | None] = {}
        """Whose page is being read, by token; None: nobody's any more."""
        self.waiting: dict[Key, WatchingClient] = {}
        """Those that are to be read a page, the next one first."""
        self.is_asking = False
        self.bytes = 0
        """Of all watchers."""
        self.live: dict[Key, WatchingClient] = {}
        """Those that are live and want all kinds."""
        self.by_kind: dict[str, dict[Key, WatchingClient]] = {}
        """Those that are live, by each kind that they want."""
        self.at: Position = (0, LAST)
        """Up to here live watchers were told."""
        self.run = 0
        """Of the object, while it tells of new events; 0: it does not."""
        self.swept_at: Millis = 0

    # -- requests ----------------------------------------------------------------------------------

    def take(self, m: WatchGroup) -> None:
        known = self.by_client.get(m.client)
        if known is not None and known.number >= m.number:
            return  # overtaken by a later one
        self._forget(known)
        watcher = WatchingClient(m.client, m.reply_to, m.number, m.kinds, m.after, self._now())
        core, where = self.member.core, {"group": self.member.spec.name, "member": self.member.core.id}
        if not core.is_leader:
            self._refuse(watcher, Unavailable("this member does not lead", **where), core.leader)
        elif not self._is_current():
            self._refuse(watcher, Unavailable("this member has not executed its log yet", **where))
        elif len(self.by_client) >= WATCHERS_MAX:
            self._refuse(watcher, Overloaded("too many watch this group", **where))
        else:
            self.by_client[m.client] = watcher
            self._read(watcher)
            self._greet(watcher)
        self._sweep()

    def keep(self, m: KeepWatch) -> None:
        watcher = self.by_client.get(m.client)
        if watcher is None or watcher.number != m.number:
            if not m.leaves:
                error = ErrorRecord.of(Unavailable(NOT_KNOWN, group=self.member.spec.name))
                self.member.send(m.reply_to, WatchReply(m.group, m.number, 0, error=error))
            return
        watcher.heard_at = self._now()
        self.bytes -= watcher.confirm(m.taken)
        if m.leaves:
            self._forget(watcher)
            return
        if not watcher.live and self._has_room(watcher):
            self._read(watcher)
        if m.asks and self._has_room(watcher):  # else it has enough under way to hear of
            self._tell(watcher, (), self.at if watcher.live else watcher.after)

    # -- what the object tells ---------------------------------------------------------------------

    def on_applied(self, m: EntriesApplied) -> None:
        """New events, which no reader has been told of."""
        if not self.by_client:
            return
        if m.run != self.run:
            self.on_other_object()
            return
        if m.events:
            for watcher, events in self._wanted(m.events):
                if self._has_room(watcher):
                    self._tell(watcher, events, (m.revision, LAST))
                else:
                    self._fall_behind(watcher)
        self.at = max(self.at, (m.revision, LAST))
        self._sweep()

    def on_other_object(self) -> None:
        """It was made anew, or has another state: what was emitted meanwhile is to be read."""
        self._forget_run()
        for watcher in list(self.by_client.values()):
            if self._has_room(watcher):
                self._read(watcher)

    def _forget_run(self) -> None:
        """The object that told of new events is another one by now: whom it told has to read."""
        self.run = 0
        for watcher in [one for one in self.by_client.values() if one.live]:
            self._fall_behind(watcher)
            if self._has_room(watcher):
                self.waiting.setdefault(watcher.client, watcher)

    def on_read(self, m: EventsRead) -> None:
        watcher = self.reading.pop(m.token, None)
        if watcher is not None:
            watcher.token = 0
            self._take_page(watcher, m)
        self._read_next()

    def _take_page(self, watcher: WatchingClient, m: EventsRead) -> None:
        if m.oldest:
            what = "events after that revision are not kept any more"
            self._lose(watcher, Compacted(what, group=self.member.spec.name, oldest=m.oldest))
            return
        watcher.after = m.until
        if m.events or not watcher.has_begun:
            watcher.has_begun = True
            self._tell(watcher, m.events, m.until)
        if m.is_end and m.run == self.run:
            self.at = max(self.at, (self.member.object.revision, LAST))  # `until` may be of the future
            self._go_live(watcher)
        elif self._has_room(watcher):
            self._read(watcher)

    def on_failed(self, token: int, error: FleetError) -> bool:
        """The object will not answer. False: it was not asked for a watcher."""
        if token not in self.reading:
            return False
        watcher = self.reading.pop(token)
        if watcher is not None:
            watcher.token = 0
            self._lose(watcher, error)
        self._read_next()
        return True

    def lose_all(self, leader: MemberId | None) -> None:
        """The member does not lead any more."""
        error = Unavailable("the leadership was lost", group=self.member.spec.name)
        for watcher in list(self.by_client.values()):
            self._lose(watcher, error, leader)

    # -- watchers ----------------------------------------------------------------------------------

    def _is_current(self) -> bool:
        """Whether the object has executed all that was committed before this member led. One that has just
        started would begin a watch in the past."""
        role = self.member.core.role
        return type(role) is Leader and self.member.object.index >= role.first_index

    def _now(self) -> Millis:
        return self.member.start.clock.now_ms()

    def _has_room(self, watcher: WatchingClient) -> bool:
        return watcher.has_room() and (not watcher.bytes or self.bytes < ALL_BYTES_MAX)

    def _read(self, watcher: WatchingClient) -> None:
        if not watcher.token:
            self.waiting.setdefault(watcher.client, watcher)
            self._read_next()

    def _greet(self, watcher: WatchingClient) -> None:
        """One that has to wait for its page is told that it was heard: else it would soon ask elsewhere."""
        obj = self.member.object
        if watcher.client in self.waiting and obj.is_open and obj.revision:
            if watcher.after is None:
                watcher.after = (obj.revision, LAST)
            watcher.has_begun = True
            self._tell(watcher, (), watcher.after)

    def _read_next(self) -> None:
        if self.is_asking:
            return  # the object has refused at once; the loop below goes on
        self.is_asking = True
        obj = self.member.object
        while self.waiting and len(self.reading) < READING_MAX:
            if self.run != obj.run:
                self._forget_run()
                self.run = obj.run
            watcher = self.waiting.pop(next(iter(self.waiting)))
            watcher.token = token = self.tokens.next_token()
            self.reading[token] = watcher
            obj.put(ReadEvents(obj.number, obj.run, token, watcher.after, watcher.kinds))
        self.is_asking = False

    def _wanted(
        self, events: tuple[GroupEvent, ...]
    ) -> Iterator[tuple[WatchingClient, tuple[GroupEvent, ...]]]:
        """Which live watcher wants which."""
        for watcher in list(self.live.values()):
            yield watcher, events
        if self.by_kind:
            found: dict[WatchingClient, list[GroupEvent]] = {}
            for event in events:
                for watcher in self.by_kind.get(event.kind, {}).values():
                    found.setdefault(watcher, []).append(event)
            for watcher, wanted in found.items():
                yield watcher, tuple(wanted)

    def _go_live(self, watcher: WatchingClient) -> None:
        watcher.live = True
        if watcher.kinds is None:
            self.live[watcher.client] = watcher
        else:
            for kind in watcher.kinds:
                self.by_kind.setdefault(kind, {})[watcher.client] = watcher

    def _fall_behind(self, watcher: WatchingClient) -> None:
        watcher.live, watcher.after = False, self.at
        self.live.pop(watcher.client, None)
        for kind in watcher.kinds or ():
            those = self.by_kind.get(kind, {})
            those.pop(watcher.client, None)
            if not those:
                self.by_kind.pop(kind, None)

    def _forget(self, watcher: WatchingClient | None) -> None:
        if watcher is None or self.by_client.get(watcher.client) is not watcher:
            return
        if watcher.live:
            self._fall_behind(watcher)
        del self.by_client[watcher.client]
        self.waiting.pop(watcher.client, None)
        if watcher.token:
            self.reading[watcher.token] = None  # the object is asked all the same
        self.bytes -= watcher.bytes
        if not self.by_client and self.run:
            obj = self.member.object
            if obj.is_open and obj.run == self.run:
                obj.window.send(LeaveEvents(obj.number, obj.run))
            self.run = 0

    def _sweep(self) -> None:
        """Forget those that went away without a word."""
        now = self._now()
        if now - self.swept_at < SILENT_MS // 4:
            return
        self.swept_at = now
        for watcher in list(self.by_client.values()):
            if now - watcher.heard_at > SILENT_MS:
                self._forget(watcher)

    def _lose(self, watcher: WatchingClient, error: FleetError, leader: MemberId | None = None) -> None:
        self._forget(watcher)
        self._refuse(watcher, error, leader)

    # -- replies -----------------------------------------------------------------------------------

    def _tell(self, watcher: WatchingClient, events: tuple[GroupEvent, ...], until: Position | None) -> None:
        watcher.place += 1
        size = sum(event.size for event in events)
        watcher.unconfirmed.append((watcher.place, size))
        watcher.bytes += size
        self.bytes += size
        spec = self.member.spec
        now = max(self.at[0], self.member.object.revision)  # one that was made again executes the past
        reply = WatchReply(spec.name, watcher.number, watcher.place, events, until or (0, 0), now, spec.uid)
        self.member.send(watcher.reply_to, reply)

    def _refuse(self, watcher: WatchingClient, error: FleetError, leader: MemberId | None = None) -> None:
        node = node_of(leader) if leader is not None else ""
        address = self.member.core.membership.current.addresses.get(leader, "") if leader is not None else ""
        record = ErrorRecord.of(error)
        reply = WatchReply(
            self.member.spec.name, watcher.number, 0, error=record, leader=node, leader_address=address
        )
        self.member.send(watcher.reply_to, reply)
