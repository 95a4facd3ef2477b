"""`fleet doctor`: what is wrong with the cluster, why, and what is safe to do next."""

from contextlib import suppress
from typing import Any

import click
from msgspec.structs import asdict

from fleet.cli.connection import ASKED_S, Console, client, client_options, count
from fleet.cli.directory import examine_directory
from fleet.cli.finding import Finding
from fleet.cli.findings import findings, no_majority, notes_on
from fleet.cli.outcome import DEGRADED
from fleet.client.survey import Survey
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError, NoMajority
from fleet.raft.ids import node_of


@client
def examine_cluster(console: Console) -> int | None:
    try:
        survey, found = examine(console)
    except NoMajority:
        known = console.fleet.known_nodes()
        found = [no_majority(known, console.fleet.answering(known), console.fleet.name)]
        return _tell(console, found, [], "")
    groups, nodes = count(len(survey.view.groups), "group"), count(len(survey.nodes), "node")
    well = f"{groups} on {nodes}: all have a leader and as many members as they should"
    return _tell(console, found, notes_on(survey), well)


@click.command()
@click.option("--data-dir", type=click.Path(file_okay=False), help="Of a stopped node: show what it holds.")
@client_options
def doctor(data_dir: str | None, **options: Any) -> None:
    """Show what is wrong, why, and what is safe to do next. Exits with 4 if something is.

    With --data-dir it asks no cluster: it reads the directory of a node that is stopped, verifies all of it,
    and changes nothing. With --json that is the report that `fleet recover` takes.
    """
    if data_dir is None:
        examine_cluster(**options)
    else:
        examine_directory(data_dir, options["as_json"])


def examine(console: Console) -> tuple[Survey, list[Finding]]:
    """The cluster as it is now, and what is wrong with it.

    Raises:
        NoMajority: no node that answers has a view of the cluster.
        Unavailable: no node answers.
    """
    survey = console.fleet.survey()
    leaderless = survey.leaderless
    told = console.statuses(leaderless)
    if CLUSTER_GROUP not in leaderless:
        with suppress(FleetError):
            status = console.fleet.status(CLUSTER_GROUP, ASKED_S)
            told[CLUSTER_GROUP] = {str(node_of(status.member)): status}
    return survey, findings(survey, told)


def _tell(console: Console, found: list[Finding], notes: list[str], well: str) -> int | None:
    console.show({
        "healthy": not found,
        "findings": [asdict(one) for one in found],
        "notes": notes,
    })  # fmt: skip
    if not console.as_json:
        for one in found:
            click.echo(f"✗ {one.what}\n  Why:  {one.why}\n  Next: {one.next}")
        for note in notes:
            click.echo(f"· {note}")
        if not found:
            click.echo(f"✓ {well}")
    return DEGRADED if found else None
