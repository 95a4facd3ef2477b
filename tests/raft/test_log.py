"""The log against a naive twin."""

from collections.abc import Sequence
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.raft.entries import (
    Body,
    Commands,
    EffectsDone,
    Entry,
    KeyedCommands,
    Noop,
    RemindersDue,
    SessionClosed,
    SessionOpened,
)
from fleet.raft.log import Log
from tests.raft.cores import command, entries

TERMS = st.lists(st.integers(1, 4), max_size=12).map(sorted)
TwoLogs: TypeAlias = tuple[list[int], list[int], int]
"""Terms of two logs, and how many entries they have in common."""


def log_of(terms: Sequence[int], base: int = 0, base_term: int = 0) -> Log:
    log = Log(base, base_term, commit=base, applied=base)
    log.entries = list(entries(*terms, first=base + 1))
    return log


@st.composite
def two_logs(draw: st.DrawFn) -> TwoLogs:
    """Two logs that obey log matching: equal up to some point, of different terms after it."""
    common = draw(TERMS)
    last = common[-1] if common else 0
    first = sorted(draw(st.lists(st.integers(last, last + 3).filter(lambda t: t % 2 == 0), max_size=6)))
    second = sorted(draw(st.lists(st.integers(last, last + 3).filter(lambda t: t % 2 == 1), max_size=6)))
    mine, other = [*common, *first], [*common, *second]
    if first and second and first[0] == 0:
        mine = common
    return [t for t in mine if t], [t for t in other if t], len(common)


@given(two_logs(), st.data())
def test_merging_makes_the_log_equal_up_to_the_last_entry_sent(logs: TwoLogs, data: st.DataObject) -> None:
    mine, other, common = logs
    log = log_of(mine)
    start = data.draw(st.integers(0, common))
    end = data.draw(st.integers(start, len(other)))
    sent = entries(*other)[start:end]
    expected = list(entries(*mine))
    for entry in sent:  # the naive twin: figure 2 word for word
        at = entry.index - 1
        if at < len(expected) and expected[at].term != entry.term:
            del expected[at:]
        if at >= len(expected):
            expected.append(entry)
    new = log.merge(sent)
    assert log.entries == expected
    assert list(new) == ([] if not new else [e for e in sent if e.index >= new[0].index])
    assert log.merge(sent) == ()
    assert log.entries == expected


@given(two_logs())
def test_no_position_above_the_highest_match_can_agree(logs: TwoLogs) -> None:
    mine, other, _ = logs
    log, leader = log_of(mine), log_of(other)
    hint = log.highest_match(leader.last_index, leader.last_term)
    agreeing = [i for i in range(1, len(mine) + 1) if log.term_at(i) == leader.term_at(i)]
    assert max(agreeing, default=0) <= hint
    term = log.term_at(hint)
    assert term is not None
    retry = leader.highest_match(hint, term)
    assert max(agreeing, default=0) <= retry <= hint


@given(two_logs())
def test_the_dialogue_of_refusals_ends_at_the_point_where_the_logs_meet(logs: TwoLogs) -> None:
    mine, other, common = logs
    log, leader = log_of(mine), log_of(other)
    previous, rounds = leader.last_index, 0
    while log.term_at(previous) != leader.term_at(previous):
        hint = log.highest_match(previous, leader.term_at(previous) or 0)
        previous = min(previous - 1, leader.highest_match(hint, log.term_at(hint) or 0))
        rounds += 1
    assert log.term_at(previous) == leader.term_at(previous)
    assert rounds <= 2 + len(set(mine) | set(other))


def test_an_overwritten_suffix_is_gone_and_not_durable() -> None:
    log = log_of([1, 1, 2, 2])
    log.durable = 4
    assert log.merge(entries(3, first=3)) == entries(3, first=3)
    assert (log.last_index, log.last_term, log.durable) == (3, 3, 2)


def test_a_leader_may_not_overwrite_what_is_committed() -> None:
    log = log_of([1, 1])
    log.commit_to(2)
    with pytest.raises(AssertionError, match="overwrites committed 2"):
        log.merge(entries(3, first=2))


def test_a_hole_and_a_falling_term_are_our_own_bugs() -> None:
    log = log_of([2])
    with pytest.raises(AssertionError, match="hole"):
        log.append(Entry(2, 3, Noop()))
    with pytest.raises(AssertionError, match="term falls"):
        log.append(Entry(1, 2, Noop()))


@pytest.mark.parametrize(("index", "term"), [(4, None), (5, 7), (6, 8), (7, 8), (8, None), (0, None)])
def test_a_position_that_is_not_held_has_no_term(index: int, term: int | None) -> None:
    assert log_of([8, 8], base=5, base_term=7).term_at(index) == term


def test_a_batch_keeps_both_limits_and_always_makes_progress() -> None:
    log = Log(entries=[Entry(1, i, command(i, payload=b"x" * 68)) for i in range(1, 11)])
    assert [e.index for e in log.batch(3, 4, 10**6)] == [3, 4, 5, 6]
    assert [e.index for e in log.batch(3, 100, 250)] == [3, 4]
    assert [e.index for e in log.batch(3, 100, 1)] == [3]
    assert log.batch(11, 100, 100) == ()


def test_compacting_keeps_what_follows() -> None:
    log = log_of([1, 1, 2, 2])
    log.commit_to(4)
    assert [e.index for e in log.take_committed(3, last=9)] == [1, 2, 3]
    log.compact(2)
    log.compact(1)
    assert (log.base_index, log.base_term, log.last_index) == (2, 1, 4)
    with pytest.raises(AssertionError, match="applied 3"):
        log.compact(4)
    with pytest.raises(AssertionError, match="compacted"):
        log.slice(2, 3)


def test_committed_entries_are_handed_out_once() -> None:
    log = log_of([1, 1, 1])
    assert log.commit_to(2) and not log.commit_to(1)
    assert [e.index for e in log.take_committed(10, last=9)] == [1, 2]
    assert log.take_committed(10, last=9) == []


@pytest.mark.parametrize(
    ("last", "term", "complete"), [(2, 2, True), (1, 3, True), (3, 2, True), (1, 2, False), (9, 1, False)]
)
def test_the_last_term_decides_before_the_length(last: int, term: int, complete: bool) -> None:
    assert log_of([1, 2]).is_behind(last, term) is complete


def test_the_time_of_an_entry_is_that_of_the_newest_one_up_to_it_that_has_a_stamp() -> None:
    """Those of reminders were left out: a group that nobody called grew no older."""
    bodies: list[Body] = [
        Noop(),
        SessionOpened("c", 1000),
        Commands(1, 1, 0, 2000, (b"a",)),
        KeyedCommands(1, 2, 0, 3000, (b"a",)),
        RemindersDue(4000),
        EffectsDone(1, 0),
        SessionClosed("c", 5000),
        Noop(),
    ]
    log = Log(0, 0, commit=0, applied=0)
    log.entries = [Entry(1, index, body) for index, body in enumerate(bodies, 1)]
    times = [log.time_at(index) for index in range(1, len(bodies) + 1)]
    assert times == [0, 1000, 2000, 3000, 4000, 4000, 5000, 5000]
