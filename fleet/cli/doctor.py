"""`fleet doctor`: what is wrong with the cluster, why, and what is safe to do next."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import click
from msgspec import Struct
from msgspec.structs import asdict

from fleet.actors.mail import MemberStatus, NodeInfo
from fleet.cli.desk import Desk, client, count, span
from fleet.cli.outcome import DEGRADED
from fleet.cluster import ACTIVE, CLUSTER_GROUP
from fleet.errors import FleetError, NoMajority
from fleet.raft.ids import MemberId, NodeName, disk_of, node_of
from fleet.survey import DRAINING, RUNNING, NodeSeen, Survey

ASKED_S = 1.0
NAMES_SHOWN = 8


class Finding(Struct, frozen=True):
    kind: str
    """no-majority, no-leader, unreachable, not-running or few-replicas."""
    subjects: tuple[str, ...]
    """Groups or nodes."""
    what: str
    why: str
    next: str
    """What is safe to do, in words with the command."""


Statuses = Mapping[str, Mapping[str, MemberStatus]]


@click.command()
@client
def doctor(desk: Desk) -> int | None:
    """What is wrong, why, and what is safe to do next. Ends with 4 when something is."""
    try:
        survey = desk.fleet.survey()
    except NoMajority:
        return _tell(desk, [no_majority(desk.fleet.known_nodes())], [], "")
    groups, nodes = count(len(survey.view.groups), "group"), count(len(survey.nodes), "node")
    well = f"{groups} on {nodes}: every one has a leader and as many members as it should"
    return _tell(desk, findings(survey, _ask_members(desk, survey.leaderless)), notes_on(survey), well)


def _tell(desk: Desk, found: list[Finding], notes: list[str], well: str) -> int | None:
    desk.show({
        "healthy": not found,
        "findings": [asdict(one) for one in found],
        "notes": notes,
    })  # fmt: skip
    if not desk.as_json:
        for one in found:
            click.echo(f"✗ {one.what}\n  Why:  {one.why}\n  Next: {one.next}")
        for note in notes:
            click.echo(f"· {note}")
        if not found:
            click.echo(f"✓ {well}")
    return DEGRADED if found else None


def _ask_members(desk: Desk, groups: list[str]) -> dict[str, dict[str, MemberStatus]]:
    """What the members of these say of themselves, as far as they answer."""

    def ask(group: str) -> dict[str, MemberStatus]:
        try:
            return desk.fleet.statuses(group, ASKED_S)
        except FleetError:
            return {}

    with ThreadPoolExecutor(16) as pool:
        return dict(zip(groups, pool.map(ask, groups)))


def findings(survey: Survey, statuses: Statuses) -> list[Finding]:
    """The worst first. A group found to be led after all is not one."""
    by_voters: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for group in survey.leaderless:
        told = statuses.get(group, {})
        if not any(status.role == "leader" for status in told.values()):
            by_voters.setdefault(_voters(survey, group, told), []).append(group)
    needed = {node for voters in by_voters for node, _ in voters}
    return [
        *(_no_leader(survey, groups, dict(voters)) for voters, groups in by_voters.items()),
        *(_unreachable(survey, node, node.record.name in needed) for node in survey.silent),
        *_not_running(survey),
        *_few_replicas(survey),
    ]


def no_majority(known: Sequence[NodeInfo]) -> Finding:
    """After a restart a node knows the others by name, and nothing of the groups until a majority runs."""
    names = [str(node.name) for node in known]
    what = f"no node that answers has found its cluster. Known nodes: {', '.join(names)}."
    why = "a majority of the cluster's voters has to run; too few do, or they are just starting."
    addresses = {node.name: node.address for node in known}
    starts = [f"`{_start_line(node.name, addresses)}` (disk {node.incarnation})" for node in known]
    then = f"start those that do not run, with their old disks: {'; '.join(starts)}. Nothing else to do."
    return Finding("no-majority", (CLUSTER_GROUP,), what, why, then)


# -- groups without a leader ---------------------------------------------------------------------------


def _voters(survey: Survey, group: str, told: Mapping[str, MemberStatus]) -> tuple[tuple[str, str], ...]:
    """Their nodes and how they are there; where no member says who they are, where they should be."""
    newest = max(told.values(), key=lambda status: (status.term, status.commit), default=None)
    if newest is not None:
        where = {str(node_of(voter)): _voter_state(survey, group, voter) for voter in newest.voters}
    else:
        names = survey.wanted().get(group) or tuple(survey.nodes)
        where = {str(name): _node_state(survey, group, str(name)) for name in names}
    return tuple(sorted(where.items()))


def _no_leader(survey: Survey, groups: list[str], voters: Mapping[str, str]) -> Finding:
    """Groups whose voters are on the same nodes fare alike."""
    well = [name for name, state in voters.items() if state == RUNNING]
    needed = len(voters) // 2 + 1
    names = _names("the cluster's own" if group == CLUSTER_GROUP else group for group in groups)
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
        return f"its disk {disk_of(voter)} is gone, the node has another now"
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
    """Only a disk that holds the log brings its group back; nothing else is safe."""
    silent = [node for node in survey.silent if node.record.name in missing]
    if not silent:
        return (
            "start these nodes again with their old disks, if they exist; nothing that the cluster can do by "
            "itself is safe: with a majority of the disks, what they had acknowledged may be gone."
        )
    starts = [f"`{_start_command(survey, node)}` (disk {node.record.incarnation})" for node in silent]
    return f"bring back {'; '.join(starts)}. Do not purge: that gives the disks up. Nothing else to do."


def _start_command(survey: Survey, node: NodeSeen) -> str:
    answering = {name: one.record.address for name, one in survey.nodes.items() if one.answers}
    addresses = {name: one.record.address for name, one in survey.nodes.items()}
    return _start_line(node.record.name, answering | addresses)


def _start_line(name: NodeName, addresses: Mapping[NodeName, str]) -> str:
    """With --join it never founds a cluster of its own, should the directory be the wrong one."""
    join = next((f" --join {address}" for other, address in addresses.items() if other != name), "")
    return f"fleet start --name {name} --listen {addresses[name]} --data-dir ITS-OWN{join}"


# -- nodes ---------------------------------------------------------------------------------------------


def _unreachable(survey: Survey, node: NodeSeen, is_needed: bool) -> Finding:
    name = node.record.name
    groups = sum(name in names for names in survey.wanted().values())
    if node.answers:
        by = ", ".join(f"{who} for {span(ms)}" for who, ms in sorted(node.silent_ms.items()))
        what = f"node {name} answers here, and is not heard of by {by}."
        why = f"the network between them and {node.record.address} is cut, at least one way."
        then = "mend the network; `fleet unreachable` shows who misses whom."
        return Finding("unreachable", (name,), what, why, then)
    since = "" if node.unheard_ms is None else f" for {span(node.unheard_ms)}"
    what = f"node {name} is unreachable{since}: {count(groups, 'group')} should have a member there."
    left = survey.purge_in_ms(node)
    soon = "" if left is None else f"; it is purged in {span(left)} if a majority agrees"
    then = f"bring it back: `{_start_command(survey, node)}`{soon}."
    if not is_needed and node.record.state == ACTIVE and survey.active > 1:
        then += f" If its disk is lost: `fleet node purge {name}`."
    reports = ", ".join(sorted(node.record.reports))
    why = f"nothing answers at {node.record.address}"
    why += f"; {reports} found it gone for longer than that." if reports else "."
    return Finding("unreachable", (name,), what, why, then)


# -- members -------------------------------------------------------------------------------------------


def _not_running(survey: Survey) -> Iterable[Finding]:
    """One finding for each reason and node."""
    by_reason: dict[tuple[NodeName, str], list[str]] = {}
    for where, member in survey.failed:
        by_reason.setdefault((where, member.state), []).append(member.group)
    for (node, reason), groups in by_reason.items():
        led = [group for group in groups if group in survey.leaders]
        then = f"repair what it says, then start {node} again."
        if led and led[0] != CLUSTER_GROUP:
            then += f" If its data is damaged: `fleet member remove {led[0]} {node}`; another is brought in."
        what = f"{count(len(groups), 'member')} on {node} not running: {_names(groups)}."
        yield Finding("not-running", tuple(groups), what, reason, then)


def _few_replicas(survey: Survey) -> Iterable[Finding]:
    """Members on nodes that do not answer are those nodes' matter."""
    counts, wanted, leaders = survey.member_counts, survey.wanted(), survey.leaders
    silent = {node.record.name for node in survey.nodes.values() if not node.answers}
    failed = {member.group for _, member in survey.failed}
    by_reason: dict[tuple[str, str], list[str]] = {}
    for group in survey.view.groups:
        places = wanted[group.name]
        if len(places) < group.replicas:
            usable = f"{survey.active} active {'node' if survey.active == 1 else 'nodes'}"
            why = f"{group.replicas} replicas are wanted, and there is room for {len(places)}: {usable}"
            then = "start another node, or activate one: `fleet start --name NAME --join HOST:PORT`."
        elif group.name not in leaders or group.name in failed:
            continue
        elif counts[group.name] < len(set(places) - silent):
            why = "members are missing on nodes that answer; they are brought in one after the other"
            then = "nothing yet; if it stays, the log of the leader's node says why."
        else:
            continue
        by_reason.setdefault((why, then), []).append(group.name)
    for (why, then), groups in by_reason.items():
        has = "has" if len(groups) == 1 else "have"
        what = f"{count(len(groups), 'group')} {has} fewer members than wanted: {_names(groups)}."
        yield Finding("few-replicas", tuple(groups), what, f"{why}.", then)


def _names(names: Iterable[str]) -> str:
    every = sorted(names)
    more = len(every) - NAMES_SHOWN
    return ", ".join(every[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def notes_on(survey: Survey) -> list[str]:
    """What goes on, and is no fault."""
    notes = [
        f"node {node.record.name} is leaving: {count(len(node.hosted), 'member')} left on it."
        for node in survey.nodes.values()
        if node.state == DRAINING
    ]
    silent = {node.record.name for node in survey.nodes.values() if not node.answers}
    for removal in survey.view.removed:
        held = [name for name in removal.waiting if name in silent]
        if held:
            notes.append(f"group {removal.name} was removed; its name is free again when {', '.join(held)} "
                         "is back or purged.")  # fmt: skip
    return notes
