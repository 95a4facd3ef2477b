"""`fleet group upgrade` and `fleet group versions`: which code executes a group's commands."""

import click

from fleet.cli.connection import Console, client
from fleet.cli.group import load_class
from fleet.cli.outcome import DEGRADED
from fleet.client.class_api import ClassVersions


@click.command()
@click.argument("name")
@click.argument("data_class", metavar="[MODULE:CLASS]", required=False)
@click.option("--by-value", is_flag=True, help="Send the class itself; nodes then do not need its module.")
@client
def upgrade(console: Console, name: str, data_class: str | None, by_value: bool) -> None:
    """Change group NAME to the code of its data class that is deployed by now, or to MODULE:CLASS.

    Deploy the code on every node first, and here: nodes need no restart. Every member tries the class with
    its state before anything changes.
    """
    console.know_data_group(name)
    before = console.fleet.versions(name)
    module, _, qualified = before.data_class.rpartition(".")
    cls = load_class(data_class or f"{module}:{qualified}", by_value)
    revision = console.fleet.upgrade(name, cls)
    after = console.fleet.versions(name)
    if after.fingerprint == before.fingerprint:
        text = f"{name} has that code already: {words_on(after)}"
    else:
        text = f"{name} is executed by {words_on(after)} from revision {revision} on"
    console.changed(revision, record_of(after), text)


@click.command()
@click.argument("name")
@client
def versions(console: Console, name: str) -> int | None:
    """Show which code of its data class group NAME has, and which nodes can execute it.

    Exits with 4 if a node cannot.
    """
    console.know_data_group(name)
    found = console.fleet.versions(name)
    console.show(record_of(found), f"{name}  {words_on(found)}")
    rows = [
        (str(node), {None: "does not answer", "": "executes it"}.get(told, told or ""))
        for node, told in found.nodes.items()
    ]
    console.table(("NODE", "CODE"), rows)
    return None if all(told == "" for told in found.nodes.values()) else DEGRADED


def words_on(versions: ClassVersions) -> str:
    return f"{versions.data_class} version {versions.version} ({versions.fingerprint[:12] or 'built in'})"


def record_of(versions: ClassVersions) -> dict[str, object]:
    return {
        "group": versions.group,
        "data_class": versions.data_class,
        "version": versions.version,
        "fingerprint": versions.fingerprint,
        "nodes": dict(versions.nodes),
    }
