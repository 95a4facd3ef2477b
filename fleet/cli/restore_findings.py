"""Groups that were added for the state of a backup, and have not got it."""

from collections.abc import Mapping
from shlex import quote

from fleet.actors.messages.operator import MemberStatus
from fleet.cli.connection import count
from fleet.cli.finding import Finding, group_names
from fleet.client.survey import Survey
from fleet.cluster.state import GroupInfo
from fleet.raft.ids import node_of


def waits_for_state(info: GroupInfo, told: Mapping[str, MemberStatus]) -> bool:
    """Whether nobody has the group's state. Its first founder alone is given it, and learns only from it who
    the voters are; where that one does not answer, this is False. `told`: by its members, by node."""
    if not info.is_restored:
        return False
    first, _ = info.initial[0]
    status = told.get(node_of(first))
    return status is not None and status.member == first and not status.voters


def restore_findings(survey: Survey, statuses: Mapping[str, Mapping[str, MemberStatus]]) -> list[Finding]:
    """At most one. `statuses`: of groups without a leader."""
    groups = [one.name for one in survey.view.groups if waits_for_state(one, statuses.get(one.name, {}))]
    if not groups:
        return []
    has = "has" if len(groups) == 1 else "have"
    what = f"{count(len(groups), 'group')} {has} not got the state of a backup yet: {group_names(groups)}."
    why = "`fleet restore` is giving it, or was ended before it had."
    removed = f"`fleet group remove {quote(groups[0])}`"
    then = f"if no `fleet restore` runs any more: {removed}, then restore it again."
    return [Finding("not-restored", tuple(groups), what, why, then)]
