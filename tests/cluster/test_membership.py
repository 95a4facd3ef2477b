"""A node in its cluster, by what it sees of it: it registers, founds what names it, drops what is removed."""

import pytest
from msgspec.structs import replace

from fleet.cluster.membership import NodeMembership
from fleet.cluster.membership_events import (
    Applied,
    Belongs,
    Changed,
    CreateMembers,
    DropMember,
    Dropped,
    Effect,
    Event,
    ForgetLeft,
    Held,
    Left,
    Local,
    LookForArrivals,
    Me,
    MeetNodes,
    NewMember,
    ReadView,
    Reconcile,
    Renewed,
    Round,
    SendCommand,
    TellWhereabouts,
    ViewReceived,
    Warn,
)
from fleet.cluster.reconciliation_events import AnyChanged, GroupChanged, LogLine, Look
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING, GroupInfo, NodeRecord, RemovedGroup, View
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import Index, MemberId, NodeName

N1, N2 = NodeName("n1"), NodeName("n2")
CLUSTER = 8
REV = 100
LOCAL = Local("a")
ME = Me(N1, "n1:1", "n1")
CONFIG = GroupConfig()


def record(name: NodeName, **changes: object) -> NodeRecord:
    return replace(NodeRecord(name, "a", name, f"{name}:1", 1.0, ACTIVE), **changes)


def group(name: str, uid: int, *members: str, pinned: tuple[NodeName, ...] = ()) -> GroupInfo:
    initial = tuple((MemberId(f"{member}.g{uid}"), "") for member in members)
    return GroupInfo(name, uid, 1, b"class", CONFIG, initial, pinned)


def new(name: str, uid: int, member: str, *others: str) -> NewMember:
    """The first of the founders is the first of all."""
    everyone = [MemberId(f"{one}.g{uid}") for one in (member, *others)]
    founded = Founded(everyone[-1], "", CONFIG, tuple((one, "") for one in everyone[:-1]), b"class")
    return NewMember(name, b"class", CONFIG, uid, everyone[0], founded, CLUSTER)


def membership_of(
    *groups: GroupInfo, me: Me = ME, rev: Index = REV, removed: tuple[RemovedGroup, ...] = ()
) -> NodeMembership:
    """Of node n1, which sees itself, n2 and these."""
    membership = NodeMembership(me)
    membership.step(0, Belongs(CLUSTER))
    membership.view.rev = rev
    membership.view.nodes = {name: record(name) for name in (N1, N2)}
    membership.view.groups = {one.name: one for one in groups}
    membership.view.removed = {one.uid: one for one in removed}
    return membership


def held(*members: tuple[str, int]) -> tuple[Held, ...]:
    return tuple(Held(number, name, uid, CLUSTER) for number, (name, uid) in enumerate(members, 1))


# -- groups that name this node --------------------------------------------------------------------

MINE = group("mine", 5, "n2@a", "n1@a")
FOUNDINGS: dict[str, tuple[list[GroupInfo], Local, list[Effect]]] = {
    "a node founds the groups that name its disk and no others": (
        [MINE, group("former disk's", 6, "n1@old"), group("other's", 7, "n2@b")],
        LOCAL,
        [CreateMembers((new("mine", 5, "n1@a", "n2@a"),))],
    ),
    "what it holds already is left as it is": ([MINE], replace(LOCAL, members=held(("mine", 5))), []),
    "what is coming is not created twice": ([MINE], replace(LOCAL, coming={"mine": 5}), []),
    "a group that this disk left is not founded again": ([MINE], replace(LOCAL, left=frozenset({5})), []),
    "another group of that name is founded": (
        [group("mine", 9, "n1@a")],
        replace(LOCAL, left=frozenset({5})),
        [CreateMembers((new("mine", 9, "n1@a"),))],
    ),
    "a disk that is just becoming another one founds nothing": ([MINE], replace(LOCAL, is_renewing=True), []),
    "a founder that comes late begins as the others did": (
        [replace(MINE, config=GroupConfig(election_ms=2000), config_index=9, founding_config=CONFIG)],
        LOCAL,
        [CreateMembers((new("mine", 5, "n1@a", "n2@a"),))],
    ),
}


@pytest.mark.parametrize("name", FOUNDINGS)
def test_a_node_founds_what_names_it(name: str) -> None:
    groups, local, effects = FOUNDINGS[name]
    membership = membership_of(*groups)
    assert [one for one in membership.step(0, Round(local)) if not isinstance(one, ForgetLeft)] == effects


def test_s74_fifty_new_groups_are_created_at_once() -> None:
    membership = membership_of(*(group(f"g{uid}", uid, "n1@a") for uid in range(50)))
    (created,) = membership.step(0, Round(replace(LOCAL, coming={"g7": 7})))
    assert isinstance(created, CreateMembers) and len(created.members) == 49


# -- being in the cluster's state ------------------------------------------------------------------


def joining(me: Me = ME, disk: str = "a") -> SendCommand:
    args = (me.name, disk, me.zone, me.address, me.weight, "active", me.build, 1)
    return SendCommand(f"joining as {me.name}", "join", args)


def test_a_node_asks_to_join_until_the_cluster_shows_it_as_it_is() -> None:
    membership = membership_of()
    del membership.view.nodes[N1]
    for local in (replace(LOCAL, may_register=False), replace(LOCAL, is_founding=True)):
        assert membership.step(0, Changed(local)) == []
    for _ in range(2):
        assert membership.step(0, Changed(LOCAL)) == [joining()]
    membership.view.nodes[N1] = record(N1, address="n1:2")
    assert membership.step(0, Changed(LOCAL)) == [joining()]
    membership.view.nodes[N1] = record(N1)
    assert membership.step(0, Changed(LOCAL)) == []


def test_who_takes_this_nodes_name_is_told_of_once() -> None:
    """Two nodes of one name replaced each other in the cluster's state every second, and said nothing."""
    membership = membership_of()
    membership.view.nodes[N1] = record(N1, incarnation="former disk")
    assert membership.step(0, Changed(LOCAL)) == [joining()]
    what = "node=n1: another node joined under this name, at n1:2 with disk b: stop one of the two"
    for told in ([LogLine(what, "error")], []):
        membership.view.nodes[N1] = record(N1)
        assert membership.step(0, Changed(LOCAL)) == []
        membership.view.nodes[N1] = record(N1, incarnation="b", address="n1:2")
        assert membership.step(0, Changed(LOCAL)) == [*told, joining()]


def test_a_node_with_another_disk_joins_again_and_warns_of_nobody() -> None:
    membership = membership_of()
    membership.step(0, Changed(LOCAL))
    assert membership.step(0, Renewed(Local("a-2"))) == [joining(disk="a-2")]


def test_a_founder_says_the_purge_window_until_the_cluster_has_it() -> None:
    membership = membership_of(me=replace(ME, purge_after_ms=9000))
    founder = replace(LOCAL, members=(Held(1, CLUSTER_GROUP, CLUSTER, 0, is_founder=True),))
    other = replace(LOCAL, members=(Held(1, CLUSTER_GROUP, CLUSTER, 0),))
    assert membership.step(0, Changed(other)) == []
    assert membership.step(0, Changed(founder)) == [
        SendCommand("purge window", "set_purge_after", (9000, True))
    ]
    membership.view.purge_after_rev = 90
    assert membership.step(0, Changed(founder)) == []


def test_a_voter_reports_who_is_silent_and_who_is_back() -> None:
    membership = membership_of()
    membership.view.purge_after_ms = 1000
    lost, back = replace(LOCAL, silent_ms={N2: 1000}), replace(LOCAL, silent_ms={N2: 999})
    assert membership.step(0, Changed(back)) == []
    assert membership.step(0, Changed(lost)) == [
        SendCommand("reporting n2 unreachable", "report", (N1, N2, "a", True))
    ]
    membership.view.nodes[N2] = record(N2, reports=(N1,))
    assert membership.step(0, Changed(lost)) == []
    assert membership.step(0, Changed(back)) == [
        SendCommand("reporting n2 back", "report", (N1, N2, "a", False))
    ]


def test_a_node_that_votes_no_more_takes_its_reports_back() -> None:
    """Seed 5231: the report stayed, to be counted as soon as its node voted again."""
    membership = membership_of()
    membership.view.purge_after_ms = 1000
    membership.view.nodes[N1] = record(N1, state=LEAVING)
    membership.view.nodes[N2] = record(N2, reports=(N1,))
    effects = membership.step(0, Changed(replace(LOCAL, silent_ms={N2: 1000})))
    assert SendCommand("reporting n2 back", "report", (N1, N2, "a", False)) in effects


def test_a_node_leaves_when_no_member_lives_on_it() -> None:
    membership = membership_of()
    membership.view.nodes[N1] = record(N1, state=LEAVING)
    own = held((CLUSTER_GROUP, CLUSTER))
    busy = replace(LOCAL, members=own, coming={"g": 5})
    what = "node=n1 is leaving: 1 of its members still have to move to other nodes"
    assert membership.step(0, Changed(busy)) == [Warn("leaving", what)]
    (going,) = held(("g", 5))
    ending = replace(LOCAL, members=(*own, replace(going, is_dropped=True)))  # seed 850456
    assert Warn("leaving", what) in membership.step(0, Changed(ending))
    free = replace(LOCAL, members=own)
    assert membership.step(0, Changed(free)) == [SendCommand("leaving as n1", "left", (N1, "a"))]
    assert membership.step(0, Dropped(CLUSTER_GROUP, LOCAL)) == [Left()]


# -- groups that were removed ----------------------------------------------------------------------


def test_members_of_removed_groups_are_dropped_and_reported_when_they_are_gone() -> None:
    removed = (
        RemovedGroup("removed", 5, (N1, N2)),
        RemovedGroup("replaced", 6, (N1,)),
        RemovedGroup("never here", 3, (N1,)),
        RemovedGroup("other's", 4, (N2,)),
    )
    membership = membership_of(group("replaced", 60), group("kept", 7), removed=removed)
    members = held(("removed", 5), ("replaced", 6), ("kept", 7), ("newer", 200), (CLUSTER_GROUP, CLUSTER))
    assert membership.step(0, Changed(replace(LOCAL, members=members))) == [
        DropMember(1),
        DropMember(2),
        SendCommand("cleaning", "cleaned", ((3,), N1)),
    ]
    (last,) = membership.step(0, Changed(replace(LOCAL, members=members[2:])))
    assert last == SendCommand("cleaning", "cleaned", ((5, 6, 3), N1))


@pytest.mark.parametrize(("rev", "cluster"), [(0, CLUSTER), (4, CLUSTER), (REV, 99)])
def test_a_node_drops_nothing_of_which_its_cluster_says_nothing(rev: Index, cluster: int) -> None:
    membership = membership_of(rev=rev)
    local = replace(LOCAL, members=(Held(1, "g", 5, cluster),))
    assert membership.step(0, Changed(local)) == []


def test_what_was_left_is_forgotten_when_the_group_is_removed_and_not_before() -> None:
    membership = membership_of(group("g", 6))
    membership.snapshot = 150
    local = replace(LOCAL, left=frozenset({5, 6, 200}))
    assert membership.step(0, Changed(local)) == [ForgetLeft(frozenset({5}))]


def test_what_was_left_is_remembered_until_no_restart_shows_the_group_again() -> None:
    """The removal was known here before it was on this disk, which was full; restarted, the node saw the
    group as it had been and founded it again, under the id that its member had had. Seed 1007610."""
    membership = membership_of()
    local = replace(LOCAL, left=frozenset({5}))
    assert membership.step(0, Changed(local)) == []
    membership.view.rev, membership.snapshot = 120, 99
    assert membership.step(0, Changed(local)) == []
    membership.snapshot = 100
    assert membership.step(0, Changed(local)) == [ForgetLeft(frozenset({5}))]


# -- the cluster's state ---------------------------------------------------------------------------

OWN = held((CLUSTER_GROUP, CLUSTER))
SEEN = View(7, (record(N1), record(N2)), (), (), (), (), (), 0, True)
MET: list[Effect] = [
    MeetNodes({N1: record(N1), N2: record(N2)}),
    Reconcile(AnyChanged()),
    LookForArrivals(),
    TellWhereabouts({}),
    Reconcile(Look()),
]
HERE = replace(LOCAL, members=OWN)
READS: dict[str, list[tuple[Event, list[Effect]]]] = {
    "what is applied is read, one question at a time, until the view has it": [
        (Applied("one", "one", 15, 5, 0), [ReadView(0)]),
        (Applied("one", "one", 19, 9, 0), []),
        (ViewReceived("one", "one", SEEN, HERE), [*MET, ReadView(7)]),
        (
            ViewReceived("one", "one", replace(SEEN, rev=9, whole=False), HERE),
            [LookForArrivals(), Reconcile(Look())],
        ),
        (Applied("one", "one", 19, 9, 0), []),
    ],
    "a member that was restarted is asked anew (S73)": [
        (Applied("one", "one", 15, 5, 0), [ReadView(0)]),
        (Applied("two", "two", 15, 5, 0), [ReadView(0)]),
        (ViewReceived("one", "two", SEEN, HERE), []),
        (ViewReceived("two", "two", SEEN, HERE), MET),
    ],
    "a member that runs no more is not asked": [(Applied("one", None, 15, 5, 0), [])],
}


@pytest.mark.parametrize("name", READS)
def test_a_node_follows_the_state_of_its_cluster(name: str) -> None:
    membership = NodeMembership(ME)
    for event, effects in READS[name]:
        assert membership.step(0, event) == effects, event


def test_only_what_was_committed_since_the_start_is_progress() -> None:
    membership = NodeMembership(ME)
    membership.step(0, Applied("one", "one", 15, 5, 0))
    assert not membership.has_progressed
    membership.step(0, Applied("one", "one", 16, 5, 0))
    assert membership.has_progressed


def told_after(membership: NodeMembership, view: View) -> list[TellWhereabouts]:
    effects = membership.step(0, ViewReceived(membership.replica, None, view, LOCAL))
    return [one for one in effects if isinstance(one, TellWhereabouts)]


def test_whoever_asks_here_is_told_where_a_group_lives_once() -> None:
    """A member whose disk is damaged does not run; the group does, on the other nodes: nobody is sent back to
    where it asked."""
    membership = NodeMembership(ME)
    elsewhere, both = group("g", 5, pinned=(N2, N1)), group("both", 6, pinned=(N1, N2))
    view = replace(SEEN, groups=(elsewhere, both, group("alone", 7, pinned=(N1,))))
    told = TellWhereabouts({"alone": "n1:1", "both": "n2:1", "g": "n2:1"})
    assert told_after(membership, view) == [told]
    assert told_after(membership, view) == []
    gone = replace(SEEN, nodes=(), gone_groups=("g",), whole=False)
    assert told_after(membership, gone) == [TellWhereabouts({"g": ""})]


def test_a_group_is_gone_from_where_it_lived_also_when_nodes_have_changed_with_it() -> None:
    """Seeds 232 and 332: asked for a removed group, a node said for ever that it lives elsewhere."""
    membership = NodeMembership(ME)
    view = replace(SEEN, groups=(group("g", 5, pinned=(N2, N1)),))
    assert told_after(membership, view) == [TellWhereabouts({"g": "n2:1"})]
    gone = replace(SEEN, nodes=(), gone_nodes=(N2,), gone_groups=("g",), whole=False)
    assert told_after(membership, gone) == [TellWhereabouts({"g": ""})]


def test_groups_that_a_view_changes_may_need_a_step_if_this_node_holds_them() -> None:
    membership = membership_of()
    one, two, three = (group(name, uid, "n1@a") for uid, name in enumerate(("one", "two", "three"), 5))
    local = replace(LOCAL, members=held(("one", 5), ("two", 6), ("three", 7)))
    whole = replace(SEEN, rev=120, groups=(one, two, three))
    membership.step(0, ViewReceived(membership.replica, None, whole, local))
    changed = View(121, (), (two,), (), (), (), (), 0, False)
    effects = membership.step(0, ViewReceived(membership.replica, None, changed, local))
    assert [one for one in effects if one == Reconcile(GroupChanged(2))] == [Reconcile(GroupChanged(2))]
    assert Reconcile(GroupChanged(1)) not in effects and Reconcile(GroupChanged(3)) not in effects


def test_a_round_looks_at_members_again_only_if_something_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """5,000 members cost a node 6 ms a second."""
    looked: list[Local] = []
    clean = NodeMembership._clean

    def counted(self: NodeMembership, local: Local) -> None:
        looked.append(local)
        clean(self, local)

    monkeypatch.setattr(NodeMembership, "_clean", counted)
    membership = membership_of(MINE)
    quiet = replace(LOCAL, members=held(("mine", 5)))
    membership.step(0, Round(LOCAL))
    membership.step(0, Round(LOCAL))
    assert looked == [LOCAL] * 2  # its founding member is missing, until it is there
    membership.step(0, Round(quiet))
    for silent_ms in (1, 2):
        membership.step(0, Round(replace(quiet, silent_ms={N2: silent_ms})))
    assert looked[2:] == [quiet]
    membership.view.rev += 1
    membership.step(0, Round(quiet))
    membership.step(0, Round(replace(quiet, coming={"other": 9})))
    assert len(looked) == 5
