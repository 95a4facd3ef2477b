"""What the doctor makes of a cluster, as a table; what real nodes show is in test_trouble."""

from typing import Any

from msgspec.structs import replace

from fleet.actors.messages.operator import (
    CONFLICT,
    DAMAGED,
    ClusterSeen,
    MemberInfo,
    MemberList,
    MemberStatus,
)
from fleet.actors.messages.values import NodeInfo
from fleet.cli.findings import findings, no_majority, notes_on, start_line
from fleet.cli.status import node_rows
from fleet.client.survey import Survey, outsiders, survey_of
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP, LEAVING, GroupInfo, NodeRecord, RemovedGroup, View
from fleet.objects.class_refs import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Halt
from fleet.raft.ids import MemberId, NodeName, member_id
from fleet.raft.messages import DIVERGED

N1, N2, N3 = NODES = tuple(map(NodeName, ("n1", "n2", "n3")))
CLASS = encode_class(dict)


def member_of(node: NodeName, disk: str = "d", life: int | str = 1) -> MemberId:
    return member_id(node, disk, life)


def a_view(groups: tuple[str, ...] = ("g",), replicas: int = 3, **changed: Any) -> View:
    records = tuple(
        NodeRecord(node, "d", f"z-{node}", f"{node}:1", 1.0, changed.get(node, ACTIVE)) for node in NODES
    )
    infos = tuple(GroupInfo(name, 5, replicas, CLASS, GroupConfig(), ()) for name in groups)
    return View(9, records, infos, changed.get("removed", ()), (), (), (), 600_000, True)


def a_survey(
    view: View,
    states: dict[tuple[NodeName, str], str] | None = None,
    leaders: dict[str, NodeName] | None = None,
    dead: tuple[NodeName, ...] = (),
    missed: dict[NodeName, dict[NodeName, int]] | None = None,
    ill: dict[tuple[NodeName, str], str] | None = None,
    halts: dict[NodeName, Halt] | None = None,
) -> Survey:
    """Everyone hosts everything and runs it, but for `states`; "" is no member. `missed`: by whom whom."""
    leaders = leaders if leaders is not None else {group.name: N1 for group in view.groups}
    leaders = {CLUSTER_GROUP: N1, **leaders}
    lists: dict[NodeName, MemberList | None] = {}
    seen: dict[NodeName, ClusterSeen | None] = {}
    for node in NODES:
        me = NodeInfo(node, f"{node}:1", f"z-{node}", "d", 1)
        infos = []
        for group in (CLUSTER_GROUP, *(one.name for one in view.groups)):
            state = (states or {}).get((node, group), "running")
            if state:
                infos.append(MemberInfo(group, member_of(node), state, leaders.get(group) == node,
                                        (ill or {}).get((node, group), ""),
                                        (halts or {}).get(node) if group == "g" else None))  # fmt: skip
        is_dead = node in dead
        lists[node] = None if is_dead else MemberList(me, tuple(infos))
        seen[node] = None if is_dead else ClusterSeen(me, view, (missed or {}).get(node, {}))
    return survey_of(view, lists, seen)


def a_status(group: str, voters: tuple[MemberId, ...], role: str = "follower") -> MemberStatus:
    return MemberStatus(
        group, voters[0], role, 4, None, 9, 9, 9, 0, voters, (), (), 1, "dict", GroupConfig(), ()
    )


def test_nothing_is_wrong() -> None:
    survey = a_survey(a_view())
    assert (findings(survey, {}), notes_on(survey)) == ([], [])


def test_a_member_that_cannot_start_says_why_and_what_to_do() -> None:
    broken = "checksum of entry 7 is wrong"
    states = {(N2, "g"): broken, (N2, "h"): broken, (N3, "g"): "waiting"}
    found = findings(a_survey(a_view(("g", "h")), states), {})
    assert [(one.kind, one.subjects, one.why) for one in found] == [
        ("not-running", ("g", "h"), broken),
        ("not-running", ("g",), "waiting"),
    ]
    assert "start n2 again" in found[0].next


def test_s81_a_damaged_member_is_said_to_be_replaced() -> None:
    ill = {(N2, "g"): DAMAGED, (N2, "h"): DAMAGED}
    survey = a_survey(a_view(("g", "h")), dict.fromkeys(ill, "entry 7 is wrong"), ill=ill)
    (found,) = findings(survey, {})
    assert (found.kind, found.subjects, found.why) == ("damaged", ("g", "h"), "entry 7 is wrong")
    assert found.next == "nothing: n2 replaces it by a new member with the data of the others."
    survey = a_survey(a_view(("g", "h")), dict.fromkeys(ill, "entry 7 is wrong"), {"g": N1}, ill=ill)
    (found,) = [one for one in findings(survey, {}) if one.kind == "damaged"]
    assert found.next.startswith("bring back the other members of h: without a majority")


def test_s84_committed_data_that_conflicts_leaves_the_choice_to_an_operator() -> None:
    where = (N2, "g")
    survey = a_survey(a_view(), {where: "revisions up to 9 are committed here"}, ill={where: CONFLICT})
    (found,) = findings(survey, {})
    assert found.kind == "conflict" and "committed data conflicts" in found.what
    assert "revisions up to 9" in found.why and "fleet member remove g n2" in found.next


def test_a_group_that_lost_two_of_three_disks_is_not_told_to_purge() -> None:
    voters = (member_of(N1), member_of(N2, disk="old"), member_of(NodeName("n7")))
    survey = a_survey(a_view(), leaders={})
    (found,) = findings(survey, {"g": {"n1": a_status("g", voters)}})
    assert (found.kind, found.subjects) == ("no-leader", ("g",))
    assert "n1 (running)" in found.what and "n7 (purged or left)" in found.what
    assert "n2 (its disk old is lost, the node has another one)" in found.what
    assert found.why == "1 of 3 voters run; 2 are needed." and "old disks" in found.next
    assert "purge" not in found.next


def test_a_majority_that_runs_is_left_to_elect() -> None:
    voters = tuple(map(member_of, NODES))
    survey = a_survey(a_view(), leaders={})
    (found,) = findings(survey, {"g": {"n1": a_status("g", voters)}})
    assert "they elect" in found.why and found.next.startswith("nothing yet")
    assert findings(survey, {"g": {"n1": a_status("g", voters, "leader")}}) == [], "elected meanwhile"


def test_a_node_where_a_group_belongs_by_now_is_not_called_its_voter() -> None:
    """Its members were on n2 and n3, which died; it belongs on n1 now, which never had one."""
    view = a_view(n2=LEAVING, n3=LEAVING, replicas=1)
    survey = a_survey(view, {(N1, "g"): ""}, leaders={}, dead=(N2, N3))
    lost, *others = findings(survey, {"g": {}})
    assert (lost.kind, lost.subjects) == ("no-leader", ("g",))
    assert lost.what == "1 group has no leader, and no member answers: g."
    assert lost.why == "known members: perhaps n2, n3, which are unreachable."
    assert "--name n2" in lost.next and "--name n3" in lost.next and "--name n1" not in lost.next
    assert not any("node purge" in one.next for one in others)


def test_members_that_do_not_answer_are_named_with_their_nodes() -> None:
    survey = a_survey(a_view(), {(N1, "g"): "waiting", (N3, "g"): ""}, leaders={})
    lost = findings(survey, {})[0]
    assert lost.why == "known members: n1 (waiting), n2 (running)."


def test_a_group_whose_restoring_was_ended_is_told_to_be_restored_again() -> None:
    view = a_view(("g", "h"))
    founders = tuple((member_of(node), f"{node}:1") for node in NODES)
    restored = tuple(replace(one, initial=founders, is_restored=True) for one in view.groups)
    survey = a_survey(replace(view, groups=restored), leaders={"g": N1})
    blank = {str(node): replace(a_status("h", (member_of(node),)), voters=()) for node in NODES}
    (found,) = findings(survey, {"h": blank})
    assert (found.kind, found.subjects) == ("not-restored", ("h",)) and "`fleet group remove h`" in found.next
    others = {node: one for node, one in blank.items() if node != N1}
    first = {**others, str(N1): a_status("h", tuple(map(member_of, NODES)))}
    for told in (first, others):
        (found,) = findings(survey, {"h": told})
        assert found.kind == "no-leader", "its first founder has the state, or may have"


def test_the_cluster_is_not_well_before_its_own_group_has_its_voters() -> None:
    led = a_status(CLUSTER_GROUP, (member_of(N1), member_of(N2)), "leader")
    (found,) = findings(a_survey(a_view()), {CLUSTER_GROUP: {"n1": led}})
    assert (found.kind, found.subjects) == ("few-replicas", (CLUSTER_GROUP,))
    assert "no voter yet on n3" in found.what and "keep n1, n2 running" in found.next
    whole = replace(led, voters=tuple(map(member_of, NODES)))
    assert findings(a_survey(a_view()), {CLUSTER_GROUP: {"n1": whole}}) == []


def test_a_group_pinned_to_a_node_that_leaves_is_told_to_be_pinned_elsewhere() -> None:
    view = a_view(n3=LEAVING)
    pinned = replace(view.groups[0], pinned=(N1, N2, N3))
    (found,) = findings(a_survey(replace(view, groups=(pinned,))), {})
    assert "pinned to n1, n2, n3, of which 2 are active" in found.why and "fleet group unpin g" in found.next


def test_a_purged_node_that_still_answers_is_shown_and_named() -> None:
    view = a_view()
    newest = replace(view, rev=10, nodes=view.nodes[:2])
    fresh = NodeInfo(NodeName("n4"), "n4:1", "z", "d4", 1)
    gone = NodeInfo(N3, "n3:1", "z-n3", "d", 1)
    told = [
        (MemberList(gone, (MemberInfo("g", member_of(N3), "running", True),)), ClusterSeen(gone, view, {})),
        (MemberList(fresh, ()), ClusterSeen(fresh, None, {})),
        (MemberList(replace(gone, name=N1), ()), ClusterSeen(gone, view, {})),
    ]
    outside = outsiders(newest, told)
    survey = replace(a_survey(replace(newest, groups=())), outside=outside)
    assert [(one.info.name, one.state) for one in outside] == [(N3, "purged"), ("n4", "outside")]
    (found,) = findings(survey, {})
    assert (found.kind, found.subjects) == ("purged", ("n3",))
    assert found.what == "node n3 was purged, and still answers at n3:1, with 1 member."
    (note,) = notes_on(survey)
    assert note.startswith("node n4 at n4:1 runs outside of the cluster: it left, was purged, or")
    assert [row[:5] for row in node_rows(survey)[1][-2:]] == [
        ("n3", "z-n3", "purged", "1", "1"), ("n4", "z", "outside", "0", "0")
    ]  # fmt: skip


def test_two_clusters_are_told_and_are_not_well() -> None:
    survey = replace(a_survey(a_view()), foreign=("h:1 belongs to cluster 2, not to 1",))
    (found,) = findings(survey, {})
    assert (found.kind, found.what) == ("two-clusters", "h:1 belongs to cluster 2, not to 1.")


def test_another_cluster_at_a_nodes_address_is_not_called_a_cut_network() -> None:
    survey = a_survey(a_view(), dead=(N3,))
    n3 = replace(survey.nodes[N3], trouble="n3:1 belongs to cluster 2, not to 1")
    (found,) = findings(replace(survey, nodes=survey.nodes | {N3: n3}), {})
    assert found.why.startswith("n3:1 belongs to cluster 2, not to 1: another node was started there")
    assert "nothing answers" not in found.why and "--join" in found.next


def test_groups_that_fare_alike_are_one_finding() -> None:
    survey = a_survey(a_view(("g", "h", "i")), leaders={"i": N1}, dead=(N2, N3))
    voters = tuple(map(member_of, NODES))
    found = findings(survey, {name: {"n1": a_status(name, voters)} for name in ("g", "h")})
    assert [(one.kind, one.subjects) for one in found] == [
        ("no-leader", ("g", "h")), ("unreachable", ("n2",)), ("unreachable", ("n3",))
    ]  # fmt: skip
    assert not any("node purge" in one.next for one in found)


def test_a_one_way_cut_is_told_from_a_dead_node() -> None:
    survey = a_survey(a_view(), missed={N1: {N3: 131_000}})
    (found,) = findings(survey, {})
    assert found.what == "node n3 answers here, and is not heard by n1 for 2m11s."
    assert "repair the network" in found.next
    dead = a_survey(a_view(), dead=(N3,), missed={N1: {N3: 131_000}, N2: {N3: 130_000}})
    (found,) = findings(dead, {})
    assert "unreachable for 2m10s" in found.what and "purged in 7m50s" in found.next
    assert "--join n1:1" in found.next, "it must not found a cluster of its own"


def test_a_command_to_start_a_node_carries_its_settings_and_founds_nothing() -> None:
    """The zone was left out, and the node came back in another."""
    addresses = {N1: "10.0.0.1:7400", N2: "[::1]:1"}
    assert start_line(N1, addresses, "rack 1", 2.0, "orders") == (
        "fleet start --name n1 --zone 'rack 1' --listen 10.0.0.1:7400 --data-dir ITS-OWN --weight 2 "
        "--cluster orders --join [::1]:1"
    )
    assert start_line(N2, addresses, "z").endswith("--data-dir ITS-OWN --join 10.0.0.1:7400")


def test_who_runs_is_not_told_to_start() -> None:
    known = [NodeInfo(node, f"{node}:1", f"z-{node}", "d", 1) for node in NODES]
    found = no_majority(known, {N2})
    assert "Running: n2; known, and silent: n1, n3" in found.what
    assert "--name n1 --zone z-n1" in found.next and "--name n2" not in found.next
    assert "--join n2:1" in found.next
    alone = no_majority(known[:1], {N1})
    assert "fleet start" not in alone.next and "log of n1" in alone.next


def test_a_learner_is_no_replica_yet() -> None:
    """With it, a restart of another node may still cost a group in memory only its majority."""
    survey = a_survey(a_view())
    node = survey.nodes[N2]
    learning = replace(
        node, members=tuple(replace(one, votes=one.group != "g") for one in node.members or ())
    )
    (found,) = findings(replace(survey, nodes={**survey.nodes, N2: learning}), {})
    assert (found.kind, found.subjects) == ("few-replicas", ("g",)) and "do not vote yet" in found.why


def test_missing_members_are_being_brought_in_or_have_no_room() -> None:
    (found,) = findings(a_survey(a_view(), {(N3, "g"): ""}), {})
    assert found.kind == "few-replicas" and "added one at a time" in found.why
    (found,) = findings(a_survey(a_view(replicas=5)), {})
    assert "only 3 can be placed: 3 active nodes" in found.why


def test_what_goes_on_is_noted_and_no_fault() -> None:
    removed = (RemovedGroup("old", 3, (N3,)),)
    survey = a_survey(a_view(n2=LEAVING, removed=removed, replicas=2), {(N2, "g"): ""}, dead=(N3,))
    assert notes_on(survey) == [
        "node n2 is leaving: 0 members left on it.",
        "group old was removed; its name is free again when n3 is back or purged.",
    ]


def test_s86_a_full_disk_is_named_with_its_node() -> None:
    survey = a_survey(a_view(("g", "h")), {(N2, "g"): "disk full: no space left", (N2, "h"): "disk full"})
    first, second = findings(survey, {})
    assert (first.kind, first.subjects) == ("disk-full", ("n2", "g"))
    assert "the disk of n2 is full" in first.what and "resumes by itself" in first.next


HANGS = Halt(7, 0, "Tally.add did not return within 10 s")


def test_a_halted_group_is_told_what_passes_the_command() -> None:
    (found,) = findings(a_survey(a_view(), halts={N1: HANGS, N2: HANGS}), {})
    assert (found.kind, found.subjects) == ("halted", ("g",))
    assert found.what == f"g cannot execute a command of log entry 7 on {N1}, {N2}."
    assert HANGS.cause in found.why and "`fleet group skip g 7`" in found.next
    (found,) = findings(a_survey(a_view(), halts={N1: Halt(7, 2, "hangs")}), {})
    assert "command 3 of log entry 7" in found.what
    (found,) = findings(a_survey(a_view(), halts={N1: HANGS, N2: Halt(5, 0, "hangs")}), {})
    assert "log entry 7" in found.what and "skip g 7" in found.next, "the leader's is the one to skip"


def test_a_member_that_halted_alone_leaves_the_group_to_its_leader() -> None:
    (found,) = findings(a_survey(a_view(), halts={N2: HANGS}), {})
    assert found.kind == "halted" and "skip" not in found.next and str(N1) in found.next
    assert f"start {N2} again" in found.next


def test_s48_a_member_whose_state_differs_is_told_with_what_shows_and_mends_it() -> None:
    differs = Halt(7, DIVERGED, "its state differs from that of a majority at log entry 7", True)
    (found,) = findings(a_survey(a_view(), halts={N3: differs}), {})
    assert (found.kind, found.subjects) == ("diverged", ("g",)) and f"another state on {N3}" in found.what
    assert "`fleet group diff g`" in found.next and f"`fleet group repair g {N3}`" in found.next


def test_s48_states_that_are_not_known_to_be_equal_are_told() -> None:
    survey = a_survey(a_view())
    members = survey.nodes[N1].members
    assert members is not None
    told = replace(members[1], comparison="states differ after log entry 9, and no majority has the same")
    nodes = {**survey.nodes, N1: replace(survey.nodes[N1], members=(members[0], told))}
    (found,) = findings(replace(survey, nodes=nodes), {})
    assert found.kind == "not-compared" and "no majority" in found.why and str(N1) in found.what
