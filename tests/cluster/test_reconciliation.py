"""The groups that are led from a node, brought to where they are wanted: events in, effects out."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from fleet.cluster.healing import Promote, Remove, Seat, Seen
from fleet.cluster.reconciliation import (
    AGAIN_MS,
    FOUNDERS_MS,
    GIVE_UP_MS,
    LOOK_ROUNDS_MAX,
    MOVES_MAX,
    REFUSED_ROUNDS,
    SILENT_ROUNDS,
    SWEEP_ROUNDS,
    Reconciliation,
)
from fleet.cluster.reconciliation_events import (
    Admit,
    AnswerUseless,
    AnyChanged,
    AskChange,
    AskForMembers,
    AskStatus,
    AskToHost,
    Effect,
    Event,
    GroupChanged,
    Leads,
    LeadsNoMore,
    LogLine,
    Look,
    MemberHosted,
    MembersReceived,
    NoteConfig,
    Round,
    StatusReceived,
    StepDone,
    StepRefused,
    WakeIn,
)
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, GroupInfo, NodeRecord
from fleet.cluster.view import ClusterView
from fleet.raft.config import GroupConfig
from fleet.raft.ids import MemberId, NodeName

N1, N2, N3 = NodeName("n1"), NodeName("n2"), NodeName("n3")
LEADER, HELD, GONE = MemberId("n1@a.1"), MemberId("n2@b.1"), MemberId("n3@c.1")
LED = Leads(1, "g", 7, 0)
SHOWN, CHANGED = GroupConfig(), GroupConfig(election_ms=2000)


def view_of(*groups: GroupInfo) -> ClusterView:
    disks = {N1: "a", N2: "b", N3: "c"}
    nodes = {name: NodeRecord(name, disk, name, f"{name}:1", 1.0, ACTIVE) for name, disk in disks.items()}
    return ClusterView(rev=9, nodes=nodes, groups={group.name: group for group in groups})


def group(*wanted: NodeName, name: str = "g", uid: int = 7) -> GroupInfo:
    return GroupInfo(name, uid, len(wanted), b"", SHOWN, (), wanted)


def status(token: int, *seats: Seat, wanted: Iterable[NodeName] = (N1,)) -> StatusReceived:
    """The leader n1 tells of itself and of `seats`, while the group is wanted on `wanted`."""
    seen = Seen(LEADER, 9, (Seat(LEADER, True, True, 9), *seats))
    voters = tuple(seat.member for seat in seen.seats if seat.votes)
    view, everyone = view_of(group(*wanted)), frozenset({N1, N2, N3})
    return StatusReceived(token, True, seen, voters, (), 5, SHOWN, 9, view, everyone)


def learner(member: MemberId, *, responsive: bool, match: int = 0) -> Seat:
    return Seat(member, False, responsive, match)


JITTER = 7919 % SWEEP_ROUNDS
Steps = list[tuple[int, Event, list[Effect]]]
SILENT = Seat(HELD, True, False, 9)
CASES: dict[str, Steps] = {
    "a missing member is hosted, added, and promoted when it has caught up": [
        (0, LED, [AskStatus(1, 1)]),
        (0, status(1, wanted=(N1, N2)), [AskToHost(2, 1, N2, ())]),
        (0, MemberHosted(2, HELD, "n2:1"), [AskChange(3, 1, Admit(HELD, "n2:1"))]),
        (0, StepDone(3), [AskStatus(4, 1)]),
        (
            0,
            status(4, learner(HELD, responsive=True, match=9), wanted=(N1, N2)),
            [AskChange(5, 1, Promote(HELD))],
        ),
        (0, StepDone(5), [AskStatus(6, 1)]),
        (0, status(6, Seat(HELD, True, True, 9), wanted=(N1, N2)), []),
    ],
    "a group that is where it is wanted is asked again when something changed, and after a minute or two": [
        (0, LED, [AskStatus(1, 1)]),
        (0, status(1), []),
        *[(0, Round(), []) for _ in range(SWEEP_ROUNDS + JITTER - 1)],
        (0, Round(), [AskStatus(2, 1)]),
        (0, status(2), []),
        (0, GroupChanged(1), []),
        (0, Look(), [AskStatus(3, 1)]),
        (0, status(3), []),
        (0, AnyChanged(), []),
        (0, Look(), [AskStatus(4, 1)]),
    ],
    "a member whose disk was replaced is looked after, though it answered a moment ago (seed 740348)": [
        (0, LED, [AskStatus(1, 1)]),
        (0, status(1, Seat(MemberId("n2@old.1"), True, True, 9), wanted=(N1, N2)), []),
        (0, Round(), [AskStatus(2, 1)]),
    ],
    "a group with a member that does not answer is asked again and again, less and less often": [
        (0, LED, [AskStatus(1, 1)]),
        (0, status(1, SILENT, wanted=(N1, N2)), []),
        (0, Round(), [AskStatus(2, 1)]),
        (0, status(2, SILENT, wanted=(N1, N2)), []),
        (0, Round(), []),
        (0, Round(), [AskStatus(3, 1)]),
        (0, replace(LED), []),
        (0, status(3, SILENT, wanted=(N1, N2)), []),
        (0, Round(), [AskStatus(4, 1)]),
        (0, status(4, replace(SILENT, responsive=True), wanted=(N1, N2)), []),
        *[(0, Round(), []) for _ in range(2 * LOOK_ROUNDS_MAX)],
    ],
    "a group that its second choice leads is asked again until the first can lead": [
        (0, LED, [AskStatus(1, 1)]),
        (0, status(1, replace(SILENT, responsive=True, match=-5000), wanted=(N2, N1)), []),
        (0, Round(), [AskStatus(2, 1)]),
    ],
    "one question a group is open at a time, and asked again when nobody answered": [
        (0, LED, [AskStatus(1, 1)]),
        (0, GroupChanged(1), []),
        (0, Look(), []),
        (GIVE_UP_MS, Round(), []),
        (GIVE_UP_MS + 1, Round(), [AskStatus(2, 1)]),
        (GIVE_UP_MS + 1, status(1, wanted=(N1, N2)), []),
        (GIVE_UP_MS + 1, status(2), []),
    ],
    "whoever leads no more asks nothing": [
        (0, LED, [AskStatus(1, 1)]),
        (0, LeadsNoMore(1), []),
        (0, status(1, wanted=(N1, N2)), []),
        (0, GroupChanged(1), []),
        (0, Look(), []),
        (0, LED, [AskStatus(2, 1)]),
    ],
    "a member that does not lead decides nothing": [
        (0, LED, [AskStatus(1, 1)]),
        (0, replace(status(1, wanted=(N1, N2)), leads=False, config=CHANGED), []),
    ],
    "a refused step is tried again soon where that may help": [
        (0, LED, [AskStatus(1, 1)]),
        (0, StepRefused(1, "no leader", True), [WakeIn(AGAIN_MS)]),
        (AGAIN_MS, Look(), [AskStatus(2, 1)]),
        (AGAIN_MS, StepRefused(2, "no leader", True), [WakeIn(AGAIN_MS)]),
    ],
    "a step that was refused for good is told once, and left to the rounds": [
        (0, LED, [AskStatus(1, 1)]),
        (
            0,
            StepRefused(1, "no class", False),
            [LogLine("group=g cannot be reconciled with its placement: no class", "error", "g")],
        ),
        (0, Look(), []),
        (0, GroupChanged(1), []),
        (0, Look(), [AskStatus(2, 1)]),
        (0, StepRefused(2, "no class", False), []),
        *[(0, Round(), []) for _ in range(REFUSED_ROUNDS - 1)],
        (0, Round(), [AskStatus(3, 1)]),
    ],
    "an answer that is none leaves it to the rounds": [
        (0, LED, [AskStatus(1, 1)]),
        (0, AnswerUseless(1), []),
        (0, Look(), []),
        (0, Round(), [AskStatus(2, 1)]),
    ],
    "a node that is not known is given no member": [
        (0, LED, [AskStatus(1, 1)]),
        (0, status(1, wanted=(N1, N2)), [AskToHost(2, 1, N2, ())]),
        (0, MemberHosted(2, HELD, None), []),
    ],
    "a learner that lags is looked at again soon": [
        (0, LED, [AskStatus(1, 1)]),
        (
            0,
            replace(status(1, learner(HELD, responsive=False), wanted=(N1, N2)), reachable=frozenset({N1})),
            [WakeIn(AGAIN_MS)],
        ),
    ],
    "an extra member is let go": [
        (0, LED, [AskStatus(1, 1)]),
        (
            0,
            status(1, Seat(HELD, True, True, 9)),
            [LogLine("group=g removes n2@b.1", group="g"), AskChange(2, 1, Remove(HELD))],
        ),
    ],
    "of a group that the cluster does not show nothing is changed": [
        (0, LED, [AskStatus(1, 1)]),
        (0, replace(status(1, Seat(HELD, True, True, 9)), view=view_of()), []),
    ],
    "a group of the name that came later is another one": [
        (0, LED, [AskStatus(1, 1)]),
        (0, replace(status(1, Seat(HELD, True, True, 9)), view=view_of(group(N1, uid=8))), []),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_groups_are_brought_where_they_are_wanted(name: str) -> None:
    reconciliation = Reconciliation()
    for now, event, effects in CASES[name]:
        assert reconciliation.step(now, event) == effects, event


@pytest.mark.parametrize(
    ("uid", "config", "told"), [(7, SHOWN, False), (8, CHANGED, False), (7, CHANGED, True)]
)
def test_settings_that_the_cluster_does_not_show_are_told_to_it(
    uid: int, config: GroupConfig, told: bool
) -> None:
    """Whoever changed them may have gone before the cluster was told."""
    reconciliation = Reconciliation()
    reconciliation.step(0, replace(LED, uid=uid))
    effects = reconciliation.step(0, replace(status(1), config=config, applied=42))
    assert effects == ([NoteConfig("g", 7, CHANGED, 42)] if told else [])


def test_so_many_groups_bring_somebody_in_at_a_time() -> None:
    reconciliation = Reconciliation()
    for number in range(MOVES_MAX + 1):
        (asked,) = reconciliation.step(0, replace(LED, number=number))
        assert isinstance(asked, AskStatus)
        (effect,) = reconciliation.step(0, status(asked.token, wanted=(N1, N2)))
        assert isinstance(effect, AskToHost if number < MOVES_MAX else WakeIn)
    own = Leads(99, CLUSTER_GROUP, 3, 0)
    *_, asked = reconciliation.step(0, own)
    assert isinstance(asked, AskStatus)
    (effect,) = reconciliation.step(0, status(asked.token))
    assert isinstance(effect, AskToHost)


def test_founders_have_time_to_join_before_they_are_taken_for_strangers() -> None:
    own = Leads(1, CLUSTER_GROUP, 3, 0)
    stranger = MemberId("n4@d.c")
    seen = replace(status(1, Seat(stranger, True, False, 0)), changed_at=1)
    for now, is_let_go in ((FOUNDERS_MS - 1, False), (FOUNDERS_MS, True)):
        reconciliation = Reconciliation()
        reconciliation.step(0, own)
        effects = reconciliation.step(now, seen)
        assert (AskChange(2, 1, Remove(stranger)) in effects) == is_let_go


# -- learners that say nothing ---------------------------------------------------------------------


class Rounds(Reconciliation):
    """Of one group with two learners. The first one's node holds it, the second one's does not."""

    def __init__(self) -> None:
        super().__init__()
        self.away: set[NodeName] = set()
        self.removed: list[MemberId] = []
        self.step(0, LED)
        self.step(0, AnswerUseless(self.token))

    def look(self, *, responsive: tuple[MemberId, ...] = ()) -> list[NodeName]:
        """Which nodes are asked in a round; they answer at once."""
        self.step(0, Round())
        self.step(0, GroupChanged(1))
        self.step(0, Look())
        seats = [learner(member, responsive=member in responsive) for member in (HELD, GONE)]
        told = status(self.token, *seats, wanted=(N1, N2, N3))
        lagging = replace(told.seen, commit=5000)
        asked = []
        for effect in self.step(0, replace(told, seen=lagging, reachable=told.reachable - self.away)):
            if isinstance(effect, AskForMembers):
                asked.append(effect.node)
                there = {N2: ("b", (HELD,)), N3: ("c", ())}[effect.node]
                answers = self.step(0, MembersReceived(effect.token, *there))
                changes = [one.change for one in answers if isinstance(one, AskChange)]
                self.removed += [change.member for change in changes if isinstance(change, Remove)]
        return asked


def test_a_learner_that_its_node_does_not_hold_goes_though_another_one_is_silent_too() -> None:
    rounds = Rounds()
    asked = [name for _ in range(SILENT_ROUNDS + 1) for name in rounds.look()]
    assert asked == [N2] and rounds.removed == []
    assert rounds.look() == [N3]
    assert rounds.removed == [GONE]


def test_a_learner_is_looked_for_only_after_it_was_silent_for_some_rounds_on_end() -> None:
    rounds = Rounds()
    for _ in range(SILENT_ROUNDS):
        assert rounds.look(responsive=(HELD,)) == []
    assert rounds.look(responsive=(HELD, GONE)) == []
    for _ in range(SILENT_ROUNDS):
        assert rounds.look(responsive=(HELD,)) == []
    assert rounds.look(responsive=(HELD,)) == [N3]


def test_a_node_that_is_away_is_not_asked() -> None:
    rounds = Rounds()
    rounds.away = {N2, N3}
    assert [name for _ in range(3 * SILENT_ROUNDS) for name in rounds.look()] == []
