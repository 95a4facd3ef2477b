"""What keeps groups from executing commands: one that no member can execute, or other code than theirs."""

from collections.abc import Mapping
from shlex import quote

from fleet.cli.finding import Finding, group_names
from fleet.client.survey import Survey
from fleet.raft.comparing import OF_STATE
from fleet.raft.entries import Halt
from fleet.raft.ids import NodeName
from fleet.raft.messages import OTHER_CODE


def execution_findings(survey: Survey) -> list[Finding]:
    return [
        *(_halted(survey, group, halts) for group, halts in sorted(survey.halted.items())),
        *(_diverged(survey, group, told) for group, told in sorted(survey.diverged.items())),
        *(_not_compared(group, told) for group, told in sorted(survey.comparison.items())),
        *(_other_code(survey, group, told) for group, told in sorted(survey.other_code.items())),
    ]


def _halted(survey: Survey, group: str, halts: Mapping[NodeName, Halt]) -> Finding:
    leader = survey.leaders.get(group)
    first = min(halts.values(), key=lambda one: (one.index, one.place))
    halt = first if leader is None else halts.get(leader, first)
    where = ", ".join(sorted(halts))
    what = f"{group_names([group])} cannot execute {words_on(halt)} on {where}."
    if leader is not None and leader not in halts:
        why = f"{halt.cause}. Its leader, on {leader}, has executed it, or may."
        then = f"nothing for its callers, whom {leader} serves; start {where} again if this persists."
        return Finding("halted", (group,), what, why, then)
    why = f"{halt.cause}. The group executes nothing behind it."
    then = (
        "bring back members that do not run: once all voters have halted there, the command is recorded as "
        f"failed. If one is lost: `fleet group skip {quote(group)} {halt.index}` does that at once; what a "
        "lost member may have answered is undone."
    )
    return Finding("halted", (group,), what, why, then)


def words_on(halt: Halt) -> str:
    if halt.place in OF_STATE:
        return f"log entry {halt.index} and what is behind it, since its state differs"
    if halt.place == OTHER_CODE:
        return f"log entry {halt.index}, which was proposed under other code"
    which = "a command" if not halt.place else f"command {halt.place + 1}"
    return f"{which} of log entry {halt.index}"


def _diverged(survey: Survey, group: str, told: Mapping[NodeName, Halt]) -> Finding:
    where = ", ".join(sorted(told))
    what = f"{group_names([group])} has another state on {where} than on a majority of its members."
    why = f"{next(iter(told.values())).cause}. Its class reads what differs from node to node, perhaps."
    node = sorted(told)[0]
    then = (
        f"`fleet group diff {quote(group)}` shows the fields that differ; then `fleet group repair "
        f"{quote(group)} {quote(str(node))}` gives it its leader's state. Others serve the group meanwhile."
    )
    return Finding("diverged", (group,), what, why, then)


def _not_compared(group: str, told: Mapping[NodeName, str]) -> Finding:
    where = ", ".join(sorted(told))
    what = f"the states of {group_names([group])} are not known to be equal: see {where}."
    why = next(iter(told.values())) + "."
    then = f"`fleet group diff {quote(group)}`, and fleet/docs/divergence.md, say more. The group goes on."
    return Finding("not-compared", (group,), what, why, then)


def _other_code(survey: Survey, group: str, told: Mapping[NodeName, str]) -> Finding:
    leader = survey.leaders.get(group)
    where = ", ".join(sorted(told))
    what = f"{group_names([group])} is not executed on {where}, which has other code of its class."
    why = next(iter(told.values())) + "."
    if leader is not None and leader not in told:
        then = (
            f"`fleet group upgrade {quote(group)}` once the new code is on all nodes, or deploy the former "
            f"code on {where} again. {leader} serves the group's callers meanwhile."
        )
    else:
        then = (
            f"nobody serves the group. If the code that is deployed now is wanted: `fleet group upgrade "
            f"{quote(group)}`. If that is refused, since commands wait for the former code, deploy that on "
            "one node first."
        )
    return Finding("other-code", (group,), what, why, then)
