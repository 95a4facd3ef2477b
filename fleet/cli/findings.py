"""What is wrong with a cluster, why, and what is safe to do next, for `fleet doctor` and `status`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from shlex import quote

from fleet.actors.messages.operator import CONFLICT, DAMAGED, DISK_FULL, LOST, MemberStatus
from fleet.actors.messages.values import NodeInfo
from fleet.cli.connection import count, span
from fleet.cli.execution_findings import execution_findings
from fleet.cli.finding import Finding, group_names, listed
from fleet.cli.memory_findings import lost_groups, memory_findings
from fleet.cli.restore_findings import restore_findings
from fleet.cli.version_findings import version_findings, version_notes
from fleet.client.survey import CLUSTER_ID, DRAINING, OUTSIDE, PURGED, RUNNING, NodeSeen, Outsider, Survey
from fleet.cluster.state import ACTIVE, CLUSTER_GROUP
from fleet.cluster.wanted import cluster_voters
from fleet.raft.ids import MemberId, NodeName, disk_of, node_of

IF_LOST = "If those disks are lost for good, see `fleet recover --help`."
MISSING = (
    "members are missing on nodes that answer, or do not vote yet; they are added one at a time",
    "nothing yet; if this persists, the log of the leader's node says why.",
)


Statuses = Mapping[str, Mapping[str, MemberStatus]]


def findings(survey: Survey, statuses: Statuses) -> list[Finding]:
    """The findings, worst first. A group that turns out to have a leader is none."""
    by_voters: dict[tuple[tuple[str, str], ...], list[str]] = {}
    unheard: dict[tuple[tuple[str, str], ...], list[str]] = {}
    unrestored = restore_findings(survey, statuses)
    lost = lost_groups(survey, statuses)
    for group in survey.leaderless:
        if group in lost:
            continue
        told = statuses.get(group, {})
        if any(group in one.subjects for one in unrestored):
            continue
        if not told:
            unheard.setdefault(_holders(survey, group), []).append(group)
        elif not any(status.role == "leader" for status in told.values()):
            by_voters.setdefault(_voters(survey, group, told), []).append(group)
    needed = {node for voters in by_voters for node, _ in voters}
    if unheard:
        needed |= {str(node.record.name) for node in survey.silent}
    return [
        *(_no_leader(survey, groups, dict(voters)) for voters, groups in by_voters.items()),
        *(_unheard(survey, groups, dict(holders)) for holders, groups in unheard.items()),
        *map(_foreign, survey.foreign),
        *(_purged(one) for one in survey.outside if one.state == PURGED),
        *(_unreachable(survey, node, node.record.name in needed) for node in survey.silent),
        *_clones(survey),
        *_not_running(survey),
        *memory_findings(survey, lost),
        *execution_findings(survey),
        *unrestored,
        *version_findings(survey),
        *_few_voters(survey, statuses.get(CLUSTER_GROUP, {})),
        *_few_replicas(survey),
    ]


def no_majority(
    known: Sequence[NodeInfo], answering: Collection[NodeName] = (), cluster: str = CLUSTER_ID
) -> Finding:
    """After a restart a node knows the other nodes, but no groups until a majority runs."""
    running = [str(node.name) for node in known if node.name in answering]
    silent = [node for node in known if node.name not in answering]
    what = f"no node that answers has found its cluster. Running: {', '.join(running) or 'none'}."
    if not silent:
        why = "no other node is known: they have not joined a cluster or founded one yet."
        then = f"the log of {' and '.join(running)} says which nodes it waits for: start or correct those."
        return Finding("no-majority", (CLUSTER_GROUP,), what, why, then)
    what = f"{what[:-1]}; known, and silent: {', '.join(str(node.name) for node in silent)}."
    why = "a majority of the cluster's voters has to run; too few do, or they are just starting."
    addresses = {node.name: node.address for node in known if node.name in answering}
    addresses |= {node.name: node.address for node in known}
    lines = {node: start_line(node.name, addresses, node.zone, cluster=cluster) for node in silent}
    starts = [f"`{line}` (disk {node.incarnation})" for node, line in lines.items()]
    then = f"start these, with their old disks: {'; '.join(starts)}. {IF_LOST}"
    return Finding("no-majority", (CLUSTER_GROUP,), what, why, then)


# -- groups without a leader ---------------------------------------------------------------------------


def _voters(survey: Survey, group: str, told: Mapping[str, MemberStatus]) -> tuple[tuple[str, str], ...]:
    """The nodes of the group's voters, by the newest status, with the state of each."""
    newest = max(told.values(), key=lambda status: (status.term, status.commit))
    return tuple(sorted((str(node_of(v)), _voter_state(survey, group, v)) for v in newest.voters))


def _holders(survey: Survey, group: str) -> tuple[tuple[str, str], ...]:
    """Nodes that answer and have a member of the group, with its state."""
    return tuple(
        (str(name), member.state)
        for name, node in survey.nodes.items()
        for member in node.members or ()
        if member.group == group
    )


def _unheard(survey: Survey, groups: list[str], holders: Mapping[str, str]) -> Finding:
    """Only members know the voters: where a group belongs does not say where its members are."""
    has = "has" if len(groups) == 1 else "have"
    what = f"{count(len(groups), 'group')} {has} no leader, and no member answers: {group_names(groups)}."
    away = {str(node.record.name): "" for node in survey.nodes.values() if not node.answers}
    known = [f"{node} ({state})" for node, state in holders.items()]
    if away:
        known.append(f"perhaps {listed(away)}, which {'is' if len(away) == 1 else 'are'} unreachable")
    why = f"known members: {', '.join(known)}." if known else "no node that answers has a member."
    if away:
        then = _bring_back(survey, away)
    elif holders:
        then = "look again in a few seconds; the logs of these nodes say why a member does not answer."
    else:
        then = f"start the nodes that held the members again, with their old disks. {IF_LOST}"
    return Finding("no-leader", tuple(groups), what, why, then)


def _no_leader(survey: Survey, groups: list[str], voters: Mapping[str, str]) -> Finding:
    """One finding for the groups whose voters are on the same nodes."""
    well = [name for name, state in voters.items() if state == RUNNING]
    needed = len(voters) // 2 + 1
    names = group_names(groups)
    where = ", ".join(f"{node} ({state})" for node, state in voters.items())
    has = "has" if len(groups) == 1 else "have"
    what = f"{count(len(groups), 'group')} {has} no leader: {names}. Voters: {where}."
    if len(well) >= needed:
        why = f"{len(well)} of {len(voters)} voters run: they elect, or do not hear each other."
        then = "nothing yet; look again in a few seconds, then at `fleet unreachable`."
    else:
        why = f"{len(well)} of {len(voters)} voters run; {needed} are needed."
        then = _bring_back(survey, {node: state for node, state in voters.items() if state != RUNNING})
    return Finding("no-leader", tuple(groups), what, why, then)


def _voter_state(survey: Survey, group: str, voter: MemberId) -> str:
    name = node_of(voter)
    node = survey.nodes.get(name)
    if node is not None and node.record.incarnation != disk_of(voter):
        return f"its disk {disk_of(voter)} is lost, the node has another one"
    return _node_state(survey, group, name)


def _node_state(survey: Survey, group: str, name: str) -> str:
    """`running`, or why not."""
    node = next((one for one in survey.nodes.values() if one.record.name == name), None)
    if node is None:
        return "purged or left"
    if not node.answers:
        since = node.unheard_ms
        return "unreachable" if since is None else f"unreachable for {span(since)}"
    states = [member.state for member in node.members or () if member.group == group]
    return states[0] if states else "has no member of it"


def _bring_back(survey: Survey, missing: Mapping[str, str]) -> str:
    """Only a disk that holds the log restores its group; nothing else is safe."""
    silent = [node for node in survey.silent if node.record.name in missing]
    if not silent:
        return (
            "start these nodes again with their old disks, if they exist; the cluster can do nothing safe by "
            f"itself: without a majority of the disks, acknowledged commands may be lost. {IF_LOST}"
        )
    starts = [f"`{_start_command(survey, node)}` (disk {node.record.incarnation})" for node in silent]
    return f"bring back {'; '.join(starts)}. Do not purge: that abandons the disks. {IF_LOST}"


def _start_command(survey: Survey, node: NodeSeen) -> str:
    answering = {name: one.record.address for name, one in survey.nodes.items() if one.answers}
    addresses = {name: one.record.address for name, one in survey.nodes.items()}
    record = node.record
    return start_line(record.name, answering | addresses, record.zone, record.weight, survey.cluster)


def start_line(
    name: NodeName,
    addresses: Mapping[NodeName, str],
    zone: str,
    weight: float = 1.0,
    cluster: str = CLUSTER_ID,
) -> str:
    """The command that starts the node, with the settings that the cluster knows. With --join it cannot found
    a cluster of its own in a wrong directory."""
    join = next((f"--join {address}" for other, address in addresses.items() if other != name), "")
    words = ["fleet start", f"--name {quote(name)}", f"--zone {quote(zone)}"]
    words += [f"--listen {addresses[name]}", "--data-dir ITS-OWN"]
    if weight != 1.0:
        words.append(f"--weight {weight:g}")
    if cluster != CLUSTER_ID:
        words.append(f"--cluster {quote(cluster)}")
    return " ".join((*words, *filter(None, [join])))


# -- nodes ---------------------------------------------------------------------------------------------


def _foreign(what: str) -> Finding:
    why = "the addresses belong to two clusters, which cannot be merged."
    then = "connect to the nodes of one cluster only; to merge, start the other nodes anew, with --join."
    return Finding("two-clusters", (), f"{what}.", why, then)


def _purged(one: Outsider) -> Finding:
    name, address = one.info.name, one.info.address
    what = f"node {name} was purged, and still answers at {address}, with {count(len(one.hosted), 'member')}."
    why = "it does not hear the others, or they cannot let it join; its data is out of date."
    then = "repair the network, and let a majority run: then it joins again, as a new node. Or stop it."
    return Finding("purged", (name,), what, why, then)


def _unreachable(survey: Survey, node: NodeSeen, is_needed: bool) -> Finding:
    name = node.record.name
    groups = sum(name in names for names in survey.wanted().values())
    if node.answers:
        by = ", ".join(f"{who} for {span(ms)}" for who, ms in sorted(node.silent_ms.items()))
        what = f"node {name} answers here, and is not heard by {by}."
        why = f"the network between them and {node.record.address} is cut, at least one way."
        then = "repair the network; `fleet unreachable` shows which nodes do not hear each other."
        return Finding("unreachable", (name,), what, why, then)
    since = "" if node.unheard_ms is None else f" for {span(node.unheard_ms)}"
    what = f"node {name} is unreachable{since}: {count(groups, 'group')} should have a member there."
    left = survey.purge_in_ms(node)
    soon = "" if left is None else f"; it is purged in {span(left)} if a majority agrees"
    then = f"bring it back: `{_start_command(survey, node)}`{soon}."
    if not is_needed and node.record.state == ACTIVE and survey.active > 1:
        then += f" If its disk is lost: `fleet node purge {name}`."
    reports = ", ".join(sorted(node.record.reports))
    if node.trouble:
        why = f"{node.trouble}: another node was started there, or founded a cluster of its own."
        then = "stop it, and start the node with its old disk and --join: two clusters never become one."
        return Finding("unreachable", (name,), what, why, then)
    why = f"nothing answers at {node.record.address}"
    why += f"; {reports} have reported it as lost." if reports else "."
    return Finding("unreachable", (name,), what, why, then)


# -- members -------------------------------------------------------------------------------------------


def _clones(survey: Survey) -> Iterable[Finding]:
    for name, where in sorted(survey.clones.items()):
        what = f"the directory of node {name} runs twice: a second process was at {where}."
        why = "a copy of the directory was started elsewhere; the second process was told to stop."
        then = f"do not start the one at {where} again: start a new node there, with an empty directory."
        yield Finding("clone", (name,), what, why, then)


def _not_running(survey: Survey) -> Iterable[Finding]:
    """One finding for each reason and node."""
    by_reason: dict[tuple[NodeName, str, str], list[str]] = {}
    for where, member in survey.failed:
        if member.ill == LOST:  # see `memory_findings`
            continue
        by_reason.setdefault((where, member.state, member.ill), []).append(member.group)
    for (node, reason, ill), groups in by_reason.items():
        led = [group for group in groups if group in survey.leaders]
        members, names = count(len(groups), "member"), listed(groups)
        if ill == DAMAGED:
            what = f"{members} on {node} damaged: {names}."
            yield Finding("damaged", tuple(groups), what, reason, _replaced(node, groups, led))
        elif ill == CONFLICT:
            what = f"{members} on {node} halted, committed data conflicts: {names}."
            yield Finding("conflict", tuple(groups), what, reason, _choices(node, groups))
        elif reason.startswith(DISK_FULL):
            what = f"the disk of {node} is full: {members} cannot write: {names}."
            why = "nothing acknowledged is lost; commands that cannot be written are refused."
            then = f"free space where {node} keeps its data: service resumes by itself."
            yield Finding("disk-full", (node, *groups), what, why, then)
        else:
            then = f"resolve this error, then start {node} again."
            what = f"{members} on {node} not running: {names}."
            yield Finding("not-running", tuple(groups), what, reason, then)


def _replaced(node: NodeName, groups: list[str], led: list[str]) -> str:
    if len(led) == len(groups):
        return f"nothing: {node} replaces it by a new member with the data of the others."
    waiting = listed(group for group in groups if group not in led)
    return f"bring back the other members of {waiting}: without a majority of them nothing can be replaced."


def _choices(node: NodeName, groups: list[str]) -> str:
    """Only an operator can say which of two committed histories is valid."""
    return (
        "older copies of directories were restored, there or on a majority. Either keep what the group "
        f"serves now: save a copy of {node}'s directory, then `fleet member remove {groups[0]} {node}`, and "
        "a new member is added; or stop the group's other nodes and restore their newest directories. "
        f"Until then {node}'s data stays as it is."
    )


def _few_voters(survey: Survey, told: Mapping[str, MemberStatus]) -> Iterable[Finding]:
    """Missing voters of the cluster group: a node that joins gets a member at once, and a vote soon after."""
    status = next((one for one in told.values() if one.role == "leader"), None)
    if status is None:
        return
    wanted, voters = cluster_voters(survey.view.nodes), {node_of(voter) for voter in status.voters}
    missing = [name for name in wanted if name not in voters and survey.nodes[name].answers]
    if missing:
        has = listed(voters)
        what = f"the cluster's own group has no voter yet on {listed(missing)}; it has them on {has}."
        why = "nodes become voters one at a time."
        then = f"keep {has} running until then; if this persists, look at their logs."
        yield Finding("few-replicas", (CLUSTER_GROUP,), what, why, then)


def _few_replicas(survey: Survey) -> Iterable[Finding]:
    """Groups with too few voters. Nodes that do not answer have findings of their own."""
    counts, wanted, leaders = survey.voter_counts, survey.wanted(), survey.leaders
    silent = {node.record.name for node in survey.nodes.values() if not node.answers}
    failed = {member.group for _, member in survey.failed}
    by_reason: dict[tuple[str, str], list[str]] = {}
    for group in survey.view.groups:
        places = wanted[group.name]
        if len(places) < group.replicas:
            usable = f"{survey.active} active {'node' if survey.active == 1 else 'nodes'}"
            why = f"{group.replicas} replicas are wanted, and only {len(places)} can be placed: {usable}"
            then = "start another node, or activate one: `fleet start --name NAME --zone Z --join HOST:PORT`."
            if group.pinned:
                why = f"it is pinned to {', '.join(group.pinned)}, of which {len(places)} are active"
                then = f"`fleet group pin {group.name}` to active nodes, or `fleet group unpin {group.name}`."
        elif group.name not in leaders or group.name in failed:
            continue
        elif counts[group.name] < len(set(places) - silent):
            why, then = MISSING
        else:
            continue
        by_reason.setdefault((why, then), []).append(group.name)
    for (why, then), groups in by_reason.items():
        has = "has" if len(groups) == 1 else "have"
        what = f"{count(len(groups), 'group')} {has} fewer members than wanted: {group_names(groups)}."
        yield Finding("few-replicas", tuple(groups), what, f"{why}.", then)


def notes_on(survey: Survey) -> list[str]:
    """What happens now and needs no action."""
    notes = [
        f"node {node.record.name} is leaving: {count(len(node.hosted), 'member')} left on it."
        for node in survey.nodes.values()
        if node.state == DRAINING
    ]
    notes += [
        f"node {one.info.name} at {one.info.address} runs outside of the cluster: it left, was purged, "
        "or is about to join; a majority has to run for that."
        for one in survey.outside
        if one.state == OUTSIDE
    ]
    silent = {node.record.name for node in survey.nodes.values() if not node.answers}
    for removal in survey.view.removed:
        held = [name for name in removal.waiting if name in silent]
        if held:
            notes.append(f"group {removal.name} was removed; its name is free again when {', '.join(held)} "
                         "is back or purged.")  # fmt: skip
    return [*notes, *version_notes(survey.view)]
