"""The log of a group's events, as replicated state."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fleet.raft.group_events import LAST, EventLog, GroupEvent, KeptEvents, Position


def events(revision: int, count: int = 1, weight: int = 1) -> list[GroupEvent]:
    return [GroupEvent(revision, number, "k", b"v" * (revision % 3), weight) for number in range(count)]


def log(*batches: list[GroupEvent], count_max: int = 100, weight_max: int = 1 << 20) -> EventLog:
    made = EventLog()
    for batch in batches:
        made.add(batch, count_max, weight_max)
    return made


def all_after(made: EventLog, position: Position) -> list[GroupEvent] | None:
    return made.after(position) if made.has_all_after(position) else None


def places(found: list[GroupEvent] | None) -> list[tuple[int, int]] | None:
    return None if found is None else [(event.revision, event.number) for event in found]


def test_what_comes_after_a_place_is_told_in_order() -> None:
    made = log(events(2, 2), events(5), events(7, 2))
    assert places(all_after(made, (0, LAST))) == [(2, 0), (2, 1), (5, 0), (7, 0), (7, 1)]
    assert (
        places(all_after(made, (2, LAST))) == places(all_after(made, (4, LAST))) == [(5, 0), (7, 0), (7, 1)]
    )
    assert places(all_after(made, (2, 0))) == [(2, 1), (5, 0), (7, 0), (7, 1)]
    assert all_after(made, (7, LAST)) == all_after(made, (9, LAST)) == []


def test_the_oldest_are_forgotten_all_of_one_command_together() -> None:
    made = log(events(2, 2), events(3), events(4, 2), count_max=4)
    assert places(list(made.events)) == [(3, 0), (4, 0), (4, 1)] and made.forgotten[0] == 2
    assert all_after(made, (1, LAST)) is all_after(made, (2, 0)) is None
    assert all_after(made, (2, 1)) is not None and made.oldest == 3
    assert places(all_after(made, (2, LAST))) == [(3, 0), (4, 0), (4, 1)]


def test_their_weight_limits_them_too_whatever_their_bytes() -> None:
    made = log(*[events(n, weight=100) for n in range(1, 6)], weight_max=300)
    assert places(list(made.events)) == [(3, 0), (4, 0), (5, 0)] and made.weight == 300


def test_the_events_of_the_newest_command_are_kept_whatever_the_limits() -> None:
    made = log(events(1), events(2, 10), count_max=3)
    assert len(made.events) == 10 and made.forgotten[0] == 1
    made.add(events(3), 3, 1 << 20)
    assert len(made.events) == 1 and made.forgotten[0] == 2


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 40)), max_size=30), st.integers(0, 30))
def test_a_log_that_was_restored_goes_on_alike(steps: list[tuple[int, int]], restored_at: int) -> None:
    one, other = EventLog(), EventLog()
    for revision, (count, weight) in enumerate(steps, 1):
        if revision == restored_at:
            other = EventLog.of(msgspec.msgpack.decode(msgspec.msgpack.encode(one.kept()), type=KeptEvents))
        for made in (one, other):
            made.add(events(revision, count, weight), 7, 100)
            assert made.weight == sum(event.weight for event in made.events)
            found = made.after(made.forgotten)
            assert found == list(made.events)
        assert restored_at > revision or one == other or restored_at == 0


def test_events_that_wait_for_effects_are_kept_beyond_the_limits_until_these_are_told() -> None:
    made = EventLog()
    for batch in (events(1, 2), events(2), events(3)):
        made.add(batch, 1, 1 << 20, for_effects=True)
    assert (made.pending, made.pending_weight, len(made.events)) == (4, made.weight, 4)
    made.acknowledge((1, 0))
    made.trim(1, 1 << 20)
    assert made.pending == 3 and len(made.events) == 4  # the other event of that command is not told
    made.acknowledge((2, 0))
    made.acknowledge((1, 1))  # late, and known
    made.trim(1, 1 << 20)
    assert made.pending == 1 and places(list(made.events)) == [(3, 0)]
    copy = EventLog.of(made.kept())
    assert copy == made and copy.pending_weight == made.pending_weight
    made.acknowledge((3, LAST))
    assert (made.pending, made.pending_weight) == (0, 0)


def test_without_effects_nothing_waits() -> None:
    made = log(events(1), events(2))
    assert made.pending == 0 and EventLog.of(made.kept()).pending == 0


def test_pages_end_at_their_limits_and_have_one_event_at_least() -> None:
    made = log(events(1, 2), [GroupEvent(2, 0, "other", b"v")], events(4, 3))
    first = made.page((0, LAST), 5, None, 2, 1 << 20)
    assert (places(list(first.events)), first.until, first.is_end) == ([(1, 0), (1, 1)], (1, 1), False)
    last = made.page(first.until, 5, ["k"], 10, 1 << 20)
    assert (places(list(last.events)), last.until, last.is_end) == ([(4, 0), (4, 1), (4, 2)], (5, LAST), True)
    one = made.page((4, 0), 5, None, 10, 1)
    assert (places(list(one.events)), one.is_end) == ([(4, 1)], False)
    assert made.page((9, LAST), 5, None, 10, 10).until == (9, LAST)
