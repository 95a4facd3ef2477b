"""`fleet group diff` and `fleet group repair`: members whose states differ."""

import shlex

import click
from msgspec.structs import asdict

from fleet.cli.connection import Console, client
from fleet.cli.group import ask_for_the_name
from fleet.cli.outcome import DEGRADED
from fleet.client.state_api import StateDiff


@click.command()
@click.argument("name")
@client
def diff(console: Console, name: str) -> int | None:
    """Show how the states of group NAME's members differ, field by field, after one log entry.

    Exits with 4 if they differ, or a member cannot be compared.
    """
    console.know_data_group(name)
    found = console.fleet.diff(name)
    where = ", ".join(f"{node} (revision {found.revisions[node]})" for node in sorted(found.revisions))
    lines = [f"{name} after log entry {found.index}, on {where}"]
    lines += [f"{node} has halted: {why}" for node, why in sorted(found.halted.items())]
    lines += [f"{node} is not compared: {why}" for node, why in sorted(found.missing.items())]
    if not found.differences:
        lines.append("the states are equal")
    console.show(record_of(found), *lines)
    nodes = sorted(found.revisions)
    rows = [
        (
            one.path or "(all)",
            *("-" if one.values.get(node) is None else str(one.values[node]) for node in nodes),
        )
        for one in found.differences
    ]
    if rows:
        console.table(("FIELD", *map(str, nodes)), rows)
    if not found.is_complete:
        console.note("there are more differences than these")
    return DEGRADED if found.differences or found.missing or found.halted else None


@click.command()
@click.argument("name")
@click.argument("node")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@client
def repair(console: Console, name: str, node: str, is_sure: bool) -> None:
    """Give group NAME's member on NODE, which has halted since its state differs, the leader's state.

    Look at the difference first, with `fleet group diff`: it is lost then. Asks for the group's name.
    """
    console.know_data_group(name)
    if not is_sure:
        does = f"replaces the state of group {name!r} on {node} by that of its leader"
        again = f"`fleet group repair {shlex.quote(name)} {shlex.quote(node)} --yes`"
        ask_for_the_name(console, name, does, again, "nothing was changed")
    console.fleet.repair(name, node)
    what = f"{name} on {node} has its leader's state, and executes again"
    console.show({"group": name, "node": node, "repaired": True}, what)


def record_of(found: StateDiff) -> dict[str, object]:
    return {
        "group": found.group,
        "index": found.index,
        "revisions": dict(found.revisions),
        "differences": [asdict(one) for one in found.differences],
        "complete": found.is_complete,
        "missing": dict(found.missing),
        "halted": dict(found.halted),
    }
