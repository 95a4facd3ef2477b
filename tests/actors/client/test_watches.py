"""What a client decides about its watches of a group, event by event."""

import random
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from thespian.actors import ActorAddress

from fleet.actors.base.addresses import remote_address
from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.session_events import Abandoned, Leaving, LinkLost, Send, TurnEnded, Woken
from fleet.actors.client.session_state import NEVER
from fleet.actors.client.watches import (
    CONFIRM_PLACES,
    KEEP_MS,
    NOWHERE_MS,
    SILENCE_MS,
    GroupWatches,
)
from fleet.actors.client.watching import CloseWatch, OpenWatch, ResumeWatch, Watching
from fleet.actors.messages.client import KeepWatch, WatchGroup, WatchReply
from fleet.actors.messages.well_known import REGISTRY
from fleet.errors import ClientClosed, Compacted, FleetError, NoSuchGroup, NotAllowed, Unavailable
from fleet.objects.payload import ErrorRecord
from fleet.raft.group_events import LAST, GroupEvent, Position

NODES = ("n1:1", "n2:1", "n3:1")
ME: Any = ActorAddress("me")


class Taker:
    """A sink that notes what it is told."""

    def __init__(self) -> None:
        self.began: Position | None = None
        self.places: list[Position] = []
        self.error: FleetError | None = None
        self.has_room = True

    def begins(self, position: Position) -> None:
        assert self.began is None
        self.began = position

    def take(self, events: Sequence[GroupEvent]) -> bool:
        self.places += [event.position for event in events]
        return self.has_room

    def fails(self, error: FleetError) -> None:
        self.error = error


class Talk:
    def __init__(self) -> None:
        self.now = 1000
        self.endpoints = Endpoints(random.Random(1), ClusterPin(lambda: 0))
        for node in NODES:
            self.endpoints.learn(node)
        self.watches = GroupWatches("g", "c", ME, self.endpoints, count(1))
        self.sent: list[Send] = []

    def step(self, event: Any) -> list[Any]:
        effects = self.watches.step(self.now, event)
        sent = [effect for effect in effects if isinstance(effect, Send)]
        self.sent += sent
        return [one.message for one in sent]

    def open(
        self, position: Position | None = None, kinds: frozenset[str] | None = None
    ) -> tuple[Taker, Watching]:
        taker = Taker()
        watching = Watching("g", taker, kinds, position, self.now + 10_000)
        self.step(OpenWatch(watching))
        return taker, watching

    def end_turn(self) -> list[Any]:
        return self.step(TurnEnded())

    def begin(self, position: Position | None = (0, LAST)) -> tuple[Taker, Watching]:
        """One watch, which is told."""
        taker, watching = self.open(position)
        (asked,) = self.end_turn()
        assert asked.after == position
        self.tell(until=(5, LAST), now=5)
        return taker, watching

    def tell(self, *places: Position, until: Position = (0, 0), now: int = 0, **more: Any) -> list[Any]:
        events = tuple(GroupEvent(*place, "k", b"") for place in places)
        place = more.pop("place", self.watches.place + 1)
        until = until if until > (0, 0) or not places else places[-1]
        return self.step(WatchReply("g", self.watches.number, place, events, until, now or until[0], 7))

    def refuse(self, error: FleetError, address: str = "") -> list[Any]:
        record = ErrorRecord.of(error)
        return self.step(
            WatchReply("g", self.watches.number, 0, error=record, leader="", leader_address=address)
        )

    def wake(self) -> list[Any]:
        due = self.watches.due_at()
        assert due < NEVER
        self.now = max(self.now, due)
        return self.step(Woken())


def node_of(sent: Send) -> str:
    return next(node for node in NODES if sent.to == remote_address(node, REGISTRY))


def test_a_watch_from_now_on_begins_where_the_group_is() -> None:
    talk = Talk()
    taker, _ = talk.open()
    (asked,) = talk.end_turn()
    assert isinstance(asked, WatchGroup) and asked.after is None and asked.kinds is None
    talk.tell(until=(9, LAST), now=9)
    talk.tell((10, 0), (10, 1))
    assert taker.began == (9, LAST) and taker.places == [(10, 0), (10, 1)]


def test_many_that_begin_in_one_turn_share_a_request() -> None:
    talk = Talk()
    takers = [talk.open((n, LAST))[0] for n in (3, 1, 2)]
    (asked,) = talk.end_turn()
    assert asked.after == (1, LAST)
    talk.tell((2, 0), (3, 0), (4, 0))
    assert [taker.places for taker in takers] == [[(4, 0)], [(2, 0), (3, 0), (4, 0)], [(3, 0), (4, 0)]]


def test_a_watch_joins_the_stream_that_there_is() -> None:
    talk = Talk()
    first, _ = talk.begin()
    late, _ = talk.open()
    (kept,) = talk.end_turn()
    assert isinstance(kept, KeepWatch) and kept.asks
    talk.tell(until=(8, LAST), now=8)
    ahead, _ = talk.open((8, LAST))
    assert talk.end_turn() == [] and ahead.began == (8, LAST)
    talk.tell((9, 0))
    assert first.places == late.places == ahead.places == [(9, 0)] and late.began == (8, LAST)


def test_a_watch_from_earlier_on_begins_the_stream_anew_and_nobody_is_told_twice() -> None:
    talk = Talk()
    first, _ = talk.begin()
    early, _ = talk.open((2, 0))
    (asked,) = talk.end_turn()
    assert asked.after == (2, 0) and asked.number == 2
    talk.tell((2, 1), (4, 0), (6, 0))
    assert first.places == [(6, 0)] and early.places == [(2, 1), (4, 0), (6, 0)]


def test_kinds_are_those_of_all_and_each_is_told_its_own() -> None:
    talk = Talk()
    some, _ = talk.open((0, LAST), frozenset("ab"))
    (asked,) = talk.end_turn()
    assert asked.kinds == ("a", "b")
    talk.tell(until=(1, LAST))
    other, _ = talk.open((1, LAST), frozenset("k"))
    (asked,) = talk.end_turn()
    assert asked.kinds == ("a", "b", "k") and asked.after == (1, LAST)
    talk.tell((2, 0))
    assert other.places == [(2, 0)] and some.places == []
    whole, _ = talk.open((2, LAST))
    (asked,) = talk.end_turn()
    assert asked.kinds is None


def test_a_lost_link_or_a_missing_reply_begins_it_at_what_was_taken() -> None:
    talk = Talk()
    taker, _ = talk.begin()
    talk.tell((6, 0), (7, 0))
    before = talk.sent[-1].to
    talk.step(LinkLost(before))
    (asked,) = talk.wake()
    assert asked.after == (7, 0) and talk.sent[-1].to != before
    talk.tell(until=(7, LAST))
    talk.tell((9, 0), place=3)
    (asked,) = talk.end_turn()
    assert asked.after == (7, LAST)
    talk.tell((8, 0), (9, 0))
    assert taker.places == [(6, 0), (7, 0), (8, 0), (9, 0)]


def test_replies_of_an_earlier_stream_count_no_more() -> None:
    talk = Talk()
    taker, _ = talk.begin()
    talk.open((1, LAST))
    talk.end_turn()
    talk.step(WatchReply("g", 1, 2, (GroupEvent(6, 0, "k", b""),), (6, LAST), 6, 7))
    assert taker.places == []


def test_a_refusal_leads_to_the_leader_or_to_another_node_after_a_while() -> None:
    talk = Talk()
    talk.open()
    talk.end_turn()
    asked = node_of(talk.sent[-1])
    leader = next(node for node in NODES if node != asked)
    talk.refuse(Unavailable("this member does not lead"), leader)
    talk.wake()
    assert node_of(talk.sent[-1]) == leader
    for _ in range(3):
        talk.refuse(Unavailable("no leader is known"))
        before = talk.now
        talk.wake()
        assert talk.now - before <= 200
    assert talk.now > before


def test_a_node_that_is_silent_is_given_up() -> None:
    talk = Talk()
    talk.begin()
    asked = talk.sent[-1].to
    (kept,) = talk.wake()
    assert talk.now == 1000 + KEEP_MS and kept.asks and talk.sent[-1].to == asked
    (begun,) = talk.wake()
    assert talk.now == 1000 + KEEP_MS + SILENCE_MS
    assert isinstance(begun, WatchGroup) and talk.sent[-1].to != asked
    talk.tell(until=(5, LAST))
    (kept,) = talk.wake()
    talk.tell(until=(5, LAST))
    assert talk.watches.due_at() == talk.now + KEEP_MS


def test_what_was_told_is_confirmed_now_and_then() -> None:
    talk = Talk()
    talk.begin()
    kept = [one for n in range(3 * CONFIRM_PLACES) for one in talk.tell((6 + n, 0))]
    assert [one.taken for one in kept] == [CONFIRM_PLACES * n for n in (1, 2, 3)]
    assert not any(one.asks for one in kept)


def test_its_member_hears_of_it_although_events_come_one_by_one() -> None:
    talk = Talk()
    taker, _ = talk.begin()
    begun, kept = talk.now, 0
    for revision in range(6, 26):
        talk.now += 2000
        if talk.watches.due_at() <= talk.now:
            kept += sum(isinstance(one, KeepWatch) for one in talk.step(Woken()))
        talk.tell((revision, 0))
    assert len(taker.places) == 20
    assert kept >= (talk.now - begun) / (KEEP_MS + 2000) > 15_000 / 5000, "else it is forgotten there"


def test_one_that_is_full_leaves_the_stream_and_comes_back_at_its_place() -> None:
    talk = Talk()
    slow, watching = talk.begin()
    quick, _ = talk.open((5, LAST))
    slow.has_room = False
    talk.tell((6, 0))
    talk.tell((7, 0))
    talk.tell((8, 0))
    assert slow.places == [(6, 0)] and len(quick.places) == 3
    slow.has_room = True
    talk.step(ResumeWatch(watching))
    (asked,) = talk.end_turn()
    assert asked.after == (6, 0)
    talk.tell((7, 0), (8, 0), (9, 0))
    assert slow.places == quick.places == [(6, 0), (7, 0), (8, 0), (9, 0)]


@pytest.mark.parametrize("how", ["opened", "resumed", "of other kinds"])
def test_what_arrives_before_a_stream_is_begun_anew_is_no_news(how: str) -> None:
    """Seeds 109 and 148: a watch that joined a stream behind its place took the next reply, and missed what
    lay between."""
    talk = Talk()
    first, watching = talk.open((5, LAST), frozenset("k"))
    talk.end_turn()
    talk.tell(until=(5, LAST), now=5)
    if how == "resumed":
        first.has_room = False
        talk.tell((6, 0))
        first.has_room = True
        other, _ = talk.open((6, 0), frozenset("k"))
        talk.end_turn()
        talk.tell((7, 0))
        talk.step(ResumeWatch(watching))
    else:
        talk.tell((6, 0))
        other, _ = talk.open((5, LAST), frozenset("k" if how == "opened" else "kl"))
    assert talk.tell((8, 0)) == [] and talk.refuse(Unavailable("no leader")) == []
    (asked,) = talk.end_turn()
    assert isinstance(asked, WatchGroup) and asked.after == ((6, 0) if how == "resumed" else (5, LAST))
    talk.tell((6, 0), (7, 0), (8, 0))
    assert first.places == [(6, 0), (7, 0), (8, 0)]
    assert other.places == [place for place in first.places if place > asked.after]


def test_only_those_that_are_too_late_fail() -> None:
    talk = Talk()
    late, _ = talk.open((1, LAST))
    fine, _ = talk.open((5, LAST))
    talk.end_turn()
    talk.refuse(Compacted("not kept", oldest=4))
    assert isinstance(late.error, Compacted) and late.error.oldest == 4 and fine.error is None
    (asked,) = talk.end_turn()
    assert asked.after == (5, LAST)


def test_a_watch_that_the_role_does_not_allow_fails_at_once() -> None:
    talk = Talk()
    taker, _ = talk.open()
    talk.end_turn()
    talk.refuse(NotAllowed("a caller of acct/*"))
    assert isinstance(taker.error, NotAllowed) and talk.watches.is_idle


def test_a_group_of_the_same_name_is_another_one() -> None:
    talk = Talk()
    taker, _ = talk.begin()
    talk.step(WatchReply("g", 1, 2, (), (1, LAST), 1, 8))
    assert isinstance(taker.error, NoSuchGroup) and talk.watches.is_idle


def test_a_group_that_no_node_knows_is_none() -> None:
    talk = Talk()
    taker, _ = talk.open()
    talk.end_turn()
    while taker.error is None and talk.now < 5000:
        talk.refuse(NoSuchGroup("unknown", node=node_of(talk.sent[-1])))
        if taker.error is None:
            talk.wake()
    assert isinstance(taker.error, NoSuchGroup) and talk.now >= 1000 + NOWHERE_MS


def test_a_group_that_some_node_has_is_not_missing() -> None:
    """Seed 163: all nodes were restarted, one after the other, and each said once that it did not know it."""
    talk = Talk()
    taker, _ = talk.begin()
    for node in ("n1", "n2", "n3"):
        talk.refuse(NoSuchGroup("unknown", node=node))
        talk.now += NOWHERE_MS
        talk.wake()
        talk.refuse(Unavailable("this member does not lead"))
        talk.wake()
    assert taker.error is None


def test_a_watch_that_cannot_begin_in_time_says_why() -> None:
    talk = Talk()
    taker, _ = talk.open()
    talk.end_turn()
    while talk.now < 11_000 and taker.error is None:
        talk.refuse(Unavailable("no leader is known"))
        talk.wake()
    assert isinstance(taker.error, Unavailable) and talk.now == 11_000
    assert taker.error.what == "no leader is known" and talk.watches.due_at() == NEVER


def test_one_that_has_begun_waits_for_ever() -> None:
    talk = Talk()
    taker, _ = talk.begin()
    for _ in range(100):
        talk.refuse(Unavailable("no leader is known"))
        talk.wake()
    assert talk.now > 11_000 and taker.error is None


@pytest.mark.parametrize("event", [Leaving(ClientClosed("closed")), Abandoned(ClientClosed("closed"))])
def test_a_client_that_ends_tells_its_watches_and_its_member(event: Any) -> None:
    talk = Talk()
    taker, _ = talk.begin()
    (kept,) = talk.step(event)
    assert kept.leaves and isinstance(taker.error, ClientClosed)
    assert talk.step(event) == [] and talk.watches.due_at() == NEVER


def test_the_last_one_to_close_leaves() -> None:
    talk = Talk()
    _, first = talk.begin()
    _, second = talk.open((5, LAST))
    assert talk.step(CloseWatch(first)) == []
    (kept,) = talk.step(CloseWatch(second))
    assert kept.leaves and talk.step(CloseWatch(second)) == []
