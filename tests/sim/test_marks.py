"""Rare states: each is named once, passed by somebody, and told where no seed reaches it."""

from pathlib import Path

import pytest

import fleet.sim
from fleet.sim.checks.marks import MARKS, Marks, missed

SOURCES = {
    path: path.read_text()
    for path in Path(fleet.sim.__path__[0]).resolve().rglob("*.py")
    if path.name != "marks.py"
}


def test_each_mark_is_passed_somewhere() -> None:
    whole = "\n".join(SOURCES.values())
    assert [name for name in MARKS if f'"{name}"' not in whole] == []
    assert len({*MARKS}) == len(MARKS)


def test_a_mark_that_is_not_in_the_list_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="not in the list"):
        Marks().passes("a state that nobody knows", 0)


def test_marks_are_kept_with_their_first_moment_and_travel_as_bits() -> None:
    marks, other = Marks(), Marks()
    for now in (5, 7):
        marks.passes(MARKS[3], now)
    other.passes(MARKS[-1], 9)
    assert marks.first_at == {MARKS[3]: 5} and marks.counts == {MARKS[3]: 2}
    assert missed(marks.bits | other.bits) == [*MARKS[:3], *MARKS[4:-1]]
