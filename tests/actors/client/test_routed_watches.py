"""What a client keeps of its watches, group by group."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from thespian.actors import ActorAddress

from fleet.actors.client.cluster_pin import ClusterPin
from fleet.actors.client.endpoints import Endpoints
from fleet.actors.client.routed_watches import RoutedWatches
from fleet.actors.client.session_events import Leaving, Send, Woken
from fleet.actors.client.session_state import NEVER
from fleet.actors.client.watches import GroupWatches
from fleet.actors.client.watching import CloseWatch, OpenWatch, ResumeWatch, Watching
from fleet.actors.messages.client import KeepWatch, WatchGroup, WatchReply
from fleet.errors import ClientClosed, FleetError, NoSuchGroup
from fleet.raft.group_events import LAST, GroupEvent, Position

ME: Any = ActorAddress("me")


class Taker:
    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.error: FleetError | None = None

    def begins(self, position: Position) -> None:
        pass

    def take(self, events: Sequence[GroupEvent]) -> bool:
        self.revisions += [event.revision for event in events]
        return True

    def fails(self, error: FleetError) -> None:
        self.error = error


class Client:
    def __init__(self) -> None:
        self.now = 1000
        endpoints = Endpoints(random.Random(1), ClusterPin(lambda: 0))
        endpoints.learn("n1:1")
        self.sent: list[Any] = []
        self.routed = RoutedWatches("c", ME, endpoints, self.carry_out, lambda address, cluster: True)

    def carry_out(self, effect: Any) -> None:
        if isinstance(effect, Send):
            self.sent.append(effect.message)

    def open(self, group: str) -> tuple[Taker, Watching]:
        taker = Taker()
        watching = Watching(group, taker, None, (0, LAST), self.now + 10_000)
        self.routed.handle(self.now, OpenWatch(watching))
        return taker, watching

    def end_turn(self) -> list[Any]:
        self.sent = []
        self.routed.end_turn(self.now)
        return self.sent

    def tell(self, group: str, number: int, *revisions: int, uid: int = 7) -> None:
        events = tuple(GroupEvent(revision, 0, "k", b"") for revision in revisions)
        until = (max(revisions, default=0), LAST)
        self.routed.handle(self.now, WatchReply(group, number, 1, events, until, until[0], uid))

    def close(self, watching: Watching) -> None:
        self.routed.handle(self.now, CloseWatch(watching))


@pytest.fixture
def client() -> Client:
    return Client()


def test_nothing_is_kept_of_groups_that_nobody_watches_any_more(client: Client) -> None:
    for number in range(1000):
        _, watching = client.open(f"g{number}")
        (asked,) = client.end_turn()
        client.tell(watching.group, asked.number, 1)
        assert len(client.routed.by_group) == 1
        client.sent = []
        client.close(watching)
        (left,) = client.sent
        assert isinstance(left, KeepWatch) and left.leaves and left.number == asked.number
    assert not client.routed.by_group and not client.routed.dirty
    assert client.routed.due_at() == NEVER
    client.tell("g7", 8, 2)
    client.routed.handle(client.now, ResumeWatch(watching))
    client.close(watching)
    assert not client.routed.by_group


def test_one_that_is_closed_before_it_begins_asks_for_nothing(client: Client) -> None:
    _, watching = client.open("g")
    client.close(watching)
    assert client.end_turn() == [] and not client.routed.by_group


def test_late_replies_of_an_earlier_watch_are_no_replies_to_a_later_one(client: Client) -> None:
    _, first = client.open("g")
    (asked,) = client.end_turn()
    client.close(first)
    taker, _ = client.open("g")
    client.tell("g", asked.number, 1)
    (again,) = client.end_turn()
    assert isinstance(again, WatchGroup) and again.number > asked.number, "else its member ignores it"
    client.tell("g", asked.number, 1)
    assert taker.revisions == []
    client.tell("g", again.number, 1, 2, uid=8)
    assert taker.revisions == [1, 2] and taker.error is None


def test_groups_share_no_number(client: Client) -> None:
    for group in "abc":
        client.open(group)
    asked = client.end_turn()
    assert sorted(one.number for one in asked) == [1, 2, 3]
    assert client.end_turn() == [], "nothing is left to do"


def test_only_groups_with_something_to_do_are_looked_at_when_a_turn_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        client.open(f"g{number}")
    for asked in client.end_turn():
        client.tell(asked.group, asked.number, 1)
    stepped: list[str] = []
    step = GroupWatches.step

    def noted(watches: GroupWatches, now: int, event: Any) -> Any:
        stepped.append(watches.group)
        return step(watches, now, event)

    monkeypatch.setattr(GroupWatches, "step", noted)
    assert client.end_turn() == [] and stepped == []
    client.open("g7")
    client.end_turn()
    assert stepped == ["g7", "g7"]


@pytest.mark.parametrize("ends", ["removed", "late", "closed"])
def test_groups_whose_watches_have_ended_are_dropped(client: Client, ends: str) -> None:
    taker, _ = client.open("g")
    (asked,) = client.end_turn()
    if ends == "removed":
        client.tell("g", asked.number, 1)
        client.routed.handle(client.now, WatchReply("g", asked.number, 2, (), (2, LAST), 2, 8))
        assert isinstance(taker.error, NoSuchGroup)
    elif ends == "late":
        client.now += 20_000
        client.routed.step_all(client.now, Woken())
    else:
        client.routed.step_all(client.now, Leaving(ClientClosed("it is closed")))
    assert taker.error is not None and not client.routed.by_group
