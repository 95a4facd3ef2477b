"""When a group changes to later code by itself: what is asked of whom, and when again."""

import pytest
from msgspec.structs import replace

from fleet.cluster.automatic_upgrades import (
    PAUSE_MS,
    AskLeader,
    AskToChange,
    AskToTry,
    AutomaticUpgrades,
    Effect,
    Event,
    GroupSeen,
    Offer,
    Refused,
    Round,
    Tried,
    Upgraded,
)
from fleet.cluster.reconciliation_events import LogLine
from fleet.raft.ids import MemberId

N1, N2, N3 = (MemberId(f"n{number}@d.1") for number in (1, 2, 3))
OFFER = Offer(7, "tally", N1, b"later", 2, "new")
OTHER = replace(OFFER, data_class=b"later still", fingerprint="newer")
NOW, PAUSE = 1000, PAUSE_MS[0]
ROUND, NONE = Round((OFFER,)), Round(())
SEEN = GroupSeen(1, 1, "old", (N1, N2, N3))
SAYS = LogLine("whatever it says")
ALONE: list[Effect] = [AskToTry(1, OFFER, N2, False), AskToTry(1, OFFER, N3, False)]
TRIES: list[Effect] = [AskToTry(1, OFFER, member, True) for member in (N1, N2, N3)]
ONLY = GroupSeen(1, 1, "old", (N1,))
ASKED: list[tuple[int, Event, list[Effect]]] = [
    (NOW, ROUND, [AskLeader(1, OFFER)]),
    (NOW, SEEN, ALONE),
    (NOW, Tried(1, N3, False), []),
    (NOW, Tried(1, N2, False), TRIES),
]
CASES: dict[str, list[tuple[int, Event, list[Effect]]]] = {
    "every member tries it, with its state once all can load it, and then the change is asked for": [
        *ASKED,
        (NOW, Tried(1, N3, True), []),
        (NOW, ROUND, []),
        (NOW, Tried(1, N1, False), []),
        (NOW, Tried(1, N2, True), [AskToChange(1, OFFER, "old")]),
    ],
    "no state is copied as long as a node has not the code": [
        (NOW, ROUND, [AskLeader(1, OFFER)]),
        (NOW, SEEN, ALONE),
        (NOW, Tried(1, N3, False), []),
        (NOW, Refused(1, "n2: OtherCode"), [SAYS]),
    ],
    "nothing changes if no member could try it with the state as it is now": [
        *ASKED,
        (NOW, Tried(1, N1, False), []),
        (NOW, Tried(1, N2, False), []),
        (NOW, Tried(1, N3, False), [SAYS]),
        (NOW + PAUSE, ROUND, [AskLeader(2, OFFER)]),
    ],
    "a single member tries its state, too": [
        (NOW, ROUND, [AskLeader(1, OFFER)]),
        (NOW, ONLY, [AskToTry(1, OFFER, N1, True)]),
        (NOW, Tried(1, N1, True), [AskToChange(1, OFFER, "old")]),
    ],
    "a member that refuses stops it, and what others say then is not heard": [
        (NOW, ROUND, [AskLeader(1, OFFER)]),
        (NOW, SEEN, ALONE),
        (NOW, Refused(1, "n2: OtherCode"), [SAYS]),
        (NOW, Tried(1, N2, False), []),
        (NOW, Tried(1, N3, False), []),
        (NOW + PAUSE - 1, ROUND, []),
        (NOW + PAUSE, ROUND, [AskLeader(2, OFFER)]),
        (NOW + PAUSE, Refused(2, "n2: OtherCode"), []),
        (NOW + 3 * PAUSE - 1, ROUND, []),
        (NOW + 3 * PAUSE, ROUND, [AskLeader(3, OFFER)]),
    ],
    "nothing is asked of a group that has that code in force": [
        (NOW, ROUND, [AskLeader(1, OFFER)]),
        (NOW, GroupSeen(1, 2, "new", (N1, N2, N3)), []),
        (NOW + 1, ROUND, []),
    ],
    "a member that lags does not take the group back to what is behind it": [
        (NOW, ROUND, [AskLeader(1, OFFER)]),
        (NOW, GroupSeen(1, 3, "later still", (N1, N2, N3)), [SAYS]),
        (NOW + PAUSE - 1, ROUND, []),
        (NOW + PAUSE, ROUND, [AskLeader(2, OFFER)]),
    ],
    "a member that executes again ends its attempt": [
        (NOW, ROUND, [AskLeader(1, OFFER)]),
        (NOW, SEEN, ALONE),
        (NOW, NONE, []),
        (NOW, Tried(1, N2, False), []),
        (NOW, Tried(1, N3, False), []),
    ],
    "other code that it finds is another attempt": [
        (NOW, ROUND, [AskLeader(1, OFFER)]),
        (NOW, Round((OTHER,)), [AskLeader(2, OTHER)]),
        (NOW, SEEN, []),
    ],
    "a change that was made is told, and not asked for again at once": [
        (NOW, ROUND, [AskLeader(1, OFFER)]),
        (NOW, ONLY, [AskToTry(1, OFFER, N1, True)]),
        (NOW, Tried(1, N1, True), [AskToChange(1, OFFER, "old")]),
        (NOW, Upgraded(1), [SAYS]),
        (NOW + 1, ROUND, []),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_asked(case: str) -> None:
    upgrades = AutomaticUpgrades()
    for now, event, expected in CASES[case]:
        found = upgrades.step(now, event)
        assert [SAYS if isinstance(one, LogLine) else one for one in found] == expected
