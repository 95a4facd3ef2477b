"""An object takes digests of its states at points that all members know, and shows what they hold."""

import select
import threading
from typing import Any

import pytest

import fleet
from fleet.actors.executor.hosted_objects import HostedObjects
from fleet.actors.executor.kept_states import KEPT_BYTES_MAX, KEPT_MAX
from fleet.actors.messages.executor import (
    ApplyEntries,
    CloseObject,
    DumpObject,
    KeepState,
    ObjectDumped,
    OpenObject,
    PartsShown,
    ShowParts,
    StatePointTaken,
)
from fleet.actors.runtime.forked_dump import ForkedDump
from fleet.objects.class_refs import encode_class
from fleet.objects.payload import encode_call
from fleet.objects.state_parts import StatePart
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, Noop, SessionOpened


class Shelf(fleet.Data):
    books: dict[str, Any] = {}
    size: int = 0

    @fleet.command
    def put(self, name: str, value: Any) -> None:
        self.books = {**self.books, name: value}

    @fleet.command
    def grow(self, size: int) -> None:
        self.big = "x" * size

    @fleet.command
    def lock(self) -> None:
        self.locked = threading.Lock()


class Member:
    """One object and its executor, in this process."""

    def __init__(self, every: int = 2, fork_above_bytes: int = 0) -> None:
        self.said: list[Any] = []
        self.host = HostedObjects(self.said.append, ForkedDump, fork_above_bytes=fork_above_bytes)
        self.host.handle(
            OpenObject(7, 1, "g", "n1@a.1", encode_class(Shelf), GroupConfig(compare_every=every))
        )
        self.index = self.seq = 0
        self.apply(SessionOpened("c", 1))
        self.session = self.said[-1].opened[0].session

    def apply(self, body: Any) -> None:
        self.index += 1
        self.host.handle(ApplyEntries(7, 1, (Entry(1, self.index, body),)))

    def call(self, method: str, *args: Any) -> None:
        self.seq += 1
        self.apply(Commands(self.session, self.seq, 0, 1, (encode_call(method, args, {}),)))

    def points(self) -> list[StatePointTaken]:
        return [one for one in self.said if isinstance(one, StatePointTaken)]

    def shown(self, index: int = 0, *path: str) -> PartsShown:
        self.host.handle(ShowParts(7, 1, 5, index, path))
        (found,) = [self.said.pop()]
        assert isinstance(found, PartsShown)
        return found

    def wait(self) -> None:
        for fileno in list(self.host.dumping):
            select.select([fileno], [], [], 10.0)
            self.host.on_dumped(fileno)


def test_a_digest_is_taken_after_every_entry_whose_index_is_a_multiple() -> None:
    member = Member(every=2)
    for number in range(5):
        member.call("put", f"b{number}", number)
    assert [one.index for one in member.points()] == [2, 4, 6]
    assert [one.revision for one in member.points()] == [1, 3, 5]
    assert len({one.digest for one in member.points()}) == 3


def test_members_that_executed_the_same_have_the_same_digests() -> None:
    one, other = Member(), Member()
    for member in (one, other):
        member.call("put", "a", {"x", "y"})
        member.call("put", "b", 1)
        member.call("put", "c", 1)
    assert one.points() == other.points() != []


def test_none_is_taken_where_that_is_switched_off() -> None:
    member = Member(every=0)
    for number in range(5):
        member.call("put", "a", number)
    assert member.points() == []


def test_a_big_state_has_fewer_points_which_are_among_those_of_a_small_one() -> None:
    small, big = Member(every=1), Member(every=1)
    big.call("grow", 40_000)
    small.call("grow", 1)
    for number in range(40):
        big.call("put", "a", number)
        small.call("put", "a", number)
    few = {one.index for one in big.points()}
    assert few < {one.index for one in small.points()} and 3 < len(few) < 12


def test_a_child_takes_the_digest_of_a_state_that_is_big() -> None:
    inside, forked = Member(every=1), Member(every=1, fork_above_bytes=1000)
    for member in (inside, forked):
        member.call("grow", 5000)
        member.call("put", "a", 1)
        member.wait()
    assert forked.points()[-1].digest == inside.points()[-1].digest != b""
    forked.call("put", "a", 2)
    assert forked.host.dumping, "a child is under way"
    forked.host.handle(DumpObject(7, 1, forked.index, 5000))
    forked.wait()
    assert isinstance(forked.said[-1], ObjectDumped), "a snapshot goes before"
    forked.host.close()
    assert not forked.host.dumping


def test_a_state_that_has_no_digest_says_so_with_its_field(caplog: pytest.LogCaptureFixture) -> None:
    member = Member(every=1)
    for _ in range(3):
        member.call("lock")
    last = member.points()[-1]
    assert last.digest == b"" and last.error is not None and last.error.facts["field"] == "locked"
    assert len([one for one in caplog.records if "cannot be compared" in one.getMessage()]) == 1


def test_a_state_shows_its_parts_as_it_is_and_as_it_was_at_a_point() -> None:
    member = Member(every=2)
    member.call("put", "a", [1, {"b", "c"}])
    member.call("put", "a", [2, {"b", "c"}])
    books, _ = member.shown().parts
    assert (books.label, books.has_parts) == ("books", True)
    first, second = member.shown(2, "books", "['a']").parts
    assert (first.label, first.text, second.text) == ("[0]", "1", "{'b', 'c'}")
    now = member.shown(0, "books", "['a']")
    assert now.parts[0].text == "2" and now.parts[1].digest == second.digest
    assert now.kept == (2,) and now.index == 3
    assert member.shown(1).error is not None and member.shown(0, "nothing").error is not None


def test_states_are_forgotten_in_their_order_but_for_one_that_differs_elsewhere() -> None:
    member = Member(every=1)
    member.call("put", "a", 0)
    member.host.handle(KeepState(7, 1, 2))
    for number in range(70):
        member.call("put", "a", number)
    kept = member.shown().kept
    assert member.shown(2).error is None and kept == (2, *range(66, 73))


def test_an_object_that_is_closed_keeps_no_states() -> None:
    member = Member(every=1)
    member.call("put", "a", 0)
    assert member.host.kept.size > 0
    member.host.handle(CloseObject(7, 1))
    assert member.host.kept.size == 0 and member.host.kept.points == {}


def test_entries_that_execute_nothing_are_points_too() -> None:
    member = Member(every=2)
    for _ in range(3):
        member.apply(Noop())
    assert [one.index for one in member.points()] == [2, 4]


def filled(fork_above_bytes: int, wrong: dict[str, int] | None = None) -> Member:
    """A member with a state that is too big to be kept, and a point behind it."""
    member = Member(every=1, fork_above_bytes=fork_above_bytes)
    member.call("grow", KEPT_BYTES_MAX)
    member.call("put", "few", {"a": 1, "b": 2} | (wrong or {}))
    member.call("put", "many", {f"b{number}": number for number in range(2500)} | (wrong or {}))
    before = len(member.points())
    while len(member.points()) == before:
        member.call("put", "last", 0)
        member.wait()
    return member


@pytest.mark.parametrize("fork_above_bytes", [0, 1000])
def test_of_a_state_that_is_too_big_to_be_kept_the_digests_of_its_parts_are(fork_above_bytes: int) -> None:
    one, other = filled(fork_above_bytes), filled(fork_above_bytes, {"b": -1})
    index = one.points()[-1].index
    assert index == other.points()[-1].index and one.points()[-1].digest != other.points()[-1].digest
    for member in (one, other):
        member.call("put", "last", 7)
        member.call("grow", 1)
    kinds = [member.shown(index) for member in (one, other)]
    assert [shown.error for shown in kinds] == [None, None] and index in kinds[0].kept
    assert [part.label for part in differing(*kinds)] == ["books"]
    inside = differing(*(member.shown(index, "books") for member in (one, other)))
    assert [(part.label, part.has_parts) for part in inside] == [("['few']", False), ("['many']", False)]
    assert one.shown(index, "books", "['few']").error is not None


def differing(one: PartsShown, other: PartsShown) -> list[StatePart]:
    assert [part.label for part in one.parts] == [part.label for part in other.parts]
    return [a for a, b in zip(one.parts, other.parts, strict=True) if a.digest != b.digest]


def test_outlines_are_forgotten_in_their_order_but_for_one_that_differs_elsewhere() -> None:
    member = filled(0)
    first = member.points()[-1].index
    member.host.handle(KeepState(7, 1, first))
    count = len(member.points())
    while len(member.points()) < count + KEPT_MAX:
        member.call("put", "last", 0)
    kept = member.shown().kept
    assert len(kept) == KEPT_MAX and kept[0] == first and member.shown(first).error is None
    assert 0 < member.host.kept.size < KEPT_BYTES_MAX
