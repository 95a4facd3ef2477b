"""`fleet group upgrade` and `fleet group versions`: which code executes a group's commands."""

import shlex
from collections.abc import Iterator

import click
from msgspec.structs import asdict

from fleet.cli.connection import Console, client, count
from fleet.cli.group import ask_for_the_name, load_class
from fleet.cli.outcome import DEGRADED
from fleet.client.class_api import ClassVersions
from fleet.objects.declare import Data
from fleet.objects.rehearsed import Rehearsal


@click.command()
@click.argument("name")
@click.argument("data_class", metavar="[MODULE:CLASS]", required=False)
@click.option("--by-value", is_flag=True, help="Send the class itself; nodes then do not need its module.")
@click.option(
    "--former",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Where the code as it was is found, to compare results with.",
)
@click.option("--force", is_flag=True, help="Change it although the past would have differed; do not ask.")
@client
def upgrade(
    console: Console, name: str, data_class: str | None, by_value: bool, former: str | None, force: bool
) -> None:
    """Change group NAME to the code of its data class that is deployed by now, or to MODULE:CLASS.

    Deploy the code on every node first, and here: nodes need no restart. Every member tries the class with
    its state before anything changes.

    What a group has kept of its past (its setting `keep`) is executed again here, by the class in force and
    by the new one. The first command whose result or state differs is shown; to go on is to be typed.
    """
    console.know_data_group(name)
    before = console.fleet.versions(name)
    module, _, qualified = before.data_class.rpartition(".")
    cls = load_class(data_class or f"{module}:{qualified}", by_value)
    rehearsal = None if force else rehearse(console, name, cls, former)
    revision = console.fleet.upgrade(name, cls, force=True)
    after = console.fleet.versions(name)
    if after.fingerprint == before.fingerprint:
        text = f"{name} has that code already: {words_on(after)}"
    else:
        text = f"{name} is executed by {words_on(after)} from revision {revision} on"
    told = asdict(rehearsal) if rehearsal is not None else None
    console.changed(revision, {**record_of(after), "rehearsal": told}, text)


def rehearse(console: Console, name: str, cls: type[Data], former: str | None) -> Rehearsal:
    """Raises ConfigError: something differs, and nobody has said to go on."""
    found = console.fleet.rehearse(name, cls, former=former)
    for line in words_on_rehearsal(found):
        console.note(line)
    difference = found.difference
    if difference is not None:
        what = f"changes {name!r} to a class that would have given another past"
        does = f"{what}: {difference}" if console.as_json else what
        again = f"`fleet group upgrade {shlex.quote(name)} --force`"
        ask_for_the_name(console, name, does, again, "nothing was changed")
    return found


def words_on_rehearsal(found: Rehearsal) -> Iterator[str]:
    if found.unknown:
        yield found.unknown
    if found.difference is not None:
        yield str(found.difference)
    elif found.commands or found.states:
        compared = f"{count(found.commands, 'result')} and {count(found.states, 'state')}"
        yield f"rehearsed from revision {found.first} to {found.last}: {compared} are the same"
    for method, times in found.gone.items():
        yield f"left out: {method}, called {count(times, 'time')}, which the new class does not have"


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
