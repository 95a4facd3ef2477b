"""`fleet watch`: the events of a group, as they come."""

import sys

import click

from fleet.cli.connection import Console, client
from fleet.cli.outcome import safe_repr
from fleet.client.cluster_api import check_group_name
from fleet.errors import NotDecodable
from fleet.objects.event import Event


@click.command()
@click.argument("group")
@click.option(
    "--since", metavar="REVISION", help="Begin behind this revision, or this event; else with those to come."
)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only these; may be repeated.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many events.")
@client
def watch(console: Console, group: str, since: str | None, kinds: tuple[str, ...], count: int | None) -> None:
    """Print the events of GROUP, which its commands emit, a line each, until it is interrupted.

    With --json each line is a JSON object. Its `id` is what --since takes to go on behind it.
    """
    check_group_name(group)
    with console.fleet.watch(group, since, kinds or None) as events:
        for shown in range(1, 1 << 62):
            try:
                show(console, group, events.next())
            except NotDecodable as error:
                console.note(f"{events.since}: {error.what}")
            if shown == count:
                return


def show(console: Console, group: str, event: Event) -> None:
    record = {"group": group, "id": event.id, "revision": event.revision, "kind": event.kind}
    console.show(record | {"value": event.value}, f"{event.id} {event.kind} {safe_repr(event.value)}")
    sys.stdout.flush()
