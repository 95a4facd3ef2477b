"""Damaged members: what is asked for, round by round, before their data goes."""

import pytest

from fleet.cluster.reconciliation_events import LogLine
from fleet.cluster.repairs import (
    AskForRemoval,
    DamagedMember,
    DropDamaged,
    Effect,
    Event,
    NotRemoved,
    Removed,
    Repairs,
    Round,
)
from fleet.raft.ids import MemberId

ONE = DamagedMember(1, "g", MemberId("n1@a.1"), "damaged")
OTHER = DamagedMember(2, "h", MemberId("n1@a.2"), "lost")
WHY = LogLine("group=g n1@a.1 is damaged and not replaced yet: no leader", "warning", "g")
CASES: dict[str, list[tuple[Event, list[Effect]]]] = {
    "a healthy node asks for nothing": [(Round(()), [])],
    "its data goes when the group has removed it, and not before": [
        (Round((ONE,)), [AskForRemoval(1)]),
        (Round((ONE, OTHER)), [AskForRemoval(2)]),
        (Removed(1), [DropDamaged(1)]),
    ],
    "what failed is asked for again, and told once": [
        (Round((ONE,)), [AskForRemoval(1)]),
        (NotRemoved(1, "no leader"), [WHY]),
        (Round((ONE,)), [AskForRemoval(1)]),
        (NotRemoved(1, "no leader"), []),
        (Round((ONE,)), [AskForRemoval(1)]),
        (Removed(1), [DropDamaged(1)]),
    ],
    "an answer that nobody waits for drops nothing": [(Removed(1), [])],
}


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_member_is_removed_by_its_group_first(name: str) -> None:
    repairs = Repairs()
    for event, effects in CASES[name]:
        assert repairs.step(0, event) == effects
