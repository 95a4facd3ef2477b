"""Majorities, leases and read rounds as plain arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.raft.lease import is_confirmed, lease_until
from fleet.raft.quorum import has_quorum, majority, pick, reached_by_quorum

VALUES = st.lists(st.integers(0, 20), min_size=1, max_size=9)


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)])
def test_a_majority_is_more_than_half(count: int, needed: int) -> None:
    assert majority(count) == needed


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9), min_size=1))
def test_two_sets_that_do_not_meet_are_never_both_a_majority(yes: set[int], voters: set[int]) -> None:
    assert not (has_quorum(yes, voters) and has_quorum(voters - yes, voters))
    assert has_quorum(yes, voters) == (2 * len(yes & voters) > len(voters))


def test_nobody_is_no_majority() -> None:
    assert not has_quorum({1}, ())


@given(VALUES)
def test_the_value_reached_by_a_majority_is_the_largest_such(values: list[int]) -> None:
    value = reached_by_quorum(values)
    assert 2 * sum(1 for v in values if v >= value) > len(values)
    assert 2 * sum(1 for v in values if v > value) <= len(values)


def test_who_is_not_known_has_reached_nothing() -> None:
    assert pick({2: 7, 9: 8}, [1, 2, 3], 1, 5) == [5, 7, 0]


def test_a_lease_ends_a_margin_before_the_loyalty_of_a_majority() -> None:
    assert lease_until([500, 300, 100], 1000, 200) == 1100
    assert lease_until([500, 500, 100, 90], 1000, 200) == 900


def test_a_round_is_confirmed_by_a_majority_at_it_or_later() -> None:
    assert is_confirmed(3, [3, 4, 0]) and not is_confirmed(3, [3, 2, 2])
