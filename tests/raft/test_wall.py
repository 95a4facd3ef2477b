"""What a leader stamps commands with (S85)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.raft.wall import SKEW_MAX_MS, stamp

DAY = 86_400_000
NOW = 1_000 * DAY


@pytest.mark.parametrize(
    ("own", "others", "may_wait", "stamped"),
    [
        (NOW, (), False, NOW),
        (NOW, (NOW - 30, NOW + 400), False, NOW),
        (NOW + DAY, (NOW, NOW), False, NOW + SKEW_MAX_MS),
        (NOW - DAY, (NOW, NOW), False, NOW - SKEW_MAX_MS),
        (NOW, (NOW + DAY, NOW), False, NOW),
        (NOW, (NOW + DAY, NOW - DAY), False, NOW),
        (NOW, (NOW + DAY,), False, NOW),  # of two nobody can say who is wrong
        (NOW, (NOW - DAY,), False, NOW),
        (NOW + DAY, (NOW,), True, NOW + SKEW_MAX_MS),  # the third is about to say
        (NOW + DAY, (NOW, NOW, NOW), False, NOW + SKEW_MAX_MS),
    ],
)
def test_s85_a_stamp_is_near_the_middle_of_the_voters_clocks(
    own: int, others: tuple[int, ...], may_wait: bool, stamped: int
) -> None:
    assert stamp(own, others, may_wait) == stamped


@given(st.integers(), st.lists(st.integers(0, SKEW_MAX_MS), min_size=2, max_size=4), st.booleans())
def test_s85_where_most_clocks_are_right_no_single_one_moves_time(
    own: int, others: list[int], may_wait: bool
) -> None:
    assert -SKEW_MAX_MS <= stamp(own, others, may_wait) <= 2 * SKEW_MAX_MS
