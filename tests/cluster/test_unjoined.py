"""Members that no leader has added: what they ask, round by round."""

import pytest

from fleet.cluster.unjoined import (
    LOOK_AGAIN_MS,
    UNJOINED_MS,
    AskStatus,
    AskToJoin,
    Effect,
    Event,
    Round,
    StatusReceived,
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
        (UNJOINED_MS, round_of(OLD, YOUNG), [AskStatus(1, 1)]),
    ],
    "one with an empty log asks to be added, each round again": [
        (UNJOINED_MS, round_of(OLD), [AskStatus(1, 1)]),
        (UNJOINED_MS, StatusReceived(1, 0, False), [AskToJoin(1)]),
        (UNJOINED_MS + 1000, round_of(OLD), [AskStatus(2, 1)]),
    ],
    "one that heard of its group is asked again after a while": [
        (UNJOINED_MS, round_of(OLD, OLD), [AskStatus(1, 1), AskStatus(2, 2)]),
        (UNJOINED_MS, StatusReceived(1, 7, True), []),
        (UNJOINED_MS + 1000, round_of(OLD, OLD), [AskStatus(3, 2)]),
        (UNJOINED_MS + 1000, StatusReceived(3, 7, True), []),
        (UNJOINED_MS + LOOK_AGAIN_MS - 1, round_of(OLD, OLD), []),
        (UNJOINED_MS + LOOK_AGAIN_MS, round_of(OLD, OLD), [AskStatus(4, 1)]),
    ],
    "one that hears from a leader again and again is asked ever less often, until it does not": [
        (UNJOINED_MS, round_of(OLD), [AskStatus(1, 1)]),
        (UNJOINED_MS, StatusReceived(1, 7, True), []),
        (20_000, round_of(OLD), [AskStatus(2, 1)]),
        (20_000, StatusReceived(2, 7, True), []),
        (20_000 + 2 * LOOK_AGAIN_MS - 1, round_of(OLD), []),
        (20_000 + 2 * LOOK_AGAIN_MS, round_of(OLD), [AskStatus(3, 1)]),
        (40_000, StatusReceived(3, 7, False), []),
        (40_000 + LOOK_AGAIN_MS, round_of(OLD), [AskStatus(4, 1)]),
        (50_000, StatusReceived(4, 7, True), []),
        (50_000 + LOOK_AGAIN_MS, round_of(OLD), [AskStatus(5, 1)]),
        (10**7, StatusReceived(5, 7, True), []),
    ],
    "one whose leader lost the entry that added it asks to be added": [
        (UNJOINED_MS, round_of(OLD), [AskStatus(1, 1)]),
        (UNJOINED_MS, StatusReceived(1, 7, False), []),
        (UNJOINED_MS + LOOK_AGAIN_MS, round_of(OLD), [AskStatus(2, 1)]),
        (UNJOINED_MS + LOOK_AGAIN_MS, StatusReceived(2, 7, False), [AskToJoin(1)]),
    ],
    "one that knew no leader during an election does not ask": [
        (UNJOINED_MS, round_of(OLD), [AskStatus(1, 1)]),
        (UNJOINED_MS, StatusReceived(1, 7, False), []),
        (UNJOINED_MS + LOOK_AGAIN_MS, round_of(OLD), [AskStatus(2, 1)]),
        (UNJOINED_MS + LOOK_AGAIN_MS, StatusReceived(2, 8, True), []),
        (UNJOINED_MS + 2 * LOOK_AGAIN_MS, round_of(OLD), [AskStatus(3, 1)]),
        (UNJOINED_MS + 2 * LOOK_AGAIN_MS, StatusReceived(3, 8, False), []),
    ],
    "an answer of an earlier round counts no more, nor does one twice": [
        (UNJOINED_MS, round_of(OLD), [AskStatus(1, 1)]),
        (UNJOINED_MS + 1000, round_of(OLD), [AskStatus(2, 1)]),
        (UNJOINED_MS + 1000, StatusReceived(1, 0, False), []),
        (UNJOINED_MS + 1000, StatusReceived(2, 0, False), [AskToJoin(1)]),
        (UNJOINED_MS + 1000, StatusReceived(2, 0, False), []),
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
    unjoined.step(UNJOINED_MS, StatusReceived(2, 7, True))
    unjoined.step(UNJOINED_MS, round_of(OLD))
    assert unjoined.joined == unjoined.pauses == {}
