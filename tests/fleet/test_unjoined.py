"""Members that no leader has added: what they ask, round by round."""

import pytest

from fleet.cluster.unjoined import (
    UNJOINED_MS,
    AskLast,
    AskToJoin,
    Effect,
    Event,
    Round,
    StatusTold,
    UnjoinedMembers,
    Waiting,
)


def round_of(*started_at: int) -> Round:
    """Members 1, 2, ..."""
    running = tuple(Waiting(number, at) for number, at in enumerate(started_at, 1))
    return Round(frozenset(one.number for one in running), running)


YOUNG, OLD = 1, 0
CASES: dict[str, list[tuple[int, Event, list[Effect]]]] = {
    "one that was just started has time": [
        (UNJOINED_MS - 1, round_of(OLD), []),
        (UNJOINED_MS, round_of(OLD, YOUNG), [AskLast(1, 1)]),
    ],
    "one with an empty log asks to be added, each round again": [
        (UNJOINED_MS, round_of(OLD), [AskLast(1, 1)]),
        (UNJOINED_MS, StatusTold(1, 0), [AskToJoin(1)]),
        (UNJOINED_MS + 1000, round_of(OLD), [AskLast(2, 1)]),
    ],
    "one that heard of its group is not asked again": [
        (UNJOINED_MS, round_of(OLD, OLD), [AskLast(1, 1), AskLast(2, 2)]),
        (UNJOINED_MS, StatusTold(1, 7), []),
        (UNJOINED_MS + 1000, round_of(OLD, OLD), [AskLast(3, 2)]),
    ],
    "an answer of an earlier round counts no more, nor does one twice": [
        (UNJOINED_MS, round_of(OLD), [AskLast(1, 1)]),
        (UNJOINED_MS + 1000, round_of(OLD), [AskLast(2, 1)]),
        (UNJOINED_MS + 1000, StatusTold(1, 0), []),
        (UNJOINED_MS + 1000, StatusTold(2, 0), [AskToJoin(1)]),
        (UNJOINED_MS + 1000, StatusTold(2, 0), []),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_a_member_asks_to_be_added_when_nobody_adds_it(name: str) -> None:
    unjoined = UnjoinedMembers()
    for now, event, effects in CASES[name]:
        assert unjoined.step(now, event) == effects


def test_what_is_gone_is_forgotten() -> None:
    unjoined = UnjoinedMembers()
    unjoined.step(UNJOINED_MS, round_of(OLD, OLD))
    unjoined.step(UNJOINED_MS, StatusTold(2, 7))
    unjoined.step(UNJOINED_MS, round_of(OLD))
    assert unjoined.joined == set()
