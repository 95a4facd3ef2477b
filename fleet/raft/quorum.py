"""Majorities of plain collections."""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

K = TypeVar("K")


def majority(count: int) -> int:
    return count // 2 + 1


def has_quorum(yes: Collection[K], voters: Collection[K]) -> bool:
    """Whether the voters among `yes` are a majority. No voters: never."""
    return sum(1 for voter in voters if voter in yes) >= majority(len(voters)) if voters else False


def reached_by_quorum(values: Iterable[int]) -> int:
    """The largest value that a majority has reached: one value per voter."""
    ordered = sorted(values)
    assert ordered, "a group has a voter"
    return ordered[-majority(len(ordered))]


def pick(values: Mapping[K, int], voters: Iterable[K], own: K, own_value: int) -> list[int]:
    """One value per voter: `own_value` for oneself, 0 for a voter that is not in `values`."""
    return [own_value if voter == own else values.get(voter, 0) for voter in voters]
