"""The plan of a recovery is a function of what the survivors hold."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.cluster.recovery import (
    CONFLICT,
    KEPT,
    LOST,
    RECOVERED,
    GroupPlan,
    RecoveryPlan,
    make_plan,
    renamed,
)
from fleet.cluster.recovery_entries import recovery_entries
from fleet.cluster.recovery_reports import MemberReport, NodeReport
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import CannotRecover
from fleet.raft.entries import Commands, MemberAdded, MemberPromoted, MemberRemoved, SessionOpened
from fleet.raft.ids import MemberId, NodeName, disk_of, member_id, node_of

N1, N2, N3, N4, N5 = NODES = tuple(NodeName(f"n{number}") for number in range(1, 6))
GONE = (N3, N4, N5)
UID = "0000000000002a"


def ids(*nodes: NodeName, life: str = "g7") -> tuple[MemberId, ...]:
    return tuple(member_id(node, "d", life) for node in nodes)


def log(*terms: int, first: int = 1) -> dict[str, Any]:
    """The fields of a log with entries of these terms, after an empty beginning."""
    runs = [(first - 1, terms[0] if first > 1 else 0)]
    runs += [(at, term) for at, term in enumerate(terms, first) if term != runs[-1][1]]
    starts = [(at, term) for place, (at, term) in enumerate(runs) if not place or term != runs[place - 1][1]]
    return {"terms": tuple(starts), "last_index": first + len(terms) - 1, "term": terms[-1]}


def held(
    node: NodeName, group: str = "g", voters: tuple[NodeName, ...] = (N1, N3, N4), **fields: Any
) -> MemberReport:
    life, uid = ("c", 0) if group == CLUSTER_GROUP else ("g7", 7)
    learners = ids(*fields.pop("learners", ()), life=life)
    (me,), named = ids(node, life=life), ids(*voters, life=life)
    addresses = {member: f"{node_of(member)}:1" for member in (*named, *learners)}
    values = {**log(1, 1, 1), "commit": 2, **fields}
    return MemberReport(group, uid, 1, me, voters=named, learners=learners, addresses=addresses, **values)


def cluster_of(node: NodeName, **fields: Any) -> MemberReport:
    return held(node, CLUSTER_GROUP, **{"voters": NODES, **fields})


def report(node: NodeName, *members: MemberReport, **fields: Any) -> NodeReport:
    values = {
        "nodes": {name: f"{name}:1" for name in NODES},
        "disks": dict.fromkeys(NODES, "d"),
        "groups": {"g": 7},
        **fields,
    }
    if not any(one.group == CLUSTER_GROUP for one in members):
        members = (cluster_of(node), *members)
    return NodeReport(node, "d", "fleet", UID, members, **values)


def of(plan: RecoveryPlan, group: str = "g") -> GroupPlan:
    (found,) = [one for one in plan.groups if one.group == group]
    return found


def test_rf9_what_has_no_majority_continues_and_the_rest_is_not_touched() -> None:
    kept = replace(held(N1, "kept", (N1, N2, N3)), uid=8)
    reports = [report(N1, held(N1), kept, groups={"g": 7, "kept": 8, "away": 9}), report(N2)]
    reports[1] = replace(
        reports[1], members=(*reports[1].members, replace(kept, member=ids(N2)[0])), groups=reports[0].groups
    )
    plan = make_plan(reports, GONE)
    assert {one.group: one.action for one in plan.groups} == {
        CLUSTER_GROUP: RECOVERED, "g": RECOVERED, "kept": KEPT, "away": LOST,
    }  # fmt: skip
    assert (plan.survivors, plan.lost, plan.purged) == ((N1, N2), GONE, GONE)
    assert plan.lost_disks == ("n3@d", "n4@d", "n5@d") and plan.new_uid != plan.uid == 42
    assert [one.node for one in of(plan, CLUSTER_GROUP).continued] == [N1, N2]


def test_rf17_two_of_three_are_lost_while_the_cluster_has_its_majority() -> None:
    voters = (N1, N2, N3)
    plan = make_plan([report(N1, cluster_of(N1, voters=voters), held(N1))], [N4, N3])
    assert (of(plan).action, of(plan, CLUSTER_GROUP).action) == (RECOVERED, KEPT)
    assert (plan.uid, plan.purged) == (plan.new_uid, ())


def test_members_continue_under_ids_of_the_plan_and_in_a_later_term() -> None:
    one = of(plan := make_plan([report(N1, held(N1, term=9)), report(N2)], GONE))
    (seat,) = one.continued
    assert seat.member == f"n1@d.g7-{plan.id}" and seat.votes and seat.address == "n1:1"
    assert one.removed == ids(N1, N3, N4) and one.term == 10
    again = renamed(seat.member, "ff")
    assert again == "n1@d.g7-ff" and (node_of(again), disk_of(again)) == (N1, "d")


FIVE: dict[str, Any] = {"voters": NODES}


@pytest.mark.parametrize(
    ("first", "second", "source"),
    [
        (log(1, 1, 2), log(1, 1, 1, 1), N1),  # the later term, not the longer log
        (log(1, 1), log(1, 1, 1), N2),  # the longer log of the same term
        ({**log(1, 1, 1), "commit": 3}, {**log(1, 1, 2, 2), "commit": 2}, N1),  # what is known as committed
        ({**log(1, 1, 1), "trouble": "damaged"}, log(1, 1), N2),
        (log(1, 1, 1, first=9), log(1, 1), N1),
    ],
)
def test_the_most_complete_log_continues_the_group(
    first: dict[str, Any], second: dict[str, Any], source: NodeName
) -> None:
    logs = [{**FIVE, "commit": 2, **one} for one in (first, second)]
    plan = make_plan([report(N1, held(N1, **logs[0])), report(N2, held(N2, **logs[1]))], GONE)
    assert (of(plan).action, of(plan).source) == (RECOVERED, source)


def test_what_other_survivors_have_beyond_it_is_shown() -> None:
    logs = log(1, 1, 2), log(1, 1, 1, 1)
    plan = make_plan([report(n, held(n, **FIVE, **one)) for n, one in zip((N1, N2), logs)], GONE)
    assert [(one.node, one.first, one.last) for one in of(plan).dropped] == [(N2, 3, 4)]
    assert (of(plan).last_index, of(plan).commit) == (3, 2)


def test_two_committed_histories_are_left_alone() -> None:
    logs = log(1, 1, 2), log(1, 1, 3)
    reports = [report(n, held(n, commit=3, **FIVE, **one)) for n, one in zip((N1, N2), logs)]
    one = of(make_plan(reports, GONE))
    assert one.action == CONFLICT and "entry 3 of term 2" in one.why
    clusters = [report(n, cluster_of(n, commit=3, **one)) for n, one in zip((N1, N2), logs)]
    with pytest.raises(CannotRecover, match="conflicting logs"):
        make_plan(clusters, GONE)


def test_a_learner_continues_as_one_unless_it_has_the_best_log() -> None:
    mine, other = (held(n, voters=(N1, N3, N4), learners=(N2,)) for n in (N1, N2))
    plan = make_plan([report(N1, mine), report(N2, other)], GONE)
    assert [(one.node, one.votes) for one in of(plan).continued] == [(N1, True), (N2, False)]
    ahead = replace(other, **log(1, 1, 1, 1))
    plan = make_plan([report(N1, mine), report(N2, ahead)], GONE)
    assert [(one.node, one.votes) for one in of(plan).continued] == [(N1, True), (N2, True)]


def test_a_damaged_member_leaves() -> None:
    damaged = held(N2, **FIVE, trouble="a record is damaged")
    one = of(make_plan([report(N1, held(N1, **FIVE)), report(N2, damaged)], GONE))
    assert [seat.node for seat in one.continued] == [N1] and ids(N2)[0] in one.removed


def test_groups_that_the_cluster_does_not_know_are_kept_aside() -> None:
    strange = replace(held(N1, "other"), uid=99)
    removed = replace(held(N1, "old"), uid=5)
    plan = make_plan([report(N1, held(N1), strange, removed, removed=(5,)), report(N2, removed=(5,))], GONE)
    assert plan.unknown == ((N1, "other"),)
    assert {one.group for one in plan.groups} == {CLUSTER_GROUP, "g"}


def test_every_host_makes_the_same_plan() -> None:
    reports = [report(N1, held(N1)), report(N2)]
    plan = make_plan(reports, GONE)
    assert make_plan(reports[::-1], (N5, N4, N3)) == plan
    assert make_plan([report(N1, held(N1, term=9)), report(N2)], GONE).id != plan.id


@pytest.mark.parametrize(
    ("reports", "lost", "why"),
    [
        ([], GONE, "no report"),
        ([report(N1)], GONE, "node n2 is neither reported nor named as lost"),
        ([report(N1), report(N2)], (N2, *GONE), "named as lost, and reported"),
        ([report(N1), report(N2)], (*GONE, NodeName("n6")), "no report knows a node 'n6'"),
        ([report(N1), replace(report(N2), uid="2b")], GONE, "different clusters"),
        ([report(N1), report(N1)], GONE, "two different reports"),
        ([report(N1, damage=("boot",)), report(N2)], GONE, "its own records are damaged: boot"),
        ([replace(report(N1), uid="")], GONE, "belongs to no cluster"),
        (
            [report(N1, cluster_of(N1, trouble="damaged"))],
            GONE,
            "no node that is reported has a sound member",
        ),
    ],
)
def test_reports_that_do_not_fit_are_refused(
    reports: list[NodeReport], lost: tuple[NodeName, ...], why: str
) -> None:
    with pytest.raises(CannotRecover, match=why):
        make_plan(reports, lost)


def test_a_group_waits_for_the_report_of_a_node_that_is_not_lost() -> None:
    mine = cluster_of(N1, voters=(N1, N2, N5))
    with pytest.raises(CannotRecover, match="'g' is lost, and node n5 is neither reported"):
        make_plan([report(N1, mine, held(N1, voters=(N1, N2, N3, N4, N5)))], [N2, N3, N4])


def test_the_entries_replace_the_members_and_purge_the_lost_nodes() -> None:
    plan = make_plan([report(N1, held(N1)), report(N2)], GONE)
    entries = recovery_entries(plan, of(plan, CLUSTER_GROUP), salt=3, wall_ms=5)
    assert [type(one.body) for one in entries] == [
        *[MemberAdded, MemberPromoted] * 2, *[MemberRemoved] * 5, SessionOpened, Commands,
    ]  # fmt: skip
    assert [one.index for one in entries] == list(range(4, 15)) and {one.term for one in entries} == {2}
    purges = entries[-1].body
    assert isinstance(purges, Commands) and purges.session == 3 << 32 | 13 and len(purges.payloads) == 3
    assert MemberRemoved(ids(N1)[0]) in [one.body for one in recovery_entries(plan, of(plan), 3, 5)]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2), max_size=8), st.lists(st.integers(0, 2), max_size=8), st.integers(0, 8))
def test_logs_agree_up_to_where_their_terms_do(first: list[int], second: list[int], common: int) -> None:
    def rising(steps: list[int]) -> list[int]:
        return [1 + sum(steps[: place + 1]) for place in range(len(steps))]

    shared = rising(first)[:common]
    mine, other = [1, *rising(first)], [1, *shared, *(term + 999 for term in rising(second))]
    logs = [held(N1, **log(*terms)) for terms in (mine, other)]
    agreed = max((n for n in range(1, min(len(mine), len(other)) + 1) if mine[:n] == other[:n]), default=0)
    assert logs[0].agrees_until(logs[1]) == agreed
    assert [logs[0].term_at(index) for index in range(1, len(mine) + 1)] == mine
