"""`fleet doctor`: what is wrong with the cluster, why, and what is safe to do next."""

from typing import Any

import click
from msgspec.structs import asdict

from fleet.cli.connection import Console, client, client_options, count
from fleet.cli.examination import examine
from fleet.cli.finding import Finding
from fleet.cli.findings import no_majority, notes_on
from fleet.cli.outcome import DEGRADED
from fleet.errors import NoMajority


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
        from fleet.cli.directory import examine_directory  # a node's modules take long to import

        examine_directory(data_dir, options["as_json"])


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
