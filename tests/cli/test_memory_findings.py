"""What the doctor makes of groups in memory only."""

from msgspec.structs import replace

from fleet.actors.messages.operator import LOST, MemberStatus
from fleet.cli.findings import findings
from fleet.client.survey import Survey
from fleet.cluster.state import View
from fleet.raft.ids import NodeName
from tests.cli.test_doctor import N1, N2, N3, NODES, a_status, a_survey, a_view, member_of

WHY = "the group is in memory only, and the node was restarted since"


def in_memory(*groups: str) -> View:
    view = a_view(groups)
    return replace(view, groups=tuple(replace(group, is_in_memory=True) for group in view.groups))


def after_restarts(
    *nodes: NodeName, leader: NodeName | None = None, dead: tuple[NodeName, ...] = ()
) -> Survey:
    """Of two groups, g in memory only."""
    view = a_view(("g", "kept"))
    view = replace(view, groups=(replace(view.groups[0], is_in_memory=True), view.groups[1]))
    lost = {(node, "g"): LOST for node in nodes}
    leaders = {"kept": N1, **({"g": leader} if leader is not None else {})}
    return a_survey(view, dict.fromkeys(lost, WHY), leaders, ill=lost, dead=dead)


def told(*nodes: NodeName, role: str = "follower") -> dict[str, dict[str, MemberStatus]]:
    status = a_status("g", tuple(map(member_of, NODES)), role)
    return {"g": {str(node): status for node in nodes}}


def test_one_that_is_lost_is_replaced() -> None:
    (found,) = findings(after_restarts(N2, leader=N1), {})
    assert (found.kind, found.subjects) == ("lost-members", ("g",))
    assert found.next == "nothing: n2 replaces them by new members with the data of the others."


def test_until_others_have_a_leader_it_waits() -> None:
    found = findings(after_restarts(N2), told(N1, N3))
    assert [one.kind for one in found] == ["no-leader", "lost-members"]
    assert found[1].next == "wait until g has a leader: then n2 replaces them by new members."


def test_a_group_is_lost_with_a_majority_of_its_members() -> None:
    (found,) = findings(after_restarts(N1, N3), told(N2))
    assert (found.kind, found.subjects) == ("lost", ("g",))
    assert found.why == "a majority of the members was lost when nodes restarted: n1, n3."
    assert "`fleet group remove g`" in found.next and "`fleet restore FILE --group NAME`" in found.next


def test_a_group_is_lost_with_all_its_members() -> None:
    (found,) = findings(after_restarts(*NODES), {})
    assert (found.kind, found.subjects) == ("lost", ("g",))


def test_a_group_is_not_called_lost_while_members_may_live_on_nodes_that_are_silent() -> None:
    """n2 and n3 may be back from a cut network, with their memory."""
    for survey, statuses in (
        (after_restarts(N1, dead=(N2, N3)), {}),
        (after_restarts(N1, dead=(N3,)), told(N2)),
    ):
        kinds = {one.kind for one in findings(survey, statuses)}
        assert "lost" not in kinds and "no-leader" in kinds


def test_a_group_that_waits_for_the_state_of_a_backup_is_not_lost() -> None:
    status = replace(told(N1)["g"]["n1"], voters=())
    assert "lost" not in {one.kind for one in findings(after_restarts(N2), {"g": {"n1": status}})}


def test_a_group_on_disks_is_never_called_lost() -> None:
    survey = a_survey(a_view(), {(N1, "g"): "", (N2, "g"): ""}, {})
    assert "lost" not in {one.kind for one in findings(survey, told(N3))}
    survey = a_survey(in_memory("g"), {(N1, "g"): "", (N2, "g"): ""}, {})
    assert "lost" in {one.kind for one in findings(survey, told(N3))}
