"""The healer's look for learners that say nothing, with a manager of the test's."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.messages.operator import GroupRequest, MemberInfo, MemberList, OpReply, RemoveMember
from fleet.actors.messages.values import NodeInfo
from fleet.actors.node.reconciler import SILENT_ROUNDS, Healer
from fleet.cluster.healing import Seat, Seen
from fleet.cluster.state import GroupInfo
from fleet.raft.config import GroupConfig
from fleet.raft.ids import MemberId, NodeName

LEADER, HELD, GONE = MemberId("n1@a.1"), MemberId("n2@b.1"), MemberId("n3@c.1")
DISKS = {"n2": "b", "n3": "c"}


class Rounds(Healer):
    """Of one group with two learners. The first one's node holds it, the second one's does not."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.away: set[str] = set()
        self.hosting: Any = SimpleNamespace(
            record=SimpleNamespace(number=1), spec=SimpleNamespace(name="g"), leads=True, address="member"
        )
        manager: Any = SimpleNamespace(
            nodes=SimpleNamespace(managers={name: f"{name}'s manager" for name in DISKS}),
            is_reachable=lambda node: node not in self.away,
            next_token=iter(range(1, 1000)).__next__,
            now=lambda: 0,
            myAddress="me",
            send=lambda address, message: self.sent.append((address, message)),
            wake_in=lambda delay, payload: None,
        )
        super().__init__(manager)

    def look(self, *, responsive: tuple[MemberId, ...] = ()) -> list[str]:
        """What a round asks whom; the nodes answer at once."""
        self.rounds += 1
        self.sent.clear()
        learners = [Seat(member, False, member in responsive, 0) for member in (HELD, GONE)]
        self._look_for(self.hosting, Seen(LEADER, 9, (Seat(LEADER, True, True, 9), *learners)))
        asked = []
        for address, request in list(self.sent):
            name = address.partition("'")[0]
            members = (MemberInfo("g", HELD, "running", False),) if name == "n2" else ()
            there = MemberList(NodeInfo(NodeName(name), "", "z", DISKS[name], 1), members)
            assert self.on_reply(OpReply(request.token, there, None))
            asked.append(name)
        return asked

    def removed(self) -> list[MemberId]:
        requests = [message for _, message in self.sent if isinstance(message, GroupRequest)]
        return [request.op.member for request in requests if isinstance(request.op, RemoveMember)]


@pytest.fixture
def healer() -> Rounds:
    return Rounds()


def test_a_learner_that_its_node_does_not_hold_goes_though_another_one_is_silent_too(healer: Rounds) -> None:
    asked = [name for _ in range(SILENT_ROUNDS + 1) for name in healer.look()]
    assert asked == ["n2"] and healer.removed() == []
    assert healer.look() == ["n3"]
    assert healer.removed() == [GONE]


def test_a_learner_is_looked_for_only_after_it_was_silent_for_some_rounds_on_end(healer: Rounds) -> None:
    for _ in range(SILENT_ROUNDS):
        assert healer.look(responsive=(HELD,)) == []
    assert healer.look(responsive=(HELD, GONE)) == []
    for _ in range(SILENT_ROUNDS):
        assert healer.look(responsive=(HELD,)) == []
    assert healer.look(responsive=(HELD,)) == ["n3"]


def test_a_node_that_is_away_is_not_asked(healer: Rounds) -> None:
    healer.away.add("n2")
    healer.away.add("n3")
    assert [name for _ in range(3 * SILENT_ROUNDS) for name in healer.look()] == []


def test_settings_that_the_cluster_does_not_show_are_told_to_it(healer: Rounds) -> None:
    """Whoever changed them may have gone before the cluster was told."""
    told: list[tuple[Any, ...]] = []
    shown, changed = GroupConfig(), GroupConfig(election_ms=2000)
    manager: Any = healer.manager
    manager.citizen = SimpleNamespace(command=lambda about, *command: told.append(command))
    manager.view = SimpleNamespace(groups={"g": GroupInfo("g", 7, 3, b"", shown, ())})
    for uid, config, applied in ((7, shown, 40), (8, changed, 41), (7, changed, 42)):
        healer.hosting.spec.uid = uid
        status: Any = SimpleNamespace(config=config, applied=applied)
        healer._tell_config(healer.hosting, status)
    assert told == [("note_config", "g", 7, changed, 42)]
