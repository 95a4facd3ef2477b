"""What `fleet doctor` finds of groups in memory only: members that are lost, and groups that are."""

from collections.abc import Collection, Iterable, Mapping
from shlex import quote

from fleet.actors.messages.operator import LOST, MemberStatus
from fleet.cli.connection import count
from fleet.cli.finding import Finding, group_names, listed
from fleet.client.survey import RUNNING, Survey
from fleet.raft.ids import MemberId, NodeName, disk_of, node_of


def lost_groups(survey: Survey, statuses: Mapping[str, Mapping[str, MemberStatus]]) -> list[str]:
    """Groups that can never have a leader again: too few of their members have not forgotten their log. One
    whose members may be on nodes that do not answer is not among them."""
    in_memory = {group.name for group in survey.view.groups if group.is_in_memory}
    return [
        group
        for group in survey.leaderless
        if group in in_memory and _is_lost(survey, group, statuses.get(group, {}))
    ]


def _is_lost(survey: Survey, group: str, told: Mapping[str, MemberStatus]) -> bool:
    if any(status.role == "leader" for status in told.values()):
        return False
    members = [one for node in survey.nodes.values() for one in node.members or () if one.group == group]
    if not told:
        is_known = all(node.answers for node in survey.nodes.values())
        return is_known and bool(members) and all(one.ill == LOST for one in members)
    newest = max(told.values(), key=lambda status: (status.term, status.last_index))
    running = {one.member for one in members if one.state == RUNNING}
    kept = [one for one in newest.voters if one in running or not _answers(survey, one)]
    return bool(newest.voters) and len(kept) <= len(newest.voters) // 2


def _answers(survey: Survey, member: MemberId) -> bool:
    """Whether its node answers, or has lost its disk, so that a member that does not run there is gone."""
    node = survey.nodes.get(node_of(member))
    return node is None or node.answers or node.record.incarnation != disk_of(member)


def memory_findings(survey: Survey, lost: Collection[str]) -> Iterable[Finding]:
    """`lost`: the lost groups. Members that are being replaced come by node."""
    if lost:
        what = f"{count(len(lost), 'group')} in memory only {_is(lost)} lost: {group_names([*lost])}."
        why = f"a majority of the members was lost when nodes restarted{_restarted(survey, lost)}."
        again = "; ".join(f"`fleet group remove {quote(name)}`" for name in lost)
        then = f"{again}; then create it again, or restore a backup: `fleet restore FILE --group NAME`."
        yield Finding("lost", tuple(lost), what, why, then)
    by_node: dict[NodeName, list[str]] = {}
    for node, member in survey.failed:
        if member.ill == LOST and member.group not in lost:
            by_node.setdefault(node, []).append(member.group)
    for node, groups in by_node.items():
        what = f"{count(len(groups), 'member')} in memory only on {node} lost: {listed(groups)}."
        why = f"{node} was restarted, and they kept nothing on its disk."
        waiting = [group for group in groups if group not in survey.leaders]
        then = f"nothing: {node} replaces them by new members with the data of the others."
        if waiting:
            then = f"wait until {listed(waiting)} has a leader: then {node} replaces them by new members."
        yield Finding("lost-members", tuple(groups), what, why, then)


def _is(groups: Collection[str]) -> str:
    return "is" if len(groups) == 1 else "are"


def _restarted(survey: Survey, lost: Collection[str]) -> str:
    nodes = {str(node) for node, member in survey.failed if member.ill == LOST and member.group in lost}
    return f": {listed(sorted(nodes))}" if nodes else ""
