"""`fleet doctor`: what is wrong with the cluster, why, and what is safe to do next."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import click
from msgspec.structs import asdict

from fleet.actors.messages.operator import MemberStatus
from fleet.cli.connection import Desk, client, count
from fleet.cli.findings import Finding, findings, no_majority, notes_on
from fleet.cli.outcome import DEGRADED
from fleet.client.survey import Survey
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError, NoMajority
from fleet.raft.ids import node_of

ASKED_S = 1.0


@click.command()
@client
def doctor(desk: Desk) -> int | None:
    """What is wrong, why, and what is safe to do next. Ends with 4 when something is."""
    try:
        survey, found = examine(desk)
    except NoMajority:
        known = desk.fleet.known_nodes()
        found = [no_majority(known, desk.fleet.answering(known), desk.fleet.name)]
        return _tell(desk, found, [], "")
    groups, nodes = count(len(survey.view.groups), "group"), count(len(survey.nodes), "node")
    well = f"{groups} on {nodes}: every one has a leader and as many members as it should"
    return _tell(desk, found, notes_on(survey), well)


def examine(desk: Desk) -> tuple[Survey, list[Finding]]:
    """The cluster as it is now, and what is wrong with it.

    Raises: NoMajority, Unavailable.
    """
    survey = desk.fleet.survey()
    leaderless = survey.leaderless
    told = _ask_members(desk, leaderless)
    if CLUSTER_GROUP not in leaderless:
        with suppress(FleetError):
            status = desk.fleet.status(CLUSTER_GROUP, ASKED_S)
            told[CLUSTER_GROUP] = {str(node_of(status.member)): status}
    return survey, findings(survey, told)


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
